//! The multipart forms of the site's settings as the OpenAPI document describes them. They are
//! parsed by `fastbuild_spec::settings`.

use utoipa::ToSchema;

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
