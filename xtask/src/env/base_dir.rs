//! A `base_dir` for the service: mirrors under `source/`, tools under `tools/`, all usable on this machine.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use fastbuild_testkit::env::TestEnv;

use super::home::Home;
use super::mirror;
use super::stamp::Stamp;
use crate::run::{program, run, step};

const PYTHON_TOOLS_SCRIPT: &str = include_str!("assets/python-tools.sh");
const GET_PIP: &str = include_str!("assets/get-pip.py");
const CONDA_INSTALLER: &str = include_str!("assets/miniconda-fixture.sh");
const CENTOS_7_REPO: &str = include_str!("assets/Centos-7.repo");
const CENTOS_8_REPO: &str = include_str!("assets/Centos-8.repo");
const CONDARC: &str = "channels:\n  - defaults\nshow_channel_urls: true\n";

/// Tools that [`PYTHON_TOOLS_SCRIPT`] makes, and their folders under `tools/`.
const MADE_TOOLS: [(&str, &str); 3] = [
    ("python", "Python-3.11.2.tgz"),
    (
        "python",
        "cpython-3.11.2-fixture-x86_64-linux-install_only.tar.gz",
    ),
    ("pip/pip3", "get-pip.py"),
];
const CONDA_FILE: &str = "tools/conda/Miniconda3-fixture-Linux-x86_64.sh";

/// Writes the mirrors and makes the tools that are missing.
pub(super) fn ensure(home: &Home, env: &TestEnv) -> Result<()> {
    let debian = mirror::package_list(home)?;
    for (name, content) in [
        ("source/apt/local/debian-12.list", debian.as_str()),
        // For another distribution than the image's: the service is to notice.
        (
            "source/apt/local/ubuntu-18.04.list",
            &debian.replace("bookworm", "bionic"),
        ),
        ("source/yum/local/Centos-7.repo", CENTOS_7_REPO),
        ("source/yum/ali/Centos-8.repo", CENTOS_8_REPO),
        ("source/pip/local/pip.conf", &pip_configuration()),
        ("source/conda/local/.condarc", CONDARC),
        (CONDA_FILE, CONDA_INSTALLER),
    ] {
        write_if_changed(&env.base_dir.join(name), content)?;
    }
    fs::create_dir_all(env.base_dir.join("task"))?;

    let root = mirror::stamp(home)?;
    let stamp = Stamp::new(
        home,
        "python-tools",
        &[root.content(), PYTHON_TOOLS_SCRIPT, GET_PIP],
    );
    if stamp.is_current() && missing(env).is_empty() {
        return Ok(());
    }
    step("Python source, prebuilt Python and get-pip.py made", || {
        make_python_tools(home, env)
    })?;
    stamp.set()
}

/// Names of the tools that are not there.
pub(super) fn missing(env: &TestEnv) -> Vec<&'static str> {
    let mut missing: Vec<_> = MADE_TOOLS
        .into_iter()
        .filter(|(folder, name)| !env.base_dir.join("tools").join(folder).join(name).exists())
        .map(|(_, name)| name)
        .collect();
    if !env.base_dir.join(CONDA_FILE).exists() {
        missing.push(CONDA_FILE);
    }
    missing
}

/// Runs the script in a container with Debian's Python, and takes over what it made.
fn make_python_tools(home: &Home, env: &TestEnv) -> Result<()> {
    let (input, output) = (
        home.path("work/python-tools-in"),
        home.path("work/python-tools-out"),
    );
    for folder in [&input, &output] {
        run(program("rm", &["-rf", "--"]).arg(folder))?;
        fs::create_dir_all(folder)?;
    }
    fs::write(input.join("get-pip.py"), GET_PIP)?;
    run(env
        .docker(&env.engine_plain)
        .args(["run", "--rm", "--volume"])
        .arg(format!("{}:/in:ro", input.display()))
        .arg("--volume")
        .arg(format!("{}:/out", output.display()))
        .arg(env.image(&env.images.python))
        .args(["sh", "-c", PYTHON_TOOLS_SCRIPT]))?;
    for (folder, name) in MADE_TOOLS {
        let folder = env.base_dir.join("tools").join(folder);
        fs::create_dir_all(&folder)?;
        fs::rename(output.join(name), folder.join(name))
            .with_context(|| format!("{name} was not made"))?;
    }
    Ok(())
}

/// Settings for pip that hold on this machine: an index of the site's own is taken over.
fn pip_configuration() -> String {
    let index = std::env::var_os("PIP_INDEX_URL")
        .and_then(|address| address.into_string().ok())
        .or_else(|| run(&mut program("pip", &["config", "get", "global.index-url"])).ok())
        .map(|address| address.trim().to_owned())
        .filter(|address| !address.is_empty());
    let index = index
        .map(|address| format!("index-url = {address}\n"))
        .unwrap_or_default();
    format!("[global]\ntimeout = 60\n{index}")
}

/// Leaves a file alone that has the content already: its time is part of what the service knows about it.
fn write_if_changed(file: &Path, content: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, content).with_context(|| format!("{} cannot be written", file.display()))
}
