//! The parts of services that depend on the build itself: secrets, and the variables that SSH
//! sessions see.

use super::{
    ContextSource, PlanSecret, Planner,
    dockerfile::{Mount, Script},
    jupyter,
};

const ENVIRONMENT: &str = "/etc/environment";

/// The PATH of the image, for login shells: they begin with the distribution's.
pub(super) fn profile_script(planner: &mut Planner<'_>) {
    let path = planner.path.image();
    if planner.spec.ssh || planner.path.is_changed() {
        let text = format!(
            "# The PATH of this image, for login shells.\nexport PATH={}\n",
            super::quote::shell(&path)
        );
        planner.file("start/profile.sh", 0o644, ContextSource::Inline(text));
        planner.out.comment("The image's PATH for login shells.");
        planner
            .out
            .copy("start/profile.sh", "/etc/profile.d/fastbuild.sh");
    }
}

/// The last run. `BuildKit` leaves a secret's value out of what it compares to find a step in its
/// cache, so this one carries the build's number and always runs.
pub(super) fn secrets(planner: &mut Planner<'_>) {
    let mut script = Script::default();
    if planner.spec.ssh {
        planner.secrets.push(PlanSecret::SshPasswordHash);
        let id = PlanSecret::SshPasswordHash.id();
        script.line(format!(
            "printf 'root:%s\\n' \"$(cat /run/secrets/{id})\" | chpasswd -e"
        ));
        // `ssh host command` runs no login shell: PAM reads this file instead.
        let line = super::quote::shell(&format!("PATH=\"{}\"", planner.path.image()));
        script
            .line(format!("touch {ENVIRONMENT}"))
            .line(format!(
                "others=$(grep -v '^[[:space:]]*PATH=' {ENVIRONMENT} || :)"
            ))
            .line(format!(
                "printf '%s\\n' \"$others\" {line} | sed '/^$/d' > {ENVIRONMENT}"
            ));
    }
    if planner.spec.jupyter_lab {
        planner.secrets.push(PlanSecret::JupyterPasswordHash);
        script.append(jupyter::configuration(planner));
    }
    if script.is_empty() {
        return;
    }
    let mut numbered = Script::default();
    numbered
        .line(format!(": build {}", planner.context.build_id))
        .append(script);
    let mounts: Vec<Mount> = planner
        .secrets
        .iter()
        // Those of package indexes were used where the packages were installed.
        .filter(|secret| **secret != PlanSecret::IndexLogins)
        .map(|secret| Mount::Secret { id: secret.id() })
        .collect();
    planner
        .out
        .comment("The passwords, already hashed, for this build alone.");
    planner.out.run(&mounts, &numbered);
}
