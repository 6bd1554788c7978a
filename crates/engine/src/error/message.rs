//! Reason code, message and hint of each [`EngineError`], in Chinese and English.

use fastbuild_spec::failure::{Failure, ReasonCode};

use super::{EngineError, NoAnswer, PushRefusal, TlsProblem};
use crate::ping::MIN_API;

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        error.failure()
    }
}

impl From<&EngineError> for Failure {
    fn from(error: &EngineError) -> Self {
        error.failure()
    }
}

impl EngineError {
    /// The reason code this error means.
    pub fn code(&self) -> ReasonCode {
        match self {
            Self::Unreachable { .. } => ReasonCode::EngineUnreachable,
            Self::Tls { .. } => ReasonCode::EngineTlsFailed,
            Self::Unsupported { .. } | Self::ApiVersion { .. } => ReasonCode::EngineUnsupported,
            Self::RegistryLogin { .. } => ReasonCode::RegistryLoginFailed,
            Self::RegistryUnavailable { problem, .. } => problem.code(),
            Self::ImageNotFound { .. } => ReasonCode::BaseImageNotFound,
            Self::PullDenied { .. } | Self::PullForbidden { .. } => ReasonCode::BaseImagePullDenied,
            Self::ImageUnsupported { .. } => ReasonCode::BaseImageUnsupported,
            Self::ImageLost { .. } => ReasonCode::ImageLost,
            Self::PushDenied {
                reason: PushRefusal::TagImmutable,
                ..
            } => ReasonCode::TargetTaken,
            Self::PushDenied { .. } => ReasonCode::PushDenied,
            Self::OpenFiles { .. } => ReasonCode::TooManyOpenFiles,
            Self::StepFailed { .. } => ReasonCode::StepFailed,
            Self::NoSpaceLeft { .. } => ReasonCode::NoSpaceLeft,
            Self::OutOfMemory { .. } => ReasonCode::OutOfMemory,
            Self::TimedOut { .. } => ReasonCode::TimedOut,
            Self::Lost { .. } => ReasonCode::EngineLost,
            Self::Internal { .. } => ReasonCode::Internal,
        }
    }

