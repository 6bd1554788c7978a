//! Base images that a test makes for itself, shaped like the official one it stands for.

use std::{io::Write as _, process::Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::env::{EnginePart, TestEnv};

/// Builds `dockerfile` on an engine by its classic builder, without a context, and pushes it to the registry as
/// `name` (`repository:tag`). Returns the image's full name.
///
/// # Errors
/// What the engine says.
pub fn make(env: &TestEnv, engine: &EnginePart, name: &str, dockerfile: &str) -> Result<String> {
    let image = env.image(name);
    let mut build = env
        .docker(engine)
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "--quiet", "--tag", &image, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    build
        .stdin
        .take()
        .context("the client has no input")?
        .write_all(dockerfile.as_bytes())?;
    let output = build.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the base image is not built: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = env
        .docker(engine)
        .args(["push", "--quiet", &image])
        .output()?;
    ensure!(
        output.status.success(),
        "the base image is not pushed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(image)
}
