//! Failures: the closed list of reason codes, and the one type in which every failure reaches
//! callers, operators and users: what happened, whose fault it is, what to do.

mod build;
mod field_error;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

pub use self::field_error::{FieldError, FieldErrors, MAX_REPORTED};
use crate::state::Step;

/// One sentence in the two languages FastBuild speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence {
    /// Chinese, the default of the old protocol.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Sentence {
    /// A sentence from its Chinese and its English wording.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            zh: zh.into(),
            en: en.into(),
        }
    }

    /// The wording in one language.
    pub fn in_language(&self, language: Language) -> &str {
        match language {
            Language::Chinese => &self.zh,
            Language::English => &self.en,
        }
    }
}

/// The languages a sentence exists in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// The default of the old protocol, whose callers are Chinese.
    #[default]
    Chinese,
    /// Chosen by `Accept-Language`.
    English,
}

/// Whose a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The request's: sending the same request again fails again.
    Failed,
    /// The platform's: an operator mends it, then the same request succeeds.
    Errored,
}

/// The closed list of reasons for which a request or a build fails.
///
/// The name is the stable code callers see; renaming one breaks them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    EnumIter,
    IntoStaticStr,
)]
pub enum ReasonCode {
    /// A field of the request does not parse or contradicts another.
    SpecInvalid,
    /// The host, the registry or the Docker Engine is not configured yet.
    NotConfigured,
    /// Nothing answers at the engine's address, or what answers is no Docker Engine.
    EngineUnreachable,
    /// The engine's certificate or ours was refused.
    EngineTlsFailed,
    /// The engine is too old, or configured so, for what the request needs.
    EngineUnsupported,
    /// The registry refused the user name or password.
    RegistryLoginFailed,
    /// The base image's name or tag does not exist where it is said to be.
    BaseImageNotFound,
    /// The registry does not let these credentials read the base image.
    BaseImagePullDenied,
    /// The base image cannot be inspected or is of a kind FastBuild cannot extend.
    BaseImageUnsupported,
    /// The target name and tag are taken by another build.
    TargetTaken,
    /// No such build, image or file.
    NotFound,
    /// The build is in a state in which this cannot be done.
    WrongState,
    /// The idempotency key of the request was used before, for another request.
    IdempotencyKeyReused,
    /// More clients follow builds at this moment than the service takes.
    TooManyStreams,
    /// What is to be removed is needed by a build or a container.
    InUse,
    /// The chosen mirror file does not exist or does not fit the base image.
    MirrorMismatch,
    /// The chosen installer file is not in the catalog.
    ToolMissing,
    /// A package, or the asked-for version of it, does not exist in the mirrors in use.
    PackageNotFound,
    /// The asked-for packages cannot be installed together.
    DependencyConflict,
    /// A package mirror did not answer during the build.
    MirrorUnreachable,
    /// The signature of a package mirror cannot be verified.
    MirrorUntrusted,
    /// A downloaded package does not have the hash that the request asks for.
    PackageHashMismatch,
    /// A Python package has to be compiled, and a compiler, header or library is missing.
    BuildDependencyMissing,
    /// The base image's package database is damaged, locked or half configured.
    PackageManagerBroken,
    /// A conda channel wants its terms of service accepted.
    TermsNotAccepted,
    /// The chosen installer is damaged or does not fit the base image.
    ToolMismatch,
    /// The engine's clock is wrong: signatures and certificates are not valid yet to it.
    EngineClockWrong,
    /// A step of the Dockerfile ended with an error not known by a name of its own.
    StepFailed,
    /// The engine's disk is full.
    NoSpaceLeft,
    /// A process of the build was ended for want of memory.
    OutOfMemory,
    /// The image is larger than the configured limit; it is not pushed.
    ImageTooLarge,
    /// The registry does not let these credentials write the target image.
    PushDenied,
    /// The registry does not answer or answers with a server error.
    RegistryUnavailable,
    /// The registry asks for fewer requests (429).
    RateLimited,
    /// The registry is in read-only mode.
    RegistryReadOnly,
    /// The registry's disk is full.
    RegistryDiskFull,
    /// What answers at the registry's address is not a registry.
    NotARegistry,
    /// The engine no longer has an image that it had, or a layer of it.
    ImageLost,
    /// The build took longer, or was silent for longer, than allowed.
    TimedOut,
    /// Somebody cancelled the build.
    Cancelled,
    /// The engine or the service was lost during the build, too often to try again.
    EngineLost,
    /// The service's own database does not answer.
    DatabaseUnavailable,
    /// The service has no file descriptor left.
    TooManyOpenFiles,
    /// A callback's receiver cannot be reached, or did not answer in time.
    CallbackUnreachable,
    /// The TLS connection to a callback's receiver cannot be made.
    CallbackTlsFailed,
    /// A callback's receiver answered with a status that is not 2xx.
    CallbackRejected,
    /// A machine's clock differs from the service's.
    ClockSkewed,
    /// A certificate has expired or will soon.
    CertificateExpiring,
    /// The service's own machine runs out of disk, inodes or file descriptors.
    HostExhausted,
    /// A fault of FastBuild itself.
    Internal,
}

