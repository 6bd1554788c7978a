//! The multipart forms of the site's settings as the OpenAPI document describes them. They are
//! parsed by `fastbuild_spec::settings`.

use utoipa::ToSchema;

/// The fields of `update-host`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a form to the OpenAPI document")]
pub(crate) struct HostFields {
    /// IP address or host name under which callers reach this service.
    #[schema(example = "192.0.2.8")]
    fastbuild_host: String,
    /// 48001 if it is missing.
    #[schema(example = "48001")]
    fastbuild_port: Option<String>,
}

/// The fields of `update-harbor`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a form to the OpenAPI document")]
#[expect(clippy::struct_field_names, reason = "the names are the protocol's")]
pub(crate) struct HarborFields {
    /// Account name.
    #[schema(example = "admin")]
    harbor_username: String,
    /// Account password.
    #[schema(format = Password, example = "harbor-password")]
    harbor_password: String,
    /// `host` or `host:port`.
    #[schema(example = "192.0.2.10:5000")]
    harbor_registry: String,
    /// A second name of the same registry, to which the Docker server must be able to log in as well. Empty if
    /// it has none.
    #[schema(example = "")]
    harbor_registry_dns: Option<String>,
}

/// The fields of `update-docker-server`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a form to the OpenAPI document")]
#[expect(clippy::struct_field_names, reason = "the names are the protocol's")]
pub(crate) struct DockerServerFields {
    /// IP address or host name of the Docker Engine.
    #[schema(example = "192.0.2.20")]
    docker_host: String,
    /// 2375 if it is missing.
    #[schema(example = "2375")]
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
