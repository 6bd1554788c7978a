//! A PostgreSQL server of a test's own, for what must not happen to the one that all tests share.

use std::{
    fs::File,
    future::ready,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Result;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use super::cluster::LAUNCHER;
use crate::{
    child::wait_until_up,
    env::{Login, PostgresPart},
    ports::free_ports,
    wait::{eventually, when},
};

/// How long a start or an end may take before it counts as failed.
const LIMIT: Duration = Duration::from_mins(2);

/// A server in a temporary folder, with a port that stays its own through restarts. It ends when it
/// is dropped, and when the thread that started it ends.
#[derive(Debug)]
pub struct OwnServer {
    /// Where it is and who may do everything there.
    pub part: PostgresPart,
    child: Option<Child>,
    folder: TempDir,
}

impl OwnServer {
    /// Makes a cluster and starts it, with the programs of another server.
    ///
    /// # Errors
    /// What the programs say.
    pub async fn start(programs: &PostgresPart) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [free] = free_ports()?;
        let part = PostgresPart {
            port: free,
            user: Login::random("fastbuild"),
            programs: programs.programs.clone(),
            folder: folder.path().join("cluster"),
        };
        part.make_cluster()?;
        let mut server = Self {
            part,
            child: None,
            folder,
        };
        server.start_again().await?;
        Ok(server)
    }

    /// Starts it after [`OwnServer::stop`] or [`OwnServer::kill`], and waits until it takes
    /// connections.
    ///
    /// # Errors
    /// Its log when it does not.
    pub async fn start_again(&mut self) -> Result<()> {
        let log = self.folder.path().join("log");
        let file = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(LAUNCHER);
        // A test that is killed leaves no server behind.
        command.arg("--pdeathsig=INT");
        self.part.serve(&mut command);
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .current_dir("/");
        let child = self.child.insert(command.spawn()?);
        let what = "the PostgreSQL server";
        wait_until_up(child, what, &log, LIMIT, || self.part.answers()).await
    }

    /// Ends it in good order, whoever is connected.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&mut self) -> Result<()> {
        self.end(Signal::SIGINT).await
    }

    /// Ends it as a crash of the database does, so that its next start recovers: SIGQUIT. (SIGKILL
    /// would leave its children to themselves.)
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill(&mut self) -> Result<()> {
        self.end(Signal::SIGQUIT).await
    }

    async fn end(&mut self, signal: Signal) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        signalled(&child, signal)?;
        eventually("the PostgreSQL server has ended", LIMIT, || {
            let ended = child.try_wait().map_err(anyhow::Error::from);
            ready(ended.map(|status| when(status.is_some(), ())))
        })
        .await
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; what it leaves is a folder that goes now.
            signalled(&child, Signal::SIGQUIT).ok();
            child.wait().ok();
        }
    }
}

fn signalled(child: &Child, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
    Ok(())
}
