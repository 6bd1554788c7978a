//! How a PostgreSQL server comes to be: its cluster, and the command that serves it.
//!
//! PostgreSQL refuses to run as root, so it runs as the user that its package made. Its folder may
//! lie below one that only root may enter; the one privilege to pass through is handed on.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::output_of;
use crate::env::PostgresPart;

/// The user that the package made.
const SYSTEM_USER: &str = "postgres";

/// What runs the server's programs as that user.
pub const LAUNCHER: &str = "setpriv";

impl PostgresPart {
    /// Makes the cluster unless it is there. Its one user is the part's.
    ///
    /// # Errors
    /// What `initdb` says, or which file cannot be given to the system's user.
    pub fn make_cluster(&self) -> Result<()> {
        let data = self.data();
        if data.join("PG_VERSION").exists() {
            return Ok(());
        }
        // What an interrupted start left is no cluster.
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        fs::create_dir_all(&data)?;
        let password = self.folder.join("password");
        fs::write(&password, "")?;
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
        fs::write(&password, &self.user.password)?;
        let user = system_number("--user")?;
        let group = system_number("--group")?;
        for path in [&self.folder, &data, &password] {
            chown(path, Some(user), Some(group))
                .with_context(|| format!("{} cannot be given to {SYSTEM_USER}", path.display()))?;
        }
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700))?;
        let mut initdb = Command::new(LAUNCHER);
        initdb
            .args(as_system_user())
            .arg("--")
            .arg(self.programs.join("initdb"))
            .args(["--auth=scram-sha-256", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--no-sync"])
            .arg(format!("--username={}", self.user.username))
            .arg(format!("--pwfile={}", password.display()))
            .arg(&data)
            .current_dir("/")
            .stdin(Stdio::null());
        output_of(&mut initdb)?;
        Ok(fs::remove_file(&password)?)
    }

    /// Adds to a command of [`LAUNCHER`] what makes it this server, which stays in the foreground.
    /// SIGINT ends it at once and in good order: its SIGTERM waits until every client has gone by
    /// itself.
    pub fn serve(&self, command: &mut Command) {
        command
            .args(as_system_user())
            .arg("--")
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            // What a test writes need not survive a power cut.
            "fsync=off",
            "max_connections=400",
            // A database is dropped when its test ends, whose thread may leave a connection in the
            // middle of its login; the drop waits for it, this long.
            "authentication_timeout=10s",
            "shared_buffers=64MB",
        ] {
            command.args(["-c", setting]);
        }
    }

    /// Whether it takes connections.
    pub fn answers(&self) -> bool {
        Command::new(self.programs.join("pg_isready"))
            .args(["--quiet", "--host", "127.0.0.1", "--port"])
            .arg(self.port.to_string())
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

/// Arguments of [`LAUNCHER`] before the program it runs.
fn as_system_user() -> [String; 5] {
    [
        format!("--reuid={SYSTEM_USER}"),
        format!("--regid={SYSTEM_USER}"),
        "--clear-groups".to_owned(),
        "--inh-caps=-all,+dac_override".to_owned(),
        "--ambient-caps=-all,+dac_override".to_owned(),
    ]
}

/// The number of the system's user or group.
fn system_number(which: &str) -> Result<u32> {
    let text = output_of(Command::new("id").args([which, SYSTEM_USER]))?;
    Ok(text.trim().parse()?)
}
