//! The SSH server: root's login by password, host keys made at the first start.

use super::{
    ContextSource, Planner,
    dockerfile::Script,
    entrypoint::SSHD_HELPER,
    quote,
    system::{self, Manager},
};
use crate::{
    failure::{Failure, ReasonCode},
    image_spec::{ImageSpec, SystemPackage},
    profile::ImageProfile,
};

const SSHD_CONFIG: &str = "/etc/ssh/sshd_config";

/// The system packages it needs beside what the image has.
pub(super) fn packages(spec: &ImageSpec, profile: &ImageProfile) -> Vec<SystemPackage> {
    let mut names = vec![];
    if spec.ssh && profile.sshd.is_none() {
        names.push("openssh-server");
    }
    if spec.ssh && !is_root(&profile.config.user) && !profile.has_sudo {
        names.push("sudo");
    }
    system::packages(names)
}

/// Whether an image's `User` is root.
pub(super) fn is_root(user: &str) -> bool {
    matches!(user.split(':').next(), None | Some("" | "root" | "0"))
}

/// Refuses what cannot work on the base image.
///
/// # Errors
/// `BaseImageUnsupported` when there is nothing to install the server with, or the image's user
/// has a name that no rule can be written for.
pub(super) fn check(spec: &ImageSpec, profile: &ImageProfile) -> Result<(), Failure> {
    if !packages(spec, profile).is_empty() && Manager::of(profile).is_none() {
        return Err(Failure::new(
            ReasonCode::BaseImageUnsupported,
            format!(
                "基础镜像 {} 没有 SSH 服务，也没有可用于安装它的 apt 或 yum。",
                spec.base
            ),
            format!(
                "The base image {} has no SSH server, and neither apt nor yum to install it with.",
                spec.base
            ),
        ));
    }
    let user = profile.config.user.as_str();
    let plain = |user: &str| {
        user.chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    };
    if spec.ssh && !is_root(user) && !user.split(':').next().is_some_and(plain) {
        return Err(Failure::new(
            ReasonCode::BaseImageUnsupported,
            format!("基础镜像 {} 的用户名“{user}”含有特殊字符，无法为其启动 SSH 服务。", spec.base),
            format!("The user \"{user}\" of the base image {} has unusual characters in its name, so the SSH server cannot be started for it.", spec.base),
        )
        .with_culprit(user));
    }
    Ok(())
}

/// The commands that set the server up, in the run that installs it: no host key may reach a layer.
pub(super) fn configuration() -> Script {
    const MARK: &str = "# Login by password. The first value of a setting counts.";
    let settings = format!("{MARK}\nPermitRootLogin yes\nPasswordAuthentication yes");
    let lines: Vec<String> = settings.lines().map(quote::shell).collect();
    let mut script = Script::default();
    script
        .line("rm -f /etc/ssh/ssh_host_*")
        // At the top, where the settings are in no Match block and before every Include. An image
        // of an earlier build has them there already.
        .open(format!(
            "if [ \"$(head -n 1 {SSHD_CONFIG})\" != {} ]; then",
            quote::shell(MARK)
        ))
        .line(format!("cp -p {SSHD_CONFIG} {SSHD_CONFIG}.fastbuild"))
        .command("{ printf '%s\\n'", &lines)
        .line(format!("cat {SSHD_CONFIG}.fastbuild"))
        .line(format!("}} > {SSHD_CONFIG}"))
        .line(format!("rm {SSHD_CONFIG}.fastbuild"))
        .line("fi")
        // A container may not write its login uid, which would end every session at once.
        .open("if [ -f /etc/pam.d/sshd ]; then")
        .line("sed -i 's/^\\(session[[:space:]]*\\)required\\([[:space:]]*pam_loginuid[.]so\\)/\\1optional\\2/' /etc/pam.d/sshd")
        .line("fi");
    script
}

/// Lets a user that is not root start the server, and nothing else.
pub(super) fn permission(planner: &mut Planner<'_>) {
    let user = planner.profile.config.user.clone();
    if !planner.spec.ssh || is_root(&user) {
        return;
    }
    let (name, group) = user.split_once(':').unwrap_or((&user, ""));
    let numeric = name.chars().all(|character| character.is_ascii_digit());
    let who = if numeric {
        format!("#{name}")
    } else {
        name.to_owned()
    };
    planner.file(
        "ssh/sudoers",
        0o440,
        ContextSource::Inline(format!("{who} ALL=(root) NOPASSWD: {SSHD_HELPER} \"\"\n")),
    );
    planner.out.copy("ssh/sudoers", "/etc/sudoers.d/fastbuild");
    let mut script = Script::default();
    script.line("chmod 0440 /etc/sudoers.d/fastbuild");
    if numeric {
        // sudo serves only users with an entry. This one keeps the group and the home folder
        // that a user without entry has.
        let group = if !group.is_empty() && group.chars().all(|c| c.is_ascii_digit()) {
            group
        } else {
            "0"
        };
        let entry = quote::shell(&format!("uid{name}:*:{name}:{group}::/:/bin/sh"));
        script
            .open(format!(
                "if ! cut -d: -f3 /etc/passwd | grep -x {name} > /dev/null; then"
            ))
            .line(format!("echo {entry} >> /etc/passwd"))
            .line("fi");
    }
    planner.out.run(&[], &script);
}