impl ReasonCode {
    /// Whose a failure with this code is.
    pub fn fault(self) -> Fault {
        match self {
            Self::SpecInvalid
            | Self::BaseImageNotFound
            | Self::BaseImagePullDenied
            | Self::BaseImageUnsupported
            | Self::TargetTaken
            | Self::NotFound
            | Self::WrongState
            | Self::IdempotencyKeyReused
            | Self::InUse
            | Self::MirrorMismatch
            | Self::ToolMissing
            | Self::PackageNotFound
            | Self::DependencyConflict
            | Self::PackageHashMismatch
            | Self::BuildDependencyMissing
            | Self::PackageManagerBroken
            | Self::TermsNotAccepted
            | Self::ToolMismatch
            | Self::StepFailed
            | Self::ImageTooLarge
            | Self::PushDenied
            | Self::TimedOut
            | Self::Cancelled => Fault::Failed,
            Self::NotConfigured
            | Self::TooManyStreams
            | Self::EngineUnreachable
            | Self::EngineTlsFailed
            | Self::EngineUnsupported
            | Self::RegistryLoginFailed
            | Self::MirrorUnreachable
            | Self::MirrorUntrusted
            | Self::EngineClockWrong
            | Self::NoSpaceLeft
            | Self::OutOfMemory
            | Self::RegistryUnavailable
            | Self::RateLimited
            | Self::RegistryReadOnly
            | Self::RegistryDiskFull
            | Self::NotARegistry
            | Self::ImageLost
            | Self::EngineLost
            | Self::DatabaseUnavailable
            | Self::TooManyOpenFiles
            | Self::CallbackUnreachable
            | Self::CallbackTlsFailed
            | Self::CallbackRejected
            | Self::ClockSkewed
            | Self::CertificateExpiring
            | Self::HostExhausted
            | Self::Internal => Fault::Errored,
        }
    }

