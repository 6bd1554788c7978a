//! The way of before: the classic builder, one `RUN` per installer and nothing kept between builds but its layers,
//! then a push of the engine's.

use std::path::Path;

use anyhow::Result;
use fastbuild_testkit::env::{EnginePart, TestEnv};

use xtask::run;

/// What an image of the old way is made of.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) base: String,
    pub(super) system: Vec<String>,
    pub(super) pip: Vec<String>,
    /// A source archive, compiled with the system's compiler.
    pub(super) python: Option<std::path::PathBuf>,
}

impl Wanted {
    fn dockerfile(&self) -> String {
        let mut lines = vec![format!("FROM {}", self.base)];
        let mut system = self.system.clone();
        if self.python.is_some() {
            let compiler = "gcc make libc6-dev zlib1g-dev libssl-dev libffi-dev libbz2-dev liblzma-dev libsqlite3-dev libreadline-dev uuid-dev libncurses-dev";
            system.extend(compiler.split(' ').map(str::to_owned));
        }
        if !system.is_empty() {
            lines.push(format!(
                "RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y {}",
                system.join(" ")
            ));
        }
        let mut pip = "pip3 install --break-system-packages";
        if self.python.is_some() {
            lines.push("COPY python.tgz /tmp/python.tgz".to_owned());
            lines.push("RUN mkdir /tmp/python && tar -xzf /tmp/python.tgz -C /tmp/python --strip-components=1 && cd /tmp/python && ./configure --prefix=/usr/local/python && make -j$(nproc) && make install && rm -rf /tmp/python".to_owned());
            pip = "/usr/local/python/bin/pip3 install";
        }
        if !self.pip.is_empty() {
            lines.push(format!("RUN {pip} {}", self.pip.join(" ")));
        }
        lines.join("\n") + "\n"
    }

    /// Builds and pushes it.
    pub(super) fn make(&self, env: &TestEnv, engine: &EnginePart, target: &str) -> Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("Dockerfile"), self.dockerfile())?;
        if let Some(python) = &self.python {
            std::fs::copy(python, folder.path().join("python.tgz"))?;
        }
        build(env, engine, folder.path(), target, "0")?;
        push(env, engine, target)
    }
}

/// Builds with the engine's own command line, with BuildKit (`1`) or without (`0`).
pub(super) fn build(
    env: &TestEnv,
    engine: &EnginePart,
    folder: &Path,
    target: &str,
    buildkit: &str,
) -> Result<()> {
    let mut build = env.docker(engine);
    build.env("DOCKER_BUILDKIT", buildkit);
    run::run(
        build
            .args(["build", "--quiet", "--tag", target])
            .arg(folder),
    )
    .map(drop)
}

/// Pushes with the engine's own command line.
pub(super) fn push(env: &TestEnv, engine: &EnginePart, target: &str) -> Result<()> {
    run::run(env.docker(engine).args(["push", "--quiet", target])).map(drop)
}