    /// This error as people read it: what happened, to what, why, and what to do.
    pub fn failure(&self) -> Failure {
        let failure = |zh: String, en: String| Failure::new(self.code(), zh, en);
        match self {
            Self::Unreachable { address, reason } => {
                let (zh, en) = reason.reason();
                failure(
                    format!("无法连接 Docker 服务器 {address}：{zh}。"),
                    format!("The Docker Engine at {address} cannot be reached: {en}."),
                )
                .with_culprit(address)
            }
            Self::Tls { address, problem } => {
                let (zh, en) = problem.reason();
                let failure = failure(
                    format!("与 Docker 服务器 {address} 的 TLS 连接失败：{zh}。"),
                    format!("The TLS connection to the Docker Engine at {address} failed: {en}."),
                )
                .with_culprit(address);
                match problem.hint() {
                    Some((zh, en)) => failure.with_hint(zh, en),
                    None => failure,
                }
            }
            Self::Unsupported { address, detail } => failure(
                format!("Docker 服务器 {address} 不支持该操作：{detail}。"),
                format!("The Docker Engine at {address} does not support this: {detail}."),
            )
            .with_culprit(address),
            Self::RegistryLogin { registry, username, detail } => failure(
                format!("镜像仓库 {registry} 拒绝了账号 {username} 的登录：{detail}。"),
                format!("The registry {registry} refused the login of {username}: {detail}."),
            )
            .with_culprit(registry),
            Self::ApiVersion { address, detail } => failure(
                format!("Docker 服务器 {address} 与 FastBuild 没有共同的 API 版本：{detail}。"),
                format!("The Docker Engine at {address} and FastBuild have no API version in common: {detail}."),
            )
            .with_hint(
                format!("FastBuild 需要 Docker API {MIN_API} 以上（Docker 19.03 起）。请管理员升级该服务器上的 Docker Engine；如其版本过新，请升级 FastBuild。"),
                format!("FastBuild needs Docker API {MIN_API} or newer (Docker 19.03). Ask the operator to upgrade the Docker Engine on that server, or FastBuild if the engine is the newer one."),
            )
            .with_culprit(address),
            Self::RegistryUnavailable {
                registry,
                problem,
                detail,
            } => {
                let (zh, en) = problem.reason();
                let (hint_zh, hint_en) = problem.hint(registry);
                failure(
                    format!("镜像仓库 {registry} {zh}：{detail}。"),
                    format!("The registry {registry} {en}: {detail}."),
                )
                .with_hint(hint_zh, hint_en)
                .with_culprit(registry)
            }
            Self::ImageNotFound { image, detail } => failure(
                format!("镜像 {image} 不存在：{detail}。"),
                format!("The image {image} does not exist: {detail}."),
            )
            .with_culprit(image),
            Self::PullDenied { image, detail } => failure(
                format!("无权拉取镜像 {image}（或该镜像不存在）：{detail}。"),
                format!("The image {image} may not be pulled, or does not exist: {detail}."),
            )
            .with_culprit(image),
            Self::PullForbidden { image, detail } => failure(
                format!("镜像仓库的规则禁止拉取镜像 {image}：{detail}。"),
                format!("A rule of the registry forbids pulling the image {image}: {detail}."),
            )
            .with_hint(
                "请更换基础镜像，或请项目管理员调整该规则（漏洞、签名等策略）。",
                "Choose another base image, or ask the project's administrator to change the rule (vulnerabilities, signatures).",
            )
            .with_culprit(image),
            Self::ImageUnsupported {
                image,
                reason,
                detail,
            } => {
                let (zh, en) = reason.reason(image, detail);
                let (hint_zh, hint_en) = reason.hint();
                failure(zh, en)
                    .with_hint(hint_zh, hint_en)
                    .with_culprit(image)
            }
            Self::ImageLost {
                address,
                image,
                detail,
            } => failure(
                format!("Docker 服务器 {address} 上的镜像 {image} 或其中的层已丢失：{detail}。"),
                format!("The Docker Engine at {address} lost the image {image} or one of its layers: {detail}."),
            )
            .with_culprit(image),
            Self::PushDenied {
                image,
                reason,
                detail,
            } => {
                let (zh, en) = reason.reason(image);
                let failure = failure(format!("{zh}：{detail}。"), format!("{en}: {detail}."));
                let (hint_zh, hint_en) = reason.hint();
                failure
                    .with_hint(hint_zh, hint_en)
                    .with_culprit(image)
            }
            Self::StepFailed { stage, exit_code, lines, detail } => {
                let mut failure = match exit_code {
                    Some(code) => failure(
                        format!("构建步骤 {stage} 失败，退出码 {code}。"),
                        format!("The build step {stage} failed with exit code {code}."),
                    ),
                    None => failure(
                        format!("构建步骤 {stage} 失败：{detail}。"),
                        format!("The build step {stage} failed: {detail}."),
                    ),
                }
                .with_culprit(stage);
                failure.last_lines.clone_from(lines);
                failure
            }
            Self::NoSpaceLeft { address, detail } => failure(
                format!("Docker 服务器 {address} 的磁盘空间已满：{detail}。"),
                format!("The disk of the Docker Engine at {address} is full: {detail}."),
            )
            .with_culprit(address),
            Self::OutOfMemory { address, stage, lines } => {
                let mut failure = failure(
                    format!("Docker 服务器 {address} 内存不足，构建步骤 {stage} 的进程被终止（退出码 137）。"),
                    format!("The Docker Engine at {address} ran out of memory: a process of the build step {stage} was killed (exit code 137)."),
                )
                .with_culprit(stage);
                failure.last_lines.clone_from(lines);
                failure
            }
            Self::TimedOut { address, what, limit } => {
                let seconds = limit.as_secs_f32();
                failure(
                    format!("Docker 服务器 {address} 上的操作 {what} 未在 {seconds} 秒内结束。"),
                    format!("{what} on the Docker Engine at {address} did not end within {seconds} seconds."),
                )
                .with_culprit(what)
            }
            Self::Lost { address, detail } => failure(
                format!("与 Docker 服务器 {address} 的连接中断：{detail}。"),
                format!("The connection to the Docker Engine at {address} broke: {detail}."),
            )
            .with_culprit(address),
            Self::OpenFiles { detail } => failure(
                format!("FastBuild 打开的文件和连接过多：{detail}。"),
                format!("FastBuild has too many open files and connections: {detail}."),
            ),
            // The address is where the words came from, not who is to blame.
            Self::Internal { address, detail } => failure(
                format!("FastBuild 不理解收到的应答（来自 {address}）：{detail}。"),
                format!("FastBuild does not understand an answer it got (from {address}): {detail}."),
            ),
        }
    }
}