    /// What the reader can do about it, when nothing more exact is known.
    pub fn hint(self) -> Sentence {
        let (zh, en) = match self {
            Self::SpecInvalid => (
                "请按提示修改请求中的字段后重新提交。",
                "Correct the named fields of the request and submit it again.",
            ),
            Self::NotConfigured => (
                "请管理员调用 POST /api/fast-build/config/config-fastbuild 完成配置。",
                "Ask the operator to call POST /api/fast-build/config/config-fastbuild.",
            ),
            Self::EngineUnreachable => (
                "请检查 Docker 服务器的地址、端口和防火墙，以及 dockerd 是否在该端口监听。",
                "Check the Docker server's address, port and firewall, and that dockerd listens there.",
            ),
            Self::EngineTlsFailed => (
                "请检查上传的 CA、证书和私钥是否由该 Docker 服务器的 CA 签发且未过期，并重新调用 config-fastbuild。",
                "Check that the uploaded CA, certificate and key belong to this Docker server's CA and have not expired, then call config-fastbuild again.",
            ),
            Self::EngineUnsupported => (
                "请管理员升级 Docker Engine，或启用其 BuildKit 功能。",
                "Ask the operator to upgrade the Docker Engine or to enable its BuildKit.",
            ),
            Self::RegistryLoginFailed => (
                "请检查镜像仓库的用户名和密码，并在请求中或通过 config/update-harbor 更正。",
                "Check the registry's user name and password and correct them in the call, or with config/update-harbor.",
            ),
            Self::BaseImageNotFound => (
                "请检查基础镜像的名称和标签是否存在于仓库中。",
                "Check that the base image's name and tag exist in the registry.",
            ),
            Self::BaseImagePullDenied => (
                "请确认所配置的仓库账号有权读取该基础镜像，或更换基础镜像。",
                "Give the configured registry account read access to the base image, or choose another one.",
            ),
            Self::BaseImageUnsupported => (
                "请选择带有 POSIX sh 以及 apt 或 yum 的 Linux 基础镜像。",
                "Choose a Linux base image that has a POSIX sh and apt or yum.",
            ),
            Self::TargetTaken => (
                "请更改目标镜像的名称或标签。",
                "Change the target image's name or tag.",
            ),
            Self::NotFound => (
                "请检查名称或编号是否正确。",
                "Check the name or the number.",
            ),
            Self::WrongState => (
                "请查看任务的状态（task-details_by_task_id）。",
                "Look at the build's state (task-details_by_task_id).",
            ),
            Self::IdempotencyKeyReused => (
                "新的请求请使用新的 Idempotency-Key；重复同一请求时请保持内容不变。",
                "Use a new Idempotency-Key for a new request, and send a repeated request unchanged.",
            ),
            Self::TooManyStreams => (
                "请稍候再连接，或请管理员调高 api.stream_clients。",
                "Connect again a little later, or ask the operator to raise api.stream_clients.",
            ),
            Self::InUse => (
                "请等待使用它的任务结束，或停止使用它的容器后再试。",
                "Wait for the build or stop the container that uses it, then try again.",
            ),
            Self::MirrorMismatch => (
                "请选择与基础镜像的发行版和版本相符的镜像源文件（见 file/list-source）。",
                "Choose a mirror file that fits the base image's distribution and version (see file/list-source).",
            ),
            Self::ToolMissing => (
                "请选择 file/list-software 列出的安装文件，或请管理员上传。",
                "Choose an installer that file/list-software lists, or ask the operator to upload it.",
            ),
            Self::PackageNotFound => (
                "请检查软件包的名称和版本，或更换包含它的镜像源。",
                "Check the package's name and version, or choose a mirror that has it.",
            ),
            Self::DependencyConflict => (
                "请放宽或统一相互冲突的软件包版本。",
                "Loosen or align the versions of the packages that conflict.",
            ),
            Self::MirrorUnreachable => (
                "请更换镜像源，或请管理员检查 Docker 服务器到该镜像源的网络。",
                "Choose another mirror, or ask the operator to check the network from the Docker server to it.",
            ),
            Self::MirrorUntrusted => (
                "请更换镜像源，或请管理员检查该镜像源的签名公钥以及镜像源文件。",
                "Choose another mirror, or ask the operator to check its signing key and the mirror file.",
            ),
            Self::PackageHashMismatch => (
                "请核对 requirements 中的哈希值；如哈希值无误，则镜像源提供的文件已被改动，请更换镜像源。",
                "Check the hashes in the requirements; if they are right, the mirror's file was changed: choose another mirror.",
            ),
            Self::BuildDependencyMissing => (
                "请在系统软件包中加入所需的编译器和头文件，或选择有现成 wheel 的版本。",
                "Add the compiler and headers it needs to the system packages, or choose a version that has a wheel.",
            ),
            Self::PackageManagerBroken => (
                "请更换或重新制作基础镜像，使其中的软件包全部配置完成。",
                "Choose another base image, or make it anew with all its packages configured.",
            ),
            Self::TermsNotAccepted => (
                "请改用 conda-forge 或镜像源提供的频道，或在 conda 镜像源文件中指定。",
                "Use conda-forge or a mirror's channel instead, or name one in the conda mirror file.",
            ),
            Self::ToolMismatch => (
                "请选择适用于该基础镜像的安装文件版本，或请管理员重新上传。",
                "Choose a version of the installer that fits the base image, or ask the operator to upload it again.",
            ),
            Self::EngineClockWrong => (
                "请管理员校准 Docker 服务器的时钟（例如启用 NTP），然后重试。",
                "Ask the operator to set the Docker server's clock (for example by NTP), then try again.",
            ),
            Self::StepFailed => (
                "请查看该步骤日志的最后几行。",
                "Read the last lines of the step's log.",
            ),
            Self::NoSpaceLeft => (
                "请管理员清理 Docker 服务器的磁盘空间后重试。",
                "Ask the operator to free disk space on the Docker server, then try again.",
            ),
            Self::OutOfMemory => (
                "请管理员为 Docker 服务器增加内存，或减少一次安装的软件包。",
                "Ask the operator to give the Docker server more memory, or install fewer packages at once.",
            ),
            Self::ImageTooLarge => (
                "请减少安装的内容，或请管理员调高镜像大小上限。",
                "Install less, or ask the operator to raise the image size limit.",
            ),
            Self::PushDenied => (
                "请确认目标项目存在，且所配置的仓库账号有写权限。",
                "Check that the target project exists and that the configured registry account may write to it.",
            ),
            Self::RegistryUnavailable => (
                "请管理员检查镜像仓库是否正常运行、Docker 服务器能否访问它，然后重试。",
                "Ask the operator to check that the registry is up and reachable from the Docker server, then try again.",
            ),
            Self::RateLimited => (
                "请稍后重试；如经常发生，请管理员提高该仓库的限额。",
                "Try again later; if it happens often, ask the operator to raise the registry's limit.",
            ),
            Self::RegistryReadOnly => (
                "请管理员关闭镜像仓库的只读模式后重试。",
                "Ask the operator to end the registry's read-only mode, then try again.",
            ),
            Self::RegistryDiskFull => (
                "请管理员清理镜像仓库的存储空间后重试。",
                "Ask the operator to free the registry's storage, then try again.",
            ),
            Self::NotARegistry => (
                "请管理员检查所配置的仓库地址和端口，以及它前面的网关。",
                "Ask the operator to check the registry's configured address and port, and the gateway in front of it.",
            ),
            Self::ImageLost => (
                "请管理员在该 Docker 服务器上删除并重新拉取基础镜像，然后重新提交。",
                "Ask the operator to remove the base image on that Docker server and pull it again, then submit again.",
            ),
            Self::TimedOut => (
                "请减少安装的内容或更换更快的镜像源，或请管理员调高时间上限。",
                "Install less or choose a faster mirror, or ask the operator to raise the time limit.",
            ),
            Self::Cancelled => (
                "如仍需要该镜像，请重新提交。",
                "Submit the request again if the image is still wanted.",
            ),
            Self::EngineLost => (
                "请管理员检查 Docker 服务器和 FastBuild 服务是否稳定，然后重新提交。",
                "Ask the operator to check that the Docker server and FastBuild stay up, then submit again.",
            ),
            Self::DatabaseUnavailable => (
                "请稍后重试；如仍失败，请管理员检查 FastBuild 的数据库和磁盘，服务日志中有详细原因。",
                "Try again a little later; if it fails again, ask the operator to check FastBuild's database and disk: the service log holds the cause.",
            ),
            Self::TooManyOpenFiles => (
                "请管理员提高 FastBuild 进程的文件描述符上限（例如 systemd 的 LimitNOFILE）并检查连接数。",
                "Ask the operator to raise the limit of open files of the FastBuild process, such as systemd's LimitNOFILE, and to check the number of connections.",
            ),
            Self::CallbackUnreachable => (
                "请检查接收方是否正在运行，以及从 FastBuild 所在机器到该地址的网络和防火墙。",
                "Check that the receiver is running, and the network and firewall between it and the machine FastBuild runs on.",
            ),
            Self::CallbackTlsFailed => (
                "请检查接收方的证书是否有效、是否由 FastBuild 所在机器信任的 CA 签发，以及该端口是否使用 TLS。",
                "Check that the receiver's certificate is valid and issued by a CA that FastBuild's machine trusts, and that the port speaks TLS.",
            ),
            Self::CallbackRejected => (
                "请查看接收方的日志，了解其拒绝该请求的原因。",
                "Look into the receiver's log for why it refuses the request.",
            ),
            Self::ClockSkewed => (
                "请管理员在各台机器上启用并检查时间同步（NTP）。",
                "Ask the operator to turn on time synchronisation (NTP) on these machines and to check it.",
            ),
            Self::CertificateExpiring => (
                "请管理员在到期前更换该证书；客户端证书通过 config/update-docker-server 或 PATCH /api/v1/engines/NAME 上传。",
                "Ask the operator to renew the certificate before that; a client certificate is uploaded with config/update-docker-server or PATCH /api/v1/engines/NAME.",
            ),
            Self::HostExhausted => (
                "请管理员释放 FastBuild 所在机器的资源，或提高其上限。",
                "Ask the operator to free resources on the machine FastBuild runs on, or to raise their limit.",
            ),
            Self::Internal => (
                "这是 FastBuild 自身的问题；服务日志中有该任务编号的详细原因，请附上日志报告。",
                "This is a defect of FastBuild: the service log holds the cause under the build's number; report it with that log.",
            ),
        };
        Sentence::new(zh, en)
    }
}

