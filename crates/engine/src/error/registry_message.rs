//! What is wrong with a registry or an image, and what to do about it, in Chinese and English.

use fastbuild_spec::failure::ReasonCode;

use super::{PushRefusal, RegistryProblem, UnsupportedImage};

impl RegistryProblem {
    /// The reason code.
    pub(super) fn code(self) -> ReasonCode {
        match self {
            Self::RateLimited { .. } => ReasonCode::RateLimited,
            Self::DiskFull => ReasonCode::RegistryDiskFull,
            Self::ReadOnly => ReasonCode::RegistryReadOnly,
            Self::NotARegistry => ReasonCode::NotARegistry,
            Self::Unreachable
            | Self::ServerError
            | Self::PlainHttp
            | Self::UnknownAuthority
            | Self::CertificateExpired
            | Self::CertificateUnusable
            | Self::LayerMissing
            | Self::LayerTooLarge
            | Self::Unrecognised => ReasonCode::RegistryUnavailable,
        }
    }

    /// What is wrong, as the middle of a sentence that begins with the registry's name.
    pub(super) fn reason(self) -> (&'static str, &'static str) {
        match self {
            Self::Unreachable => (
                "无法从 Docker 服务器访问",
                "cannot be reached from the Docker Engine",
            ),
            Self::ServerError => ("发生服务器错误", "answered with a server error"),
            Self::RateLimited { .. } => {
                ("要求降低访问频率（429）", "asks for fewer requests (429)")
            }
            Self::DiskFull => ("的磁盘已满", "has no disk space left"),
            Self::ReadOnly => ("处于只读模式", "is in read-only mode"),
            Self::NotARegistry => (
                "的地址上应答的不是镜像仓库",
                "does not answer as a registry",
            ),
            Self::PlainHttp => (
                "只提供 HTTP，而 Docker 服务器要求使用 TLS",
                "speaks plain HTTP, but the Docker Engine insists on TLS",
            ),
            Self::UnknownAuthority => (
                "的证书由 Docker 服务器不信任的 CA 签发",
                "has a certificate of an authority that the Docker Engine does not know",
            ),
            Self::CertificateExpired => (
                "的证书已过期或尚未生效",
                "has a certificate that has expired or is not valid yet",
            ),
            Self::CertificateUnusable => (
                "的证书无法使用",
                "has a certificate that the Docker Engine cannot accept",
            ),
            Self::LayerMissing => ("缺少该镜像的一个层", "lacks a layer of the image"),
            Self::LayerTooLarge => (
                "前面的网关拒绝了过大的层（413）",
                "is behind a gateway that refuses a layer of this size (413)",
            ),
            Self::Unrecognised => ("拒绝了该操作", "refused the operation"),
        }
    }

    /// What to do.
    pub(super) fn hint(self, registry: &str) -> (String, String) {
        let (zh, en) = match self {
            Self::Unreachable => (
                "请管理员检查镜像仓库是否正常运行、Docker 服务器能否访问它，然后重试。",
                "Ask the operator to check that the registry is up and reachable from the Docker server, then try again.",
            ),
            Self::ServerError => (
                "请管理员查看镜像仓库的日志和磁盘空间，然后重试。",
                "Ask the operator to look at the registry's log and disk space, then try again.",
            ),
            Self::RateLimited { .. } => (
                "请稍后重试；如经常发生，请管理员提高该仓库的限额或使用镜像加速。",
                "Try again later; if it happens often, ask the operator to raise the registry's limit or to use a mirror.",
            ),
            Self::DiskFull => (
                "请管理员清理镜像仓库的存储空间后重试（例如运行垃圾回收）。",
                "Ask the operator to free the registry's storage, for example by garbage collection, then try again.",
            ),
            Self::ReadOnly => (
                "请管理员关闭镜像仓库的只读模式后重试；垃圾回收期间也会只读。",
                "Ask the operator to end the registry's read-only mode, then try again; garbage collection also sets it.",
            ),
            Self::NotARegistry => (
                "请管理员检查所配置的仓库地址和端口，以及它前面的网关：GET /v2/ 应返回镜像仓库的应答。",
                "Ask the operator to check the registry's configured address and port, and the gateway in front of it: GET /v2/ must be answered by the registry.",
            ),
            Self::PlainHttp => {
                return (
                    format!(
                        "请管理员为该仓库启用 TLS，或在 Docker 服务器的 /etc/docker/daemon.json 中将 {registry} 列入 insecure-registries。"
                    ),
                    format!(
                        "Ask the operator to give the registry TLS, or to list {registry} under insecure-registries in the Docker server's /etc/docker/daemon.json."
                    ),
                );
            }
            Self::UnknownAuthority => {
                return (
                    format!(
                        "请管理员在 Docker 服务器的 /etc/docker/certs.d/{registry}/ca.crt 中安装该仓库的 CA，或将其配置为 insecure-registries。"
                    ),
                    format!(
                        "Ask the operator to install the registry's CA on the Docker server as /etc/docker/certs.d/{registry}/ca.crt, or to list it under insecure-registries."
                    ),
                );
            }
            Self::CertificateExpired => (
                "请管理员更新镜像仓库的证书，并检查 Docker 服务器的时钟。",
                "Ask the operator to renew the registry's certificate, and to check the Docker server's clock.",
            ),
            Self::CertificateUnusable => (
                "请管理员为镜像仓库换用包含其主机名或 IP 地址的有效证书。",
                "Ask the operator to give the registry a valid certificate that names its host or IP address.",
            ),
            Self::LayerMissing => (
                "请管理员重新推送该镜像，并检查镜像仓库的存储。",
                "Ask the operator to push that image again and to check the registry's storage.",
            ),
            Self::LayerTooLarge => (
                "请管理员调高镜像仓库前面网关的请求大小上限（例如 nginx 的 client_max_body_size）。",
                "Ask the operator to raise the request size limit of the gateway in front of the registry, such as nginx' client_max_body_size.",
            ),
            Self::Unrecognised => (
                "请管理员查看镜像仓库的日志，其中有拒绝的原因。",
                "Ask the operator to look into the registry's log for the reason.",
            ),
        };
        (zh.to_owned(), en.to_owned())
    }
}

