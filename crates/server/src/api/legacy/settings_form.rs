//! The multipart forms of the site's settings: as the OpenAPI document describes them, and as the
//! builder takes them. What the values must be is the builder's to say.

use fastbuild_builder::{DockerServerForm, HostForm, RegistryForm, SiteForm};
use utoipa::ToSchema;

use crate::extract::Form;

/// The port callers reach the service under unless another is given.
const DEFAULT_PORT: &str = "48001";
/// The port a Docker Engine listens on without TLS unless another is given.
const DEFAULT_DOCKER_PORT: &str = "2375";

/// The fields of `update-host`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a form to the OpenAPI document")]
pub(crate) struct HostFields {
    /// IP address or host name under which callers reach this service.
    fastbuild_host: String,
    /// 48001 unless given.
    fastbuild_port: Option<String>,
}

/// The fields of `update-harbor`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a form to the OpenAPI document")]
#[expect(clippy::struct_field_names, reason = "the names are the protocol's")]
pub(crate) struct HarborFields {
    /// Account name.
    harbor_username: String,
    /// Account password.
    #[schema(format = Password)]
    harbor_password: String,
    /// `host` or `host:port`.
    harbor_registry: String,
    /// A second name of the same registry, if it has one.
    harbor_registry_dns: Option<String>,
}

/// The fields of `update-docker-server`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a form to the OpenAPI document")]
#[expect(clippy::struct_field_names, reason = "the names are the protocol's")]
pub(crate) struct DockerServerFields {
    /// IP address or host name of the Docker Engine.
    docker_host: String,
    /// 2375 unless given.
    docker_port: Option<String>,
    /// A tar or tar.gz with `ca-jenkins.pem`, `cert-jenkins.pem` and `key-jenkins.pem` (or
    /// `ca.pem`, `cert.pem`, `key.pem`) at any depth. With it TLS is on, without it off.
    #[schema(value_type = Option<String>, format = Binary)]
    docker_tls_tar_file: Option<String>,
}

/// The fields of `config-fastbuild`: those of the three updates.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a form to the OpenAPI document")]
pub(crate) struct SiteFields {
    #[serde(flatten)]
    host: HostFields,
    #[serde(flatten)]
    registry: HarborFields,
    #[serde(flatten)]
    docker_server: DockerServerFields,
}

/// The whole site, of `config-fastbuild`.
pub(crate) fn site_form(form: &mut Form) -> SiteForm {
    SiteForm {
        host: host_form(form),
        registry: registry_form(form),
        docker_server: docker_server_form(form),
    }
}

/// The service's own address, of `config-fastbuild` and `update-host`.
pub(crate) fn host_form(form: &mut Form) -> HostForm {
    HostForm {
        host: form.required("fastbuild_host"),
        port: form.optional("fastbuild_port", DEFAULT_PORT),
    }
}

/// The registry, of `config-fastbuild` and `update-harbor`.
pub(crate) fn registry_form(form: &mut Form) -> RegistryForm {
    RegistryForm {
        username: form.required("harbor_username"),
        password: form.required("harbor_password").into(),
        registry: form.required("harbor_registry"),
        registry_dns: form.optional("harbor_registry_dns", ""),
    }
}

/// The engine, of `config-fastbuild` and `update-docker-server`.
pub(crate) fn docker_server_form(form: &mut Form) -> DockerServerForm {
    DockerServerForm {
        host: form.required("docker_host"),
        port: form.optional("docker_port", DEFAULT_DOCKER_PORT),
        tls_archive: form.file("docker_tls_tar_file"),
    }
}