/// A failure on its way to a person: what happened, whose it is and what to do.
///
/// Never holds a secret: whoever builds one masks what a message could carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {}", message.en)]
pub struct Failure {
    /// The stable reason code.
    pub code: ReasonCode,
    /// What happened, to what and why.
    pub message: Sentence,
    /// What to do about it.
    pub hint: Sentence,
    /// What is to blame where it is known: a package, a file, a host, a field.
    pub culprit: Option<String>,
    /// The step of the build it happened in.
    pub step: Option<Step>,
    /// The last lines of that step's log.
    pub last_lines: Vec<String>,
    /// The fields of the request that do not parse, where that is why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldError>,
}

impl Failure {
    /// A failure with the code's own hint.
    pub fn new(code: ReasonCode, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            code,
            message: Sentence::new(zh, en),
            hint: code.hint(),
            culprit: None,
            step: None,
            last_lines: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// The same failure, naming what is to blame.
    #[must_use]
    pub fn with_culprit(mut self, culprit: impl Into<String>) -> Self {
        self.culprit = Some(culprit.into());
        self
    }

    /// The same failure, with a more exact hint than the code's own.
    #[must_use]
    pub fn with_hint(mut self, zh: impl Into<String>, en: impl Into<String>) -> Self {
        self.hint = Sentence::new(zh, en);
        self
    }

    /// The same failure, placed in a step with the end of its log.
    #[must_use]
    pub fn in_step(mut self, step: Step, last_lines: Vec<String>) -> Self {
        self.step = Some(step);
        self.last_lines = last_lines;
        self
    }

    /// The message followed by the hint, in one language: what the old protocol's `msg` carries.
    pub fn sentence(&self, language: Language) -> String {
        let (message, hint) = (
            self.message.in_language(language),
            self.hint.in_language(language),
        );
        // Chinese sets no space between sentences, and some failures need no advice.
        let gap = if language == Language::Chinese || hint.is_empty() {
            ""
        } else {
            " "
        };
        format!("{message}{gap}{hint}")
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn every_code_has_a_hint_in_both_languages() {
        for code in ReasonCode::iter() {
            let hint = code.hint();
            assert!(hint.zh.ends_with('。'), "{code}: {}", hint.zh);
            assert!(hint.en.ends_with('.'), "{code}: {}", hint.en);
            assert!(hint.en.is_ascii(), "{code}: {}", hint.en);
        }
    }

    #[test]
    fn a_failure_reads_as_one_sentence_and_its_hint() {
        let failure = Failure::new(
            ReasonCode::TargetTaken,
            "镜像名已被使用。",
            "The name is taken.",
        );
        assert_eq!(
            failure.sentence(Language::English),
            "The name is taken. Change the target image's name or tag."
        );
        assert_eq!(
            failure.sentence(Language::Chinese),
            "镜像名已被使用。请更改目标镜像的名称或标签。"
        );
    }
}
