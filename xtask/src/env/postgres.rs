//! The database server: the distribution's PostgreSQL with data and port of its own. The machine's
//! own clusters are left alone.

use std::time::Duration;

use anyhow::{Context, Result};
use fastbuild_testkit::env::{Login, PostgresPart, TestEnv};
use fastbuild_testkit::ports::free_ports;
use fastbuild_testkit::postgres::cluster::LAUNCHER;
use nix::sys::signal::Signal;

use super::home::Home;
use super::packages;

/// Its name in `cargo xtask env start NAME`.
pub(super) const NAME: &str = "postgres";

const START_LIMIT: Duration = Duration::from_mins(1);

/// The description of a server that is not there yet.
pub(super) fn new_part(home: &Home) -> Result<PostgresPart> {
    let [port] = free_ports()?;
    Ok(PostgresPart {
        port,
        user: Login::random("fastbuild"),
        programs: packages::postgres()
            .context("the PostgreSQL server was not found although its package is installed")?,
        folder: home.path(NAME),
    })
}

/// Makes and starts the server unless it runs.
pub(super) fn ensure(home: &Home, env: &TestEnv) -> Result<()> {
    let part = env.postgres()?;
    home.daemon(NAME).stop(Signal::SIGINT)?;
    part.make_cluster()?;
    home.daemon(NAME).start(
        LAUNCHER,
        START_LIMIT,
        |command| part.serve(command),
        || part.answers(),
    )
}

/// Whether it runs and takes connections.
pub(super) fn is_up(home: &Home, env: &TestEnv) -> bool {
    home.daemon(NAME).pid().is_some() && env.postgres().is_ok_and(PostgresPart::answers)
}

/// The server's version.
pub(super) fn version(env: &TestEnv) -> Result<String> {
    env.postgres()?.execute("postgres", "SHOW server_version")
}
