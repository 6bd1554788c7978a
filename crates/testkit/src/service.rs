//! The real program as a process of its own, with a base directory of its own.

use std::{
    fs::File,
    future::ready,
    ops::ControlFlow::{Break, Continue},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{client::Client, env::TestEnv, wait::eventually};

/// How long a start may take before it counts as failed.
const START: Duration = Duration::from_secs(30);
/// How long an orderly end may take.
const END: Duration = Duration::from_secs(30);

/// How to start a service.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// The program.
    pub binary: PathBuf,
    /// Its base directory; made when missing.
    pub base_dir: PathBuf,
    /// `FASTBUILD_*` variables beside the base directory, such as `BUILDS__PER_ENGINE`.
    pub variables: Vec<(String, String)>,
}

impl ServiceOptions {
    /// A service that uses the mirrors and tools of the parts.
    pub fn new(binary: impl Into<PathBuf>, base_dir: impl Into<PathBuf>, env: &TestEnv) -> Self {
        let text = |path: PathBuf| path.display().to_string();
        Self {
            binary: binary.into(),
            base_dir: base_dir.into(),
            variables: vec![
                ("SOURCE_DIR".to_owned(), text(env.base_dir.join("source"))),
                ("TOOLS_DIR".to_owned(), text(env.base_dir.join("tools"))),
                (
                    "CALLBACK__RETRY_SECONDS".to_owned(),
                    "[1,1,1,1,1,1]".to_owned(),
                ),
                ("LISTEN__ADDRESS".to_owned(), "127.0.0.1".to_owned()),
                // Tests that build the same twice want to see it built twice.
                ("BUILDS__REUSE_SECONDS".to_owned(), "0".to_owned()),
                (
                    "BUILDS__REGISTRY_CA_FILE".to_owned(),
                    text(env.certificates.ca.clone()),
                ),
                ("BUILDS__GRACE_SECONDS".to_owned(), "0".to_owned()),
            ],
        }
    }

    /// With one more variable, named without its prefix.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// A command of the program with this configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env("FASTBUILD_BASE_DIR", &self.base_dir)
            // Where the tests find the parts; to the service it would be an unknown key.
            .env_remove("FASTBUILD_ENV_DIR")
            .stdin(Stdio::null());
        for (name, value) in &self.variables {
            command.env(format!("FASTBUILD_{name}"), value);
        }
        command
    }
}

/// A running service; killed when dropped.
#[derive(Debug)]
pub struct Service {
    options: ServiceOptions,
    child: Child,
    kept: bool,
    /// A caller of it.
    pub client: Client,
    /// The port it listens on.
    pub port: u16,
    /// From the start of the process to its being ready.
    pub ready_after: Duration,
}

impl Service {
    /// Makes the folders it needs and starts it on a free port.
    ///
    /// # Errors
    /// The end of its log when it does not become ready.
    pub async fn start(options: ServiceOptions) -> Result<Self> {
        // The mirrors are those of the parts, and shared: nothing is added to them.
        let output = options.command(&["init", "--without-starter"]).output()?;
        if !output.status.success() {
            bail!("init failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Self::start_on(options, 0).await
    }

    async fn start_on(options: ServiceOptions, port: u16) -> Result<Self> {
        let log = log_path(&options.base_dir);
        let written = std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
        let file = File::options().create(true).append(true).open(&log)?;
        let started = Instant::now();
        let child = options
            .command(&["serve"])
            .env("FASTBUILD_LISTEN__PORT", port.to_string())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{} cannot be started", options.binary.display()))?;
        let mut service = Self {
            options,
            child,
            client: Client::new("")?,
            port,
            ready_after: Duration::ZERO,
            kept: false,
        };
        let skip = usize::try_from(written).unwrap_or_default();
        let mut port = || {
            let log = service.log();
            if let Some(port) = ready_port(&log[skip..]) {
                return Ok(Break(port));
            }
            if let Some(status) = service.child.try_wait()? {
                bail!("the service ended with {status}:\n{log}");
            }
            Ok(Continue(log))
        };
        service.port = eventually("the service is ready", START, || ready(port())).await?;
        service.ready_after = started.elapsed();
        service.client = Client::new(format!("http://127.0.0.1:{}", service.port))?;
        Ok(service)
    }

    /// Lets it run on after this value and this process are gone; its process id.
    pub fn keep(mut self) -> u32 {
        self.kept = true;
        self.pid()
    }

    /// Everything it has logged, restarts included.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(&self.options.base_dir)).unwrap_or_default()
    }

    /// Waits until a text stands in its log.
    ///
    /// # Errors
    /// The log when `limit` runs out.
    pub async fn wait_for_log(&self, text: &str, limit: Duration) -> Result<()> {
        eventually(format!("{text:?} is logged"), limit, || async {
            let log = self.log();
            Ok(if log.contains(text) {
                Break(())
            } else {
                Continue(log)
            })
        })
        .await
    }

    /// Its base directory.
    pub fn base_dir(&self) -> &Path {
        &self.options.base_dir
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would: SIGKILL.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it has ended by itself; how it did.
    ///
    /// # Errors
    /// Its log when `limit` runs out.
    pub async fn wait_for_death(&mut self, limit: Duration) -> Result<ExitStatus> {
        let mut status = || {
            Ok(match self.child.try_wait()? {
                Some(status) => Break(status),
                None => Continue(self.log()),
            })
        };
        eventually("the service has ended", limit, || ready(status())).await
    }

    /// Starts it again as [`Service::restart_in_place`] does, without a variable that it had.
    ///
    /// # Errors
    /// The end of its log when it does not become ready.
    pub async fn restart_without(&mut self, variable: &str) -> Result<()> {
        self.options.variables.retain(|(name, _)| name != variable);
        self.restart_in_place().await
    }

    /// Starts it again on the same port and base directory, after [`Service::kill`] or
    /// [`Service::stop`].
    ///
    /// # Errors
    /// The end of its log when it does not become ready.
    pub async fn restart_in_place(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            self.kill()?;
        }
        *self = Self::start_on(self.options.clone(), self.port).await?;
        Ok(())
    }

    /// Ends it in an orderly way: SIGTERM, then waits.
    ///
    /// # Errors
    /// When it ends with a failure or not in time.
    pub async fn stop(&mut self) -> Result<()> {
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()?;
        anyhow::ensure!(status.success(), "the service cannot be signalled");
        let status = self.wait_for_death(END).await?;
        anyhow::ensure!(
            status.success(),
            "the service ended with {status}:\n{}",
            self.log()
        );
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // The process may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn log_path(base_dir: &Path) -> PathBuf {
    base_dir.join("service.log")
}

/// The port in the line that says the service is ready.
fn ready_port(log: &str) -> Option<u16> {
    let line = log
        .lines()
        .find(|line| line.contains("FastBuild is ready"))?;
    let (_, after) = line
        .split_once("address=")
        .or_else(|| line.split_once("\"address\":\""))?;
    let address: String = after
        .chars()
        .take_while(|letter| letter.is_ascii_digit() || ".:".contains(*letter))
        .collect();
    address.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_tells_the_port_in_both_log_formats() {
        let text =
            "2026 INFO fastbuild::app: FastBuild is ready and configured address=127.0.0.1:4242\n";
        assert_eq!(ready_port(text), Some(4242));
        let json = r#"{"message":"FastBuild is ready and configured","address":"127.0.0.1:4243"}"#;
        assert_eq!(ready_port(json), Some(4243));
        assert_eq!(ready_port("starting"), None);
    }
}
