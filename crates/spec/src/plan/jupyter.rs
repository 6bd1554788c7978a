//! JupyterLab's configuration, which holds the hash of its password.

use super::{PlanSecret, Planner, dockerfile::Script, quote};

/// Read by Jupyter from every Python and every virtual environment.
const FILE: &str = "/etc/jupyter/jupyter_server_config.json";

/// The commands of the secrets' run that write the configuration, readable by the container's
/// user alone. The hash has no character that JSON or `printf` would take for its own.
pub(super) fn configuration(planner: &Planner<'_>) -> Script {
    let id = PlanSecret::JupyterPasswordHash.id();
    let format = concat!(
        r#"{"ServerApp": {"ip": "0.0.0.0", "port": 8888, "allow_root": true, "#,
        r#""open_browser": false, "password": "%s"}, "#,
        r#""PasswordIdentityProvider": {"hashed_password": "%s"}, "#,
        r#""IdentityProvider": {"token": ""}}\n"#
    );
    let mut script = Script::default();
    script
        .line("mkdir -p /etc/jupyter")
        .line(format!("hash=$(cat /run/secrets/{id})"))
        .line(format!(
            "(umask 077; printf '{format}' \"$hash\" \"$hash\" > {FILE})"
        ));
    if !planner.user_is_root() {
        script.line(format!(
            "chown {} {FILE}",
            quote::shell(&planner.profile.config.user)
        ));
    }
    script
}
