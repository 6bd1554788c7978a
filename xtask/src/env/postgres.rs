//! The database server: the distribution's PostgreSQL with data, socket and port of its own. The
//! machine's own clusters are left alone.
//!
//! PostgreSQL refuses to run as root, so it runs as the user that its package made. The folder
//! of the parts may lie below one that only root may enter; the one privilege to pass through is
//! handed on.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use fastbuild_testkit::parts::{Parts, PostgresPart};
use nix::sys::signal::Signal;

use super::home::{Home, login, short_path, write_private};
use super::{network, packages};
use crate::run::{program, run, succeeds};

/// Its name in `cargo xtask env start NAME`.
pub(super) const NAME: &str = "postgres";

/// The user that the package made.
const SYSTEM_USER: &str = "postgres";
const START_LIMIT: Duration = Duration::from_mins(1);

/// The description of a server that is not there yet.
pub(super) fn new_part(home: &Home) -> Result<PostgresPart> {
    let [port] = network::free_ports()?;
    Ok(PostgresPart {
        port,
        user: login("fastbuild"),
        programs: packages::postgres()
            .context("the PostgreSQL server was not found although its package is installed")?,
        folder: home.path(NAME),
    })
}

/// Makes and starts the server unless it runs.
pub(super) fn ensure(home: &Home, parts: &Parts) -> Result<()> {
    let part = parts.postgres()?;
    home.daemon(NAME).stop(Signal::SIGINT)?;
    let data = part.folder.join("data");
    if !data.join("PG_VERSION").exists() {
        make_cluster(part, &data)?;
    }
    let server = part.programs.join("postgres");
    home.daemon(NAME).start(
        "setpriv",
        START_LIMIT,
        |command| {
            command
                .args(as_system_user())
                .arg(server)
                .arg("-D")
                .arg(&data)
                .args(["-p", &part.port.to_string()]);
            for setting in [
                "listen_addresses=127.0.0.1".to_owned(),
                format!("unix_socket_directories={}", socket_folder(parts).display()),
                // What a test writes need not survive a power cut.
                "fsync=off".to_owned(),
                "max_connections=400".to_owned(),
                // A database is dropped when its test ends, whose thread may leave a connection in
                // the middle of its login; the drop waits for it, this long.
                "authentication_timeout=10s".to_owned(),
                "shared_buffers=64MB".to_owned(),
            ] {
                command.args(["-c", &setting]);
            }
        },
        || answers(part),
    )
}

/// Whether it runs and takes connections.
pub(super) fn is_up(home: &Home, parts: &Parts) -> bool {
    home.daemon(NAME).pid().is_some() && parts.postgres().is_ok_and(answers)
}

/// The server's version.
pub(super) fn version(parts: &Parts) -> Result<String> {
    parts.postgres()?.execute("postgres", "SHOW server_version")
}

fn answers(part: &PostgresPart) -> bool {
    succeeds(
        program(part.programs.join("pg_isready"), &["--quiet"]).args([
            "--host",
            "127.0.0.1",
            "--port",
            &part.port.to_string(),
        ]),
    )
}

fn socket_folder(parts: &Parts) -> PathBuf {
    short_path(&parts.id).join(NAME)
}

fn make_cluster(part: &PostgresPart, data: &std::path::Path) -> Result<()> {
    // What an interrupted start left is no cluster.
    let _ = fs::remove_dir_all(&part.folder);
    fs::create_dir_all(data)?;
    let password = part.folder.join("password");
    write_private(&password, &part.user.password)?;
    let (user, group) = system_user()?;
    for path in [&part.folder, &data.to_path_buf(), &password] {
        chown(path, Some(user), Some(group))
            .with_context(|| format!("{} cannot be given to {SYSTEM_USER}", path.display()))?;
    }
    fs::set_permissions(data, fs::Permissions::from_mode(0o700))?;
    let mut initdb = Command::new("setpriv");
    initdb
        .args(as_system_user())
        .arg(part.programs.join("initdb"))
        .args([
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ])
        .arg("--no-sync")
        .arg(format!("--username={}", part.user.username))
        .arg(format!("--pwfile={}", password.display()))
        .arg(data)
        .current_dir("/");
    run(&mut initdb)?;
    Ok(fs::remove_file(&password)?)
}

/// The arguments of `setpriv` before the program's own.
fn as_system_user() -> [String; 6] {
    [
        format!("--reuid={SYSTEM_USER}"),
        format!("--regid={SYSTEM_USER}"),
        "--clear-groups".to_owned(),
        "--inh-caps=-all,+dac_override".to_owned(),
        "--ambient-caps=-all,+dac_override".to_owned(),
        "--".to_owned(),
    ]
}

/// The numbers of the system's user and group.
fn system_user() -> Result<(u32, u32)> {
    let number = |flag: &str| -> Result<u32> {
        let text = run(&mut program("id", &[flag, SYSTEM_USER]))?;
        Ok(text.trim().parse()?)
    };
    Ok((number("--user")?, number("--group")?))
}
