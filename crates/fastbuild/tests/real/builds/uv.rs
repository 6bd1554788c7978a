//! uv in pip's place: where the operator has laid it into the catalog, the same packages are there
//! afterwards as pip would have installed.

use std::os::unix::fs::symlink;

use fastbuild_testkit::{container, env::TestEnv, request::Request};

use crate::support::installation::{EngineKind, Installation};

const PACKAGES: [&str; 4] = ["requests", "jinja2=3.1.4", "python-dateutil", "tqdm"];

/// A folder of tools with nothing but uv in it.
fn tools(env: &TestEnv) -> tempfile::TempDir {
    let uv = env.uv();
    assert!(
        uv.exists(),
        "{} is missing; `cargo xtask env up` fetches it",
        uv.display()
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("uv")).unwrap();
    symlink(uv, folder.path().join("uv/uv")).unwrap();
    folder
}

/// Builds with the one or the other; what is installed then, and the Dockerfile.
async fn installed(installation: &Installation, base: &str, by_uv: bool) -> (Vec<String>, String) {
    let target = installation.target(if by_uv { "uv" } else { "pip" });
    let mut request = Request::new(&installation.base(base), &target)
        .pip(&PACKAGES)
        .pip_mirror("local", "pip.conf");
    // Where it is there it installs, without being asked to.
    if !by_uv {
        request = request.uv(false);
    }
    let task = installation.build(&request).await;
    let folder = task["work_dir_name"].as_str().unwrap();
    let dockerfile = installation
        .client()
        .task_file(folder, "Dockerfile")
        .await
        .unwrap();
    let list = "if [ -x /usr/local/dros/venv/bin/python ]; then PATH=/usr/local/dros/venv/bin:$PATH; fi; \
                python3 -m pip list --format=freeze --disable-pip-version-check";
    let list = container::run_once(
        &installation.env,
        &installation.env.engine_plain,
        &target,
        &["sh", "-c", list],
    )
    .unwrap();
    (list.lines().map(str::to_owned).collect(), dockerfile)
}

async fn compare(image: impl Fn(&TestEnv) -> String) {
    let env = TestEnv::load().unwrap();
    let tools = tools(&env);
    let installation = Installation::configured_with(
        EngineKind::PlainEngine,
        &[("TOOLS_DIR", tools.path().to_str().unwrap())],
    )
    .await;
    let base = image(&env);
    let (by_pip, pips_file) = installed(&installation, &base, false).await;
    let (by_uv, uvs_file) = installed(&installation, &base, true).await;
    assert!(!pips_file.contains("/mnt/uv"), "{pips_file}");
    assert!(uvs_file.contains("/mnt/uv pip install"), "{uvs_file}");
    assert!(
        by_pip
            .iter()
            .any(|line| line == "Jinja2==3.1.4" || line == "jinja2==3.1.4"),
        "{by_pip:?}"
    );
    assert_eq!(by_pip, by_uv);
}

#[tokio::test]
async fn uv_installs_what_pip_installs_beside_a_python_of_the_image() {
    compare(|env| env.images.python.clone()).await;
}

#[tokio::test]
async fn uv_installs_what_pip_installs_in_an_environment_of_its_own() {
    compare(|env| env.images.debian.clone()).await;
}
