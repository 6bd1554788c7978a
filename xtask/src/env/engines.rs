//! The Docker Engines, each with data, sockets, configuration and bridge of its own.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use fastbuild_testkit::env::{EnginePart, TestEnv};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::daemon::{children, end_process, processes_with_argument, start_time};
use super::home::{Home, short_path};
use super::{network, newer};
use crate::run::{program, run, succeeds};

const START_LIMIT: Duration = Duration::from_mins(1);

/// Starts the engine unless it answers.
pub(super) fn ensure(home: &Home, env: &TestEnv, engine: &EnginePart) -> Result<bool> {
    if is_up(home, env, engine) {
        return Ok(false);
    }
    stop(home, env, engine, Signal::SIGTERM)?;
    network::ensure_bridge(engine)?;
    let folder = home.path(&engine.name);
    fs::create_dir_all(&folder)?;
    let pid_file = folder.join("docker.pid");
    // The engine refuses to start when the number in an old file was given to another process since.
    if pid_file.exists() {
        fs::remove_file(&pid_file)?;
    }
    let file = folder.join("daemon.json");
    fs::write(
        &file,
        serde_json::to_string_pretty(&configuration(home, env, engine))?,
    )?;
    let certificates = home.certificates();
    let programs = programs(home, env, engine);
    home.daemon(&engine.name).start(
        programs.dockerd(),
        START_LIMIT,
        |command| {
            // The registry's certificate is signed by our authority, which the machine does not know.
            command
                .arg("--config-file")
                .arg(&file)
                .env("SSL_CERT_FILE", certificates.trust_bundle());
            if let Some(path) = programs.search_path() {
                command.env("PATH", path);
            }
        },
        || answers(env, engine),
    )?;
    Ok(true)
}

fn configuration(home: &Home, env: &TestEnv, engine: &EnginePart) -> Value {
    let folder = home.path(&engine.name);
    let mut configuration = json!({
        "data-root": folder.join("data"),
        "exec-root": exec_root(env, engine),
        "pidfile": folder.join("docker.pid"),
        "hosts": [
            format!("unix://{}", engine.socket.display()),
            engine.docker_host,
        ],
        "bridge": engine.bridge,
        "iptables": false,
        "ip-masq": false,
        "shutdown-timeout": 5,
        "tls": engine.tls_dir.is_some(),
    });
    if engine.tls_dir.is_some() {
        let certificates = home.certificates();
        configuration["tlsverify"] = json!(true);
        configuration["tlscacert"] = json!(certificates.ca());
        configuration["tlscert"] = json!(certificates.file("server-cert.pem"));
        configuration["tlskey"] = json!(certificates.file("server-key.pem"));
    }
    if has_store(env, engine) {
        configuration["features"] = json!({"containerd-snapshotter": true});
    }
    if old_identity(&programs(home, env, engine)) {
        configuration["deprecated-key-path"] = json!(folder.join("key.json"));
    }
    configuration
}

/// Whether the engine is the one with containerd's image store.
fn has_store(env: &TestEnv, engine: &EnginePart) -> bool {
    env.engine_store
        .as_ref()
        .is_some_and(|store| store.name == engine.name)
}

/// The programs an engine is started from.
fn programs(home: &Home, env: &TestEnv, engine: &EnginePart) -> newer::Programs {
    if has_store(env, engine) {
        newer::programs(home)
    } else {
        newer::Programs::of_the_machine()
    }
}

/// Whether the engine takes its identity from a key file, by default one for all engines of the machine;
/// from version 24 on it lies with the engine's data.
fn old_identity(programs: &newer::Programs) -> bool {
    programs.major_version().is_some_and(|major| major < 24)
}

/// Where the engine keeps its sockets and those of its containerd.
fn exec_root(env: &TestEnv, engine: &EnginePart) -> PathBuf {
    short_path(&env.id).join(&engine.name).join("exec")
}

/// Whether the engine runs, answers, and its containers have their network.
pub(super) fn is_up(home: &Home, env: &TestEnv, engine: &EnginePart) -> bool {
    home.daemon(&engine.name).pid().is_some()
        && network::bridge_is_there(engine)
        && answers(env, engine)
}

fn answers(env: &TestEnv, engine: &EnginePart) -> bool {
    succeeds(env.docker(engine).arg("version"))
}

/// Version of the engine, for the status table.
pub(super) fn version(env: &TestEnv, engine: &EnginePart) -> Result<String> {
    let version = run(env
        .docker(engine)
        .args(["version", "--format", "{{.Server.Version}}"]))?;
    Ok(version.trim().to_owned())
}

/// Ends the engine, and what an engine that was killed left running and mounted; true when there was something.
pub(super) fn stop(
    home: &Home,
    env: &TestEnv,
    engine: &EnginePart,
    signal: Signal,
) -> Result<bool> {
    let stopped = home.daemon(&engine.name).stop(signal)?;
    let root = exec_root(env, engine);
    let own = root.to_str().context("the folder's name is not UTF-8")?;
    let left = processes_with_argument("containerd", own);
    // A shim that is ended leaves its containers running, so these are ended first.
    let containers = left.iter().flat_map(|pid| children(*pid));
    let left: Vec<i32> = containers.chain(left.iter().copied()).collect();
    for pid in &left {
        if let Some(started) = start_time(*pid) {
            end_process(*pid, Signal::SIGKILL, || start_time(*pid) != Some(started))?;
        }
    }
    unmount_below(home, &format!("{}/", engine.name))?;
    Ok(stopped || !left.is_empty())
}

/// Unmounts what is mounted below a folder of the home, the deepest first.
pub(super) fn unmount_below(home: &Home, folder: &str) -> Result<()> {
    let prefix = home.root().join(folder);
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mut points: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|point| point.starts_with(&*prefix.to_string_lossy()))
        .collect();
    points.sort_unstable_by_key(|point| std::cmp::Reverse(point.len()));
    for point in points {
        run(&mut program("umount", &["--lazy", point]))?;
    }
    Ok(())
}
