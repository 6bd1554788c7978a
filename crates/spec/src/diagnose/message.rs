//! What a diagnosis says to a person: one match for the sentences, one for the hints that are more exact than a code's
//! own.

use super::build_dependencies;
use crate::failure::{Failure, ReasonCode, Sentence};

/// The failure for a code and what is to blame. `lines` may hold a more exact hint.
pub(super) fn failure(code: ReasonCode, culprits: &[String], lines: &[String]) -> Failure {
    let names = culprits.join(", ");
    let sentence = if culprits.is_empty() {
        sentence_without_culprit(code)
    } else {
        sentence_with_culprit(code, &names)
    };
    let mut failure = Failure::new(code, sentence.zh, sentence.en);
    if let Some(hint) = hint(code, culprits, lines) {
        failure = failure.with_hint(hint.zh, hint.en);
    }
    if culprits.is_empty() {
        failure
    } else {
        failure.with_culprit(names)
    }
}

fn sentence_with_culprit(code: ReasonCode, names: &str) -> Sentence {
    let (zh, en) = match code {
        ReasonCode::MirrorUnreachable => (
            format!("构建时无法从镜像源 {names} 获取软件包信息或文件。"),
            format!("The build could not get package lists or files from the mirror {names}."),
        ),
        ReasonCode::MirrorUntrusted => (
            format!("镜像源 {names} 的签名无法验证，软件包管理器拒绝使用它。"),
            format!(
                "The signature of the mirror {names} cannot be verified, so the package manager refuses it."
            ),
        ),
        ReasonCode::MirrorMismatch => (
            format!("镜像源 {names} 未被使用：它使用明文 HTTP，而 pip 没有被设置为信任它。"),
            format!(
                "The mirror {names} was passed over: it is plain HTTP, and pip is not told to trust it."
            ),
        ),
        ReasonCode::EngineClockWrong => (
            format!("Docker 服务器的时钟不准：{names} 的软件源信息或证书在该服务器看来尚未生效。"),
            format!(
                "The Docker server's clock is wrong: to it, the package lists or the certificate of {names} are not valid yet."
            ),
        ),
        ReasonCode::PackageHashMismatch => (
            format!("下载的软件包 {names} 与要求的哈希值不符。"),
            format!("The downloaded package {names} does not have the hash that is asked for."),
        ),
        ReasonCode::BuildDependencyMissing => (
            format!("编译某个 Python 软件包时缺少 {names}。"),
            format!("A Python package had to be compiled, and {names} is missing for that."),
        ),
        ReasonCode::PackageManagerBroken => (
            format!("基础镜像中的软件包 {names} 处于损坏或未完成配置的状态。"),
            format!("The package {names} of the base image is broken or was left half configured."),
        ),
        ReasonCode::ToolMismatch => (
            format!("所选的安装文件不适用于该基础镜像：{names}。"),
            format!("The chosen installer does not fit the base image: {names}."),
        ),
        ReasonCode::PackageNotFound => (
            format!("在所用的镜像源中找不到软件包 {names}。"),
            format!("The mirrors in use do not have {names}."),
        ),
        ReasonCode::DependencyConflict => (
            format!("软件包的依赖无法同时满足：{names}。"),
            format!("The packages cannot be installed together: {names}."),
        ),
        _ => return sentence_without_culprit(code),
    };
    Sentence::new(zh, en)
}

fn sentence_without_culprit(code: ReasonCode) -> Sentence {
    let (zh, en) = match code {
        ReasonCode::NoSpaceLeft => (
            "构建时 Docker 服务器的磁盘空间不足。",
            "The Docker server ran out of disk space during the build.",
        ),
        ReasonCode::OutOfMemory => (
            "构建时内存不足，进程被系统终止。",
            "The build ran out of memory and the system ended one of its processes.",
        ),
        ReasonCode::MirrorUnreachable => (
            "构建时无法从镜像源获取软件包信息或文件。",
            "The build could not get package lists or files from a mirror.",
        ),
        ReasonCode::MirrorUntrusted => (
            "某个镜像源的签名无法验证，软件包管理器拒绝使用它。",
            "The signature of a mirror cannot be verified, so the package manager refuses it.",
        ),
        ReasonCode::EngineClockWrong => (
            "Docker 服务器的时钟不准：软件源信息或证书在该服务器看来尚未生效。",
            "The Docker server's clock is wrong: to it, package lists or a certificate are not valid yet.",
        ),
        ReasonCode::PackageHashMismatch => (
            "下载的软件包与要求的哈希值不符，或要求校验哈希值而未给出。",
            "A downloaded package does not have the hash that is asked for, or a hash is asked for and not given.",
        ),
        ReasonCode::BuildDependencyMissing => (
            "编译某个 Python 软件包所需的编译器或头文件不存在。",
            "A Python package had to be compiled, and a compiler or header is missing for that.",
        ),
        ReasonCode::PackageManagerBroken => (
            "基础镜像中的软件包数据库损坏、被锁定或未完成配置。",
            "The base image's package database is damaged, locked or left half configured.",
        ),
        ReasonCode::TermsNotAccepted => (
            "所用的 conda 频道要求先接受其服务条款。",
            "A conda channel in use wants its terms of service accepted first.",
        ),
        ReasonCode::ToolMismatch => (
            "所选的安装文件已损坏，或不适用于该基础镜像。",
            "The chosen installer is damaged or does not fit the base image.",
        ),
        ReasonCode::PackageNotFound => (
            "在所用的镜像源中找不到所需的软件包。",
            "The mirrors in use do not have a package that was asked for.",
        ),
        _ => (
            "所需软件包的依赖无法同时满足。",
            "The packages that were asked for cannot be installed together.",
        ),
    };
    Sentence::new(zh, en)
}

