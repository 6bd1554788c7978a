//! A Docker Engine of the parts in a run: what it pushed, from its own events (Docker Engine API,
//! "Monitor events"), and what of ours lies there. It is asked directly, past every proxy.

use std::{
    collections::HashMap,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};

use crate::env::{EnginePart, TestEnv};
use crate::fake_engine::{BUILD_LABEL, Push};

/// How often a list is asked for until it is given.
const LISTINGS: usize = 20;

/// An engine in a run. When dropped it takes the images of the run's registry off the engine, which
/// others share.
#[derive(Debug)]
pub struct RealEngine {
    env: TestEnv,
    part: EnginePart,
    /// Names that begin so are this run's.
    registry: String,
    pushes: Arc<Mutex<Vec<Push>>>,
    following: JoinHandle<()>,
    // Killed when dropped.
    _events: Child,
}

/// Something on an engine that was made for a build, or to probe an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineObject {
    /// `image` or `container`.
    pub kind: &'static str,
    /// Its name, or its id where it has none.
    pub name: String,
    /// For what it was made, as its label says.
    pub label: String,
}

impl RealEngine {
    /// Begins to follow an engine's pushes to the registry of this name.
    ///
    /// # Errors
    /// When the Docker command line cannot be started.
    pub fn follow(env: &TestEnv, part: &EnginePart, registry: &str) -> Result<Self> {
        let mut command = env.docker(part);
        command
            .args(["events", "--filter", "type=image"])
            .args(["--filter", "event=push", "--format", "{{json .}}"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut events = Command::from(command).kill_on_drop(true).spawn()?;
        let output = events.stdout.take().context("a program without output")?;
        let pushes = Arc::<Mutex<Vec<Push>>>::default();
        let registry = format!("{registry}/");
        let following = tokio::spawn(note(output, registry.clone(), pushes.clone()));
        Ok(Self {
            env: env.clone(),
            part: part.clone(),
            registry,
            pushes,
            following,
            _events: events,
        })
    }

    /// Every push of the run whose end it saw. When they began the engine does not tell: they count
    /// from their end.
    pub fn pushes(&self) -> Vec<Push> {
        let pushes = self.pushes.lock();
        pushes.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was made there for an installation of the service.
    ///
    /// # Errors
    /// What the engine says.
    pub fn objects(&self, installation: &str) -> Result<Vec<EngineObject>> {
        let ours = format!("label={BUILD_LABEL}");
        let images = self.listed(&[
            "image",
            "ls",
            "--no-trunc",
            "--filter",
            &ours,
            "--format",
            "{{.ID}} {{.Repository}}:{{.Tag}}",
        ])?;
        let containers = self.listed(&[
            "container",
            "ls",
            "--all",
            "--no-trunc",
            "--filter",
            &ours,
            "--format",
            "{{.ID}} {{.Names}}",
        ])?;
        let mut objects = Vec::new();
        for (kind, listed) in [("image", images), ("container", containers)] {
            let listed: Vec<(&str, &str)> = listed
                .lines()
                .filter_map(|line| line.split_once(' '))
                .collect();
            let labels = self.labels(kind, listed.iter().map(|(id, _)| *id))?;
            for (id, name) in listed {
                let nameless = name.starts_with("<none>");
                let Some(label) = labels.get(id) else {
                    // It went in between.
                    continue;
                };
                if label.split('/').next() == Some(installation) {
                    objects.push(EngineObject {
                        kind,
                        name: if nameless { id } else { name }.to_owned(),
                        label: label.clone(),
                    });
                }
            }
        }
        Ok(objects)
    }

    /// The labels of images or containers, by id.
    fn labels<'a>(
        &self,
        kind: &str,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<HashMap<String, String>> {
        let format = format!("{{{{.Id}}}} {{{{index .Config.Labels \"{BUILD_LABEL}\"}}}}");
        let mut docker = self.env.docker(&self.part);
        docker
            .args([kind, "inspect", "--format", &format])
            .args(ids);
        // It fails where one of them went in between, and tells of the others.
        let output = docker.output()?;
        let text = String::from_utf8(output.stdout)?;
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        Ok(lines
            .map(|(id, label)| (id.to_owned(), label.to_owned()))
            .collect())
    }

    /// A list of images or containers. An engine may fail to make one while others, who share it,
    /// take something away.
    fn listed(&self, arguments: &[&str]) -> Result<String> {
        for _ in 1..LISTINGS {
            if let Ok(listed) = self.docker(arguments) {
                return Ok(listed);
            }
        }
        self.docker(arguments)
    }

    fn docker(&self, arguments: &[&str]) -> Result<String> {
        let output = self.env.docker(&self.part).args(arguments).output()?;
        ensure!(
            output.status.success(),
            "{} on {}: {}",
            arguments.join(" "),
            self.part.name,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

impl Drop for RealEngine {
    fn drop(&mut self) {
        self.following.abort();
        let names = self.listed(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        for name in names.unwrap_or_default().lines() {
            if name.starts_with(&self.registry) {
                // One that went in between is what this wants.
                self.docker(&["image", "rm", "--force", name]).ok();
            }
        }
    }
}

/// A `push` event: the engine has pushed an image. Its attributes are the image's labels.
#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "timeNano")]
    nanoseconds: i128,
    #[serde(rename = "Actor")]
    actor: Actor,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(rename = "Attributes")]
    attributes: HashMap<String, String>,
}

async fn note(
    output: tokio::process::ChildStdout,
    registry: String,
    pushes: Arc<Mutex<Vec<Push>>>,
) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(push) = parsed(&line).filter(|push| push.image.starts_with(&registry)) {
            let mut pushes = pushes.lock().unwrap_or_else(PoisonError::into_inner);
            pushes.push(push);
        }
    }
}

fn parsed(line: &str) -> Option<Push> {
    let event: Event = serde_json::from_str(line).ok()?;
    let ended = Timestamp::from_nanosecond(event.nanoseconds).ok()?;
    let label = event.actor.attributes.get(BUILD_LABEL);
    Some(Push {
        image: event.id,
        label: label.cloned().unwrap_or_default(),
        began: ended,
        ended: Some(ended),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_image_build_and_time() {
        let line = r#"{"status":"push","id":"127.0.0.1:5000/a/b:1","Type":"image","Action":"push",
            "Actor":{"ID":"127.0.0.1:5000/a/b:1","Attributes":{"name":"127.0.0.1:5000/a/b",
            "org.fastbuild.build":"x/y/7/2"}},"time":1795426218,"timeNano":1795426218678000000}"#;
        let push = parsed(line).unwrap();
        assert_eq!(push.image, "127.0.0.1:5000/a/b:1");
        assert_eq!(push.label, "x/y/7/2");
        assert_eq!(push.began.as_millisecond(), 1_795_426_218_678);
    }
}
