//! The program `uv`, for the tests that let it install in pip's place. It lies beside the tools and not among them:
//! every other test has pip install.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context, Result};
use fastbuild_testkit::env::TestEnv;

use super::home::Home;
use super::stamp::Stamp;
use crate::run::{program, run, step};

/// The wheel it comes in, from the machine's Python package index.
const REQUIREMENT: &str = "uv==0.13.9";

/// Fetches and unpacks it unless it is there.
pub(super) fn ensure(home: &Home, env: &TestEnv) -> Result<()> {
    let wanted = env.uv();
    let stamp = Stamp::new(home, "uv", &[REQUIREMENT]);
    if stamp.is_current() && wanted.exists() {
        return Ok(());
    }
    step("uv unpacked", || {
        let folder = home.path("work/uv");
        run(program("rm", &["-rf", "--"]).arg(&folder))?;
        fs::create_dir_all(&folder)?;
        run(program(
            "pip",
            &[
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
            ],
        )
        .args(["--only-binary", ":all:", "--dest"])
        .arg(&folder)
        .arg(REQUIREMENT))?;
        let wheel = fs::read_dir(&folder)?
            .next()
            .context("pip downloaded nothing")??
            .path();
        run(program("python3", &["-m", "zipfile", "--extract"])
            .arg(&wheel)
            .arg(&folder))?;
        let version = REQUIREMENT.replace("==", "-");
        let unpacked = folder.join(format!("{version}.data/scripts/uv"));
        if let Some(folder) = wanted.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::rename(&unpacked, &wanted)
            .with_context(|| format!("{} is not in the wheel", unpacked.display()))?;
        fs::set_permissions(&wanted, fs::Permissions::from_mode(0o755))?;
        Ok(())
    })?;
    stamp.set()
}
