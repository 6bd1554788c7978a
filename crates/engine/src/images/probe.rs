//! Runs one script in a short-lived, locked-down container of an image.

use std::collections::HashMap;

use bollard::{
    container::LogOutput,
    errors::Error as ClientError,
    models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig},
    query_parameters::{LogsOptionsBuilder, RemoveContainerOptions, WaitContainerOptions},
};
use futures_util::TryStreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::{
    Engine, EngineError, UnsupportedImage,
    crash::{self, CrashPoint},
    error::classify,
    images::is_missing,
    orphans::{CONTAINER_LABEL, labels},
};

/// Output read of a probe; the rest is left.
const MAX_OUTPUT_BYTES: usize = 1024 * 1024;
/// Memory a probe may take, in bytes: enough for a Python or conda to say its version.
const MEMORY: i64 = 512 * 1024 * 1024;
/// Process limit of a probe container.
const PIDS_LIMIT: i64 = 256;
/// Attempts to remove a container.
const REMOVE_ATTEMPTS: u32 = 5;

/// Exit code and output of a probe container.
struct Ended {
    exit_code: i64,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Engine {
    /// Runs `script` with the image's own `sh` as root in a container without network, writable root
    /// or capabilities, and returns what it printed (up to 1 MB). `label` becomes the container's
    /// [`crate::BUILD_LABEL`]. The container is removed whatever happens, also when the future is dropped.
    ///
    /// # Errors
    /// `ImageUnsupported` when the image has no `sh`, is of another architecture, or the script fails;
    /// `TimedOut` after [`crate::EngineLimits::probe`].
    pub async fn run_probe(
        &self,
        image_id: &str,
        script: &str,
        label: &str,
    ) -> Result<String, EngineError> {
        let cancelled = CancellationToken::new();
        let _cancel_on_drop = cancelled.clone().drop_guard();
        // In a task of its own: if the caller is dropped while the container is being created, the container
        // must still be removed.
        let task = tokio::spawn(probe(
            self.clone(),
            image_id.to_owned(),
            script.to_owned(),
            label.to_owned(),
            cancelled,
        ));
        task.await
            .map_err(|error| self.internal(format!("the probe's task ended: {error}")))?
    }

    async fn remove_container(&self, id: &str) {
        for attempt in 1..=REMOVE_ATTEMPTS {
            let removed = async {
                let docker = self.docker().await?;
                let options = RemoveContainerOptions {
                    force: true,
                    v: true,
                    ..Default::default()
                };
                self.short(async {
                    match docker.remove_container(id, Some(options)).await {
                        Err(error) if is_missing(&error) => Ok(()),
                        other => other,
                    }
                })
                .await
            };
            match removed.await {
                Ok(()) => return,
                // The next orphan removal finds it by its label.
                Err(error) => {
                    tracing::warn!(container = id, attempt, error = %error, "failed to remove probe container");
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(200) * attempt).await;
        }
    }
}

async fn probe(
    engine: Engine,
    image_id: String,
    script: String,
    label: String,
    cancelled: CancellationToken,
) -> Result<String, EngineError> {
    let docker = engine.docker().await?;
    let body = container(&image_id, script, &label);
    let created = engine
        .short(async {
            match docker.create_container(None, body).await {
                Err(error) if is_missing(&error) => Ok(None),
                other => other.map(Some),
            }
        })
        .await?;
    let Some(created) = created else {
        return Err(EngineError::ImageNotFound {
            image: image_id,
            detail: "the engine does not have it".into(),
        });
    };
    crash::pass(CrashPoint::Probing);
    let limit = engine.limits().probe;
    let ended = tokio::select! {
        () = cancelled.cancelled() => Err(engine.internal("the probe was cancelled")),
        ended = tokio::time::timeout(limit, run(&engine, &image_id, &created.id)) => match ended {
            Ok(ended) => ended,
            Err(_) => Err(EngineError::TimedOut {
                address: engine.address().to_owned(),
                what: format!("the inspection of image {image_id}"),
                limit,
            }),
        },
    };
    engine.remove_container(&created.id).await;
    let ended = ended?;
    if ended.exit_code == 0 {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    // Older runtimes start the container before they notice that its entrypoint cannot run.
    let error = classify::probe_error(engine.address(), &image_id, &said);
    Err(match error {
        EngineError::Internal { .. } => EngineError::ImageUnsupported {
            image: image_id,
            reason: UnsupportedImage::Probe,
            detail: format!(
                "the inspection script ended with exit code {} ({})",
                ended.exit_code,
                classify::tidy(said.lines().next_back().unwrap_or("no output"))
            ),
        },
        exact => exact,
    })
}

async fn run(engine: &Engine, image_id: &str, id: &str) -> Result<Ended, EngineError> {
    let docker = engine.docker().await?;
    docker
        .start_container(id, None)
        .await
        .map_err(|error| match &error {
            ClientError::DockerResponseServerError { message, .. } => {
                classify::probe_error(engine.address(), image_id, message)
            }
            other => classify::client_error(engine.address(), other),
        })?;
    let client_error = |error: ClientError| classify::client_error(engine.address(), &error);
    let mut wait = Box::pin(docker.wait_container(id, None::<WaitContainerOptions>));
    let exit_code = match wait.try_next().await {
        Ok(Some(response)) => response.status_code,
        Ok(None) => return Err(engine.internal("the engine did not say how the probe ended")),
        Err(ClientError::DockerContainerWaitError { code, .. }) => code,
        Err(error) => return Err(client_error(error)),
    };
    let mut ended = Ended {
        exit_code,
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .build();
    let mut logs = Box::pin(docker.logs(id, Some(options)));
    while let Some(piece) = logs.try_next().await.map_err(client_error)? {
        let (kept, message) = match piece {
            LogOutput::StdErr { message } => (&mut ended.stderr, message),
            LogOutput::StdOut { message }
            | LogOutput::Console { message }
            | LogOutput::StdIn { message } => (&mut ended.stdout, message),
        };
        if kept.len() + message.len() > MAX_OUTPUT_BYTES {
            break;
        }
        kept.extend_from_slice(&message);
    }
    Ok(ended)
}

fn container(image_id: &str, script: String, label: &str) -> ContainerCreateBody {
    let mut container_labels = labels(label);
    container_labels.insert(CONTAINER_LABEL.to_owned(), "probe".to_owned());
    ContainerCreateBody {
        image: Some(image_id.to_owned()),
        entrypoint: Some(vec!["sh".into()]),
        cmd: Some(vec!["-c".into(), script]),
        user: Some("0:0".into()),
        working_dir: Some("/".into()),
        network_disabled: Some(true),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".into()]),
            ..Default::default()
        }),
        labels: Some(container_labels),
        host_config: Some(HostConfig {
            network_mode: Some("none".into()),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".into()]),
            security_opt: Some(vec!["no-new-privileges".into()]),
            memory: Some(MEMORY),
            memory_swap: Some(MEMORY),
            pids_limit: Some(PIDS_LIMIT),
            // Not the engine's default driver, which may be one that cannot be read, and bounded.
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".into()),
                config: Some(HashMap::from([
                    ("max-size".into(), "64m".into()),
                    ("max-file".into(), "1".into()),
                ])),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}