impl PushRefusal {
    /// What happened, as the beginning of a sentence that ends with the registry's words.
    pub(super) fn reason(self, image: &str) -> (String, String) {
        match self {
            Self::Rights => (
                format!("无权推送镜像 {image}"),
                format!("The image {image} may not be pushed"),
            ),
            Self::ProjectMissing => (
                format!("镜像 {image} 的目标项目不存在"),
                format!("The target project of the image {image} does not exist"),
            ),
            Self::Quota => (
                format!("目标项目的存储配额不足，镜像 {image} 未被接收"),
                format!(
                    "The storage quota of the target project is used up, so the image {image} was not taken"
                ),
            ),
            Self::TagImmutable => (
                format!("镜像 {image} 的标签已存在，且仓库规则不允许覆盖"),
                format!(
                    "The tag of the image {image} exists and a rule of the registry forbids overwriting it"
                ),
            ),
            Self::Policy => (
                format!("仓库的规则不接收镜像 {image}"),
                format!("A rule of the registry refuses the image {image}"),
            ),
        }
    }

    /// What to do.
    pub(super) fn hint(self) -> (&'static str, &'static str) {
        match self {
            Self::Rights => (
                "请确认目标项目存在，且所配置的仓库账号有写权限。",
                "Check that the target project exists and that the configured registry account may write to it.",
            ),
            Self::ProjectMissing => (
                "请先在镜像仓库中创建该项目，或更改目标镜像的名称。",
                "Create the project in the registry first, or change the target image's name.",
            ),
            Self::Quota => (
                "请删除该项目中不再需要的镜像，或请管理员调高项目的存储配额，然后重新推送。",
                "Delete images of the project that are no longer needed, or ask the operator to raise the project's storage quota, then push again.",
            ),
            Self::TagImmutable => (
                "请更换目标镜像的标签后重新提交。",
                "Choose another tag for the target image and submit again.",
            ),
            Self::Policy => (
                "请按仓库给出的原因调整镜像，或请项目管理员调整该规则。",
                "Change the image as the registry's words say, or ask the project's administrator to change the rule.",
            ),
        }
    }
}

impl UnsupportedImage {
    /// What is wrong, as a sentence.
    pub(super) fn reason(&self, image: &str, detail: &str) -> (String, String) {
        match self {
            Self::Platform {
                image: Some(own),
                engine: Some(engine),
            } => (
                format!("镜像 {image} 的平台是 {own}，而 Docker 服务器的平台是 {engine}。"),
                format!("The image {image} is for {own}, but the Docker Engine is {engine}."),
            ),
            Self::Platform { .. } => (
                format!("镜像 {image} 没有适用于 Docker 服务器平台的版本：{detail}。"),
                format!(
                    "The image {image} has no variant for the Docker Engine's platform: {detail}."
                ),
            ),
            Self::Format => (
                format!("{image} 不是 Docker 服务器支持的容器镜像格式：{detail}。"),
                format!(
                    "{image} is not a container image in a format that the Docker Engine takes: {detail}."
                ),
            ),
            Self::Scratch => (
                format!("不能使用空镜像 {image} 作为基础镜像：其中没有 shell。"),
                format!("The empty image {image} cannot be a base image: it has no shell."),
            ),
            Self::TooManyLayers => (
                format!("镜像 {image} 的层数超过了 Docker 服务器的上限：{detail}。"),
                format!(
                    "The image {image} has more layers than the Docker Engine can stack: {detail}."
                ),
            ),
            Self::Probe => (
                format!("无法检查镜像 {image}：{detail}。"),
                format!("The image {image} cannot be inspected: {detail}."),
            ),
        }
    }

    /// What to do.
    pub(super) fn hint(&self) -> (&'static str, &'static str) {
        match self {
            Self::Platform { .. } => (
                "请选择适用于 Docker 服务器平台的基础镜像，或请管理员推送多平台镜像。",
                "Choose a base image for the Docker Engine's platform, or ask the operator to push a multi-platform image.",
            ),
            Self::Format => (
                "请选择 Docker（schema 2）或 OCI 格式的容器镜像；过旧的镜像可重新拉取并推送。",
                "Choose a container image in Docker (schema 2) or OCI format; an image that is too old can be pulled and pushed again.",
            ),
            Self::TooManyLayers => (
                "请选择层数较少的基础镜像，或将其合并后重新推送。",
                "Choose a base image with fewer layers, or squash it and push it again.",
            ),
            Self::Scratch | Self::Probe => (
                "请选择带有 POSIX sh 以及 apt 或 yum 的 Linux 基础镜像。",
                "Choose a Linux base image that has a POSIX sh and apt or yum.",
            ),
        }
    }
}
