//! What an image proves when it runs: a command in it, a login over SSH, a login to JupyterLab.

use std::{
    ops::ControlFlow::{Break, Continue},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{
    StatusCode,
    header::{COOKIE, LOCATION, SET_COOKIE},
};

use crate::{
    env::{EnginePart, TestEnv},
    wait::eventually,
};

/// How long a service in a container may take to answer.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A running container; removed when dropped.
#[derive(Debug)]
pub struct Container {
    env: TestEnv,
    engine: EnginePart,
    /// The engine's id of it.
    pub id: String,
}

/// Runs a command to its end in a container of its own and returns what it printed.
///
/// # Errors
/// The command's output when it fails.
pub fn run_once(
    env: &TestEnv,
    engine: &EnginePart,
    image: &str,
    command: &[&str],
) -> Result<String> {
    let mut docker = env.docker(engine);
    docker.args(["run", "--rm", image]).args(command);
    output(&mut docker)
}

/// One field of what the engine knows about an image, in the template language of
/// `docker image inspect --format`.
///
/// # Errors
/// When the engine does not have the image.
pub fn inspect(env: &TestEnv, engine: &EnginePart, image: &str, format: &str) -> Result<String> {
    let mut docker = env.docker(engine);
    docker.args(["image", "inspect", "--format", format, image]);
    Ok(output(&mut docker)?.trim().to_owned())
}

/// Brings an image from the registry to an engine.
///
/// # Errors
/// What the engine says.
pub fn pull(env: &TestEnv, engine: &EnginePart, image: &str) -> Result<()> {
    let mut docker = env.docker(engine);
    docker.args(["pull", "--quiet", image]);
    output(&mut docker).map(drop)
}

impl Container {
    /// Starts a container of an image, detached, with the ports of SSH and JupyterLab on loopback.
    ///
    /// # Errors
    /// What the engine says.
    pub fn start(
        env: &TestEnv,
        engine: &EnginePart,
        image: &str,
        options: &[&str],
    ) -> Result<Self> {
        let mut docker = env.docker(engine);
        docker
            .args([
                "run",
                "--detach",
                "--publish",
                "127.0.0.1::22",
                "--publish",
                "127.0.0.1::8888",
            ])
            .args(options)
            .arg(image);
        let id = output(&mut docker)?.trim().to_owned();
        Ok(Self {
            env: env.clone(),
            engine: engine.clone(),
            id,
        })
    }

    fn docker(&self) -> Command {
        self.env.docker(&self.engine)
    }

    /// Runs a command in it.
    ///
    /// # Errors
    /// The command's output when it fails.
    pub fn exec(&self, command: &[&str]) -> Result<String> {
        output(self.docker().args(["exec", &self.id]).args(command))
    }

    /// Whether its main process still runs.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn is_running(&self) -> Result<bool> {
        let state =
            output(
                self.docker()
                    .args(["inspect", "--format", "{{.State.Running}}", &self.id]),
            )?;
        Ok(state.trim() == "true")
    }

    /// What it has printed.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn logs(&self) -> Result<String> {
        let output = self.docker().args(["logs", &self.id]).output()?;
        Ok(format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))
    }

    /// What it has printed, for an error message.
    fn said(&self) -> String {
        format!("the container said: {}", self.logs().unwrap_or_default())
    }

    /// The first line it prints that has `word`; waits until there is one.
    ///
    /// # Errors
    /// What it printed, when there is none in time.
    pub async fn says(&self, word: &str) -> Result<String> {
        eventually(format!("a line with {word}"), TIMEOUT, || async {
            let logs = self.logs()?;
            let line = logs.lines().find(|line| line.contains(word));
            Ok(match line {
                Some(line) => Break(line.to_owned()),
                None => Continue(logs),
            })
        })
        .await
    }

    /// The loopback port a port of it is published on.
    ///
    /// # Errors
    /// When it is not published, for example because the container has ended.
    pub fn port(&self, inner: u16) -> Result<u16> {
        let text = output(
            self.docker()
                .args(["port", &self.id, &format!("{inner}/tcp")]),
        )?;
        text.lines()
            .find_map(|line| line.trim().rsplit_once(':')?.1.parse().ok())
            .with_context(|| format!("port {inner} is not published: {text}"))
    }

    /// Logs in over SSH as root with a password and runs a command; tries until the server is up.
    ///
    /// # Errors
    /// What `ssh` said last: a refused password is not tried again.
    pub async fn ssh(&self, password: &str, command: &str) -> Result<String> {
        let port = self.port(22)?.to_string();
        eventually("a login over SSH", TIMEOUT, || async {
            let mut ssh = Command::new("sshpass");
            ssh.env("SSHPASS", password).args([
                "-e",
                "ssh",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "LogLevel=ERROR",
                "-o",
                "PreferredAuthentications=password",
                "-o",
                "NumberOfPasswordPrompts=1",
                "-o",
                "ConnectTimeout=5",
                "-F",
                "/dev/null",
                "-p",
                &port,
                "root@127.0.0.1",
                command,
            ]);
            match output(&mut ssh) {
                Ok(text) => Ok(Break(text)),
                Err(error) if format!("{error:#}").contains("Permission denied") => Err(error),
                Err(error) => Ok(Continue(format!("{error:#}"))),
            }
        })
        .await
        .with_context(|| self.said())
    }

    /// Logs in to JupyterLab as its login page does; whether the password was taken. Waits until
    /// the server is up.
    ///
    /// # Errors
    /// What the server said last.
    pub async fn jupyter_login(&self, password: &str) -> Result<bool> {
        let url = format!("http://127.0.0.1:{}", self.port(8888)?);
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()?;
        let page = eventually("JupyterLab's login page", TIMEOUT, || async {
            Ok(match http.get(format!("{url}/login")).send().await {
                Ok(page) if page.status() == StatusCode::OK => Break(page),
                outcome => Continue(format!("{outcome:?}")),
            })
        })
        .await
        .with_context(|| self.said())?;
        let xsrf = cookies(&page)
            .into_iter()
            .find_map(|cookie| cookie.strip_prefix("_xsrf=").map(str::to_owned))
            .context("the login page sets no _xsrf cookie")?;
        let login = http
            .post(format!("{url}/login"))
            .header(COOKIE, format!("_xsrf={xsrf}"))
            .form(&[("_xsrf", xsrf.as_str()), ("password", password)])
            .send()
            .await?;
        if login.status() != StatusCode::FOUND {
            return Ok(false);
        }
        ensure!(
            login.headers().contains_key(LOCATION),
            "a login leads nowhere"
        );
        let session = cookies(&login).join("; ");
        let status = http
            .get(format!("{url}/api/status"))
            .header(COOKIE, &session)
            .send()
            .await?
            .status();
        let anonymous = http.get(format!("{url}/api/status")).send().await?.status();
        ensure!(
            anonymous == StatusCode::FORBIDDEN,
            "JupyterLab answers {anonymous} without a login"
        );
        let lab = http
            .get(format!("{url}/lab"))
            .header(COOKIE, &session)
            .send()
            .await?
            .status();
        Ok(status == StatusCode::OK && lab == StatusCode::OK)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A container that is gone already is what this wants.
        self.docker()
            .args(["rm", "--force", "--volumes", &self.id])
            .output()
            .ok();
    }
}

fn cookies(response: &reqwest::Response) -> Vec<String> {
    response
        .headers()
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok()?.split(';').next().map(str::to_owned))
        .collect()
}

fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    bail!(
        "{} failed ({}): {stdout}{}",
        command.get_program().display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )
}