impl NoAnswer {
    /// The reason in Chinese and English, as the end of a sentence.
    fn reason(&self) -> (String, String) {
        match self {
            Self::Refused => (
                "连接被拒绝，该端口没有服务监听".into(),
                "the connection was refused, nothing listens on that port".into(),
            ),
            Self::UnknownHost => (
                "主机名无法解析".into(),
                "the host name cannot be resolved".into(),
            ),
            Self::Timeout(limit) => {
                let seconds = limit.as_secs_f32();
                (
                    format!("{seconds} 秒内没有应答"),
                    format!("no answer within {seconds} seconds"),
                )
            }
            Self::NotAnEngine(detail) => (
                format!("应答的不是 Docker Engine（{detail}）"),
                format!("what answers there is no Docker Engine ({detail})"),
            ),
            Self::Network(detail) => (format!("网络错误（{detail}）"), detail.clone()),
        }
    }
}

impl TlsProblem {
    /// The reason in Chinese and English, as the end of a sentence.
    fn reason(&self) -> (String, String) {
        match self {
            Self::Unreadable { file, detail } => (
                format!("{} 无法使用（{detail}）", file_zh(file)),
                format!("{} cannot be used ({detail})", file_en(file)),
            ),
            Self::KeyMismatch => (
                "客户端私钥与客户端证书不匹配".into(),
                "the client key does not belong to the client certificate".into(),
            ),
            Self::UnknownIssuer => (
                "服务器证书不是由上传的 CA 签发的".into(),
                "the engine's certificate is not signed by the uploaded CA".into(),
            ),
            Self::ServerCertificateExpired => (
                "服务器证书已过期或尚未生效".into(),
                "the engine's certificate has expired or is not valid yet".into(),
            ),
            Self::WrongHost(host) => (
                format!("服务器证书不适用于 {host}"),
                format!("the engine's certificate is not made out for {host}"),
            ),
            Self::ClientCertificateRefused(detail) => (
                format!(
                    "服务器拒绝了客户端证书（{detail}），它可能已过期或不是由服务器信任的 CA 签发"
                ),
                format!(
                    "the engine refused the client certificate ({detail}); it may have expired or be signed by a CA the engine does not trust"
                ),
            ),
            Self::PortIsPlain => (
                "该端口不使用 TLS".into(),
                "that port does not speak TLS".into(),
            ),
            Self::PortWantsTls => (
                "该端口要求 TLS，而未配置证书".into(),
                "that port wants TLS, and no certificates are configured".into(),
            ),
            Self::Other(detail) => (detail.clone(), detail.clone()),
        }
    }

    /// A more exact hint than the code's own, where there is one.
    fn hint(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::PortIsPlain => Some((
                "请改用 Docker 服务器的 TLS 端口，或在不上传证书的情况下重新调用 config-fastbuild。",
                "Use the Docker server's TLS port, or call config-fastbuild again without certificates.",
            )),
            Self::PortWantsTls => Some((
                "请上传包含 CA、证书和私钥的 tar 包并重新调用 config-fastbuild，或改用非 TLS 端口。",
                "Call config-fastbuild again with the tar of CA, certificate and key, or use the plain port.",
            )),
            _ => None,
        }
    }
}

fn file_zh(file: &str) -> &'static str {
    match file {
        "ca" => "CA 证书",
        "cert" => "客户端证书",
        _ => "客户端私钥",
    }
}

fn file_en(file: &str) -> &'static str {
    match file {
        "ca" => "the CA certificate",
        "cert" => "the client certificate",
        _ => "the client key",
    }
}

#[cfg(test)]
mod tests;