/// A hint that is more exact than the code's own.
fn hint(code: ReasonCode, culprits: &[String], lines: &[String]) -> Option<Sentence> {
    let says = |texts: &[&str]| {
        lines
            .iter()
            .any(|line| texts.iter().any(|text| line.contains(text)))
    };
    let (zh, en) = match code {
        ReasonCode::PackageNotFound
            if says(&[
                "require a different python version",
                "Requires-Python",
                "does not satisfy Python",
                "Python ABI tag",
            ]) =>
        {
            (
                "该软件包的部分版本需要其他 Python 版本：请更换软件包版本，或选择其他 Python。",
                "Some versions of the package need another Python: choose another version of the package, or another Python.",
            )
        }
        ReasonCode::PackageNotFound if says(&["matching platform tag"]) => (
            "该软件包没有适用于此平台的 wheel：请更换版本，或选择其他架构的基础镜像。",
            "The package has no wheel for this platform: choose another version, or a base image of another architecture.",
        ),
        ReasonCode::PackageNotFound if says(&["yanked"]) => (
            "该版本已被作者撤回：请选择其他版本。",
            "Its author has withdrawn (yanked) that version: choose another one.",
        ),
        ReasonCode::MirrorUnreachable
            if says(&[
                "401 ",
                "403 ",
                "Status code: 401",
                "Status code: 403",
                " 401:",
                " 403:",
            ]) =>
        {
            (
                "镜像源拒绝了访问：请检查其地址和账号，或更换镜像源。",
                "The mirror refuses access: check its address and its login, or choose another mirror.",
            )
        }
        ReasonCode::MirrorUnreachable
            if says(&[
                "Hash Sum mismatch",
                "hash sum",
                "checksum",
                "is expired (invalid since",
                "unexpected size",
            ]) =>
        {
            (
                "镜像源正在更新或内容不完整：请稍后重试，或更换镜像源。",
                "The mirror is being updated or incomplete: try again a little later, or choose another mirror.",
            )
        }
        ReasonCode::MirrorUnreachable
            if says(&["certificate", "CERTIFICATE_VERIFY_FAILED", "SSLError"]) =>
        {
            (
                "镜像源的证书不被信任：请管理员检查该证书，或在镜像源文件中改用受信任的地址。",
                "The mirror's certificate is not trusted: ask the operator to check it, or name a trusted address in the mirror file.",
            )
        }
        ReasonCode::MirrorMismatch => (
            "请更换镜像源，或请管理员在该 pip.conf 中加入 trusted-host。",
            "Choose another mirror, or ask the operator to add trusted-host to that pip.conf.",
        ),
        ReasonCode::BuildDependencyMissing => {
            let known: Vec<_> = culprits
                .iter()
                .filter_map(|what| build_dependencies::packages(what))
                .collect();
            if known.is_empty() {
                return None;
            }
            let join = |of: fn(&(&'static str, &'static str)) -> &'static str| {
                known.iter().map(of).collect::<Vec<_>>().join(" ")
            };
            let (debian, rpm) = (join(|(debian, _)| debian), join(|(_, rpm)| rpm));
            return Some(Sentence::new(
                format!(
                    "请在系统软件包中加入 {debian}（Debian、Ubuntu）或 {rpm}（CentOS 等），或选择有现成 wheel 的版本。"
                ),
                format!(
                    "Add {debian} (Debian, Ubuntu) or {rpm} (CentOS and its relatives) to the system packages, or choose a version that has a wheel."
                ),
            ));
        }
        _ => return None,
    };
    Some(Sentence::new(zh, en))
}
