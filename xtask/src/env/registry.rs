//! The registry: the distribution's `docker-registry` with TLS and logins.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Result;
use fastbuild_testkit::env::{EnginePart, Login, TestEnv};

use super::home::{Home, write_private};
use crate::run::{program, run_with_input};

/// Its name in `cargo xtask env start NAME`.
pub(super) const NAME: &str = "registry";

const START_LIMIT: Duration = Duration::from_secs(20);

/// Starts the registry unless it runs.
pub(super) fn ensure(home: &Home, env: &TestEnv) -> Result<bool> {
    if is_up(home, env) {
        return Ok(false);
    }
    home.daemon(NAME).stop(nix::sys::signal::Signal::SIGTERM)?;
    write_configuration(home, env)?;
    home.daemon(NAME).start(
        "docker-registry",
        START_LIMIT,
        |command| {
            command.arg("serve").arg(home.path("registry.yml"));
        },
        || port_answers(env.registry.port),
    )?;
    Ok(true)
}

fn write_configuration(home: &Home, env: &TestEnv) -> Result<()> {
    let users = home.path("registry.htpasswd");
    if !users.exists() {
        let lines = [&env.registry.user, &env.registry.second_user].map(hashed);
        let [first, second] = lines;
        write_private(&users, &format!("{}\n{}\n", first?.trim(), second?.trim()))?;
    }
    let certificates = home.certificates();
    let configuration = serde_json::json!({
        "version": 0.1,
        "log": { "level": "info" },
        "storage": {
            "filesystem": { "rootdirectory": env.registry.storage },
            "delete": { "enabled": true },
        },
        "auth": { "htpasswd": { "realm": "fastbuild", "path": users } },
        "http": {
            "addr": env.registry.registry,
            "relativeurls": true,
            "tls": {
                "certificate": certificates.file("registry-cert.pem"),
                "key": certificates.file("registry-key.pem"),
            },
        },
    });
    // JSON is YAML too.
    Ok(fs::write(
        home.path("registry.yml"),
        serde_json::to_string_pretty(&configuration)?,
    )?)
}

/// A line of the password file; the password goes in on standard input, where no process list shows it.
fn hashed(login: &Login) -> Result<String> {
    run_with_input(
        &mut program("htpasswd", &["-Bin", &login.username]),
        &login.password,
    )
}

/// Whether the registry runs and accepts connections.
pub(super) fn is_up(home: &Home, env: &TestEnv) -> bool {
    home.daemon(NAME).pid().is_some() && port_answers(env.registry.port)
}

/// Whether somebody listens on a port of 127.0.0.1.
pub(super) fn port_answers(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Logs the engine in under both of the registry's names.
pub(super) fn log_in(env: &TestEnv, engine: &EnginePart) -> Result<()> {
    let user = &env.registry.user;
    for name in [&env.registry.registry, &env.registry.registry_dns] {
        run_with_input(
            env.docker(engine).args([
                "login",
                "--username",
                &user.username,
                "--password-stdin",
                name,
            ]),
            &user.password,
        )?;
    }
    Ok(())
}
