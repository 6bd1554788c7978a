//! micromamba in conda's place. Both are fixtures: they take the flags of the real programs, refuse any
//! other, and have no packages. So this proves which program is called with which flags, what happens
//! when it cannot install a package, and that its environment is the one that conda sees; not that the
//! real programs install the same.

use std::{fs, os::unix::fs::PermissionsExt as _};

use fastbuild_testkit::{container, request::Request};

use crate::support::installation::{EngineKind, Installation};

const INSTALLER: &str = "Miniconda3-fixture-Linux-x86_64.sh";
const PACKAGES: [&str; 2] = ["scipy=1.9.3", "numpy=1.26.4"];

/// It understands what micromamba does of `create` and `install`, and has the conda of its root do it.
const MICROMAMBA: &str = r#"#!/bin/sh
set -eu
fail() { echo "critical libmamba $1" >&2; exit 1; }
verb=$1; shift
case $verb in create | install) ;; *) fail "no such command: $verb" ;; esac
root= prefix= yes= override= channels= words=
while [ $# -gt 0 ]; do
    case $1 in
        -y) yes=1 ;;
        --root-prefix) root=$2; shift ;;
        --prefix) prefix=$2; shift ;;
        --override-channels) override=1 ;;
        --channel) channels="$channels $2"; shift ;;
        -*) fail "The following argument was not expected: $1" ;;
        *) words="$words $1" ;;
    esac
    shift
done
case $words in *only-conda-*) fail 'nothing provides requested only-conda' ;; esac
[ -n "$yes" ] || fail 'Aborted.'
[ "$override" = 1 ] && [ "$channels" = ' defaults' ] || fail "No channels specified, but:$channels"
case $CONDA_PKGS_DIRS in /var/cache/*) ;; *) fail "Packages would stay in the image: $CONDA_PKGS_DIRS" ;; esac
"$root/bin/conda" "$verb" -y -p "$prefix" $words
echo "by micromamba"
"#;

/// What is in the environment `default` of an image built by the one or the other, and what the build said.
async fn installed(
    installation: &Installation,
    base: &str,
    name: &str,
    by_micromamba: Option<bool>,
) -> (String, String) {
    let target = installation.target(name);
    let mut request = Request::new(base, &target).conda(INSTALLER, &PACKAGES);
    if let Some(wanted) = by_micromamba {
        request = request.micromamba(wanted);
    }
    let task = installation.build(&request).await;
    let list = "/usr/local/dros/conda/bin/conda list -n default";
    let engine = &installation.env.engine_plain;
    let list =
        container::run_once(&installation.env, engine, &target, &["sh", "-c", list]).unwrap();
    let folder = task["work_dir_name"].as_str().unwrap();
    let dockerfile = installation
        .client()
        .task_file(folder, "Dockerfile")
        .await
        .unwrap();
    (list, dockerfile)
}

#[tokio::test]
async fn micromamba_is_called_with_flags_it_knows_and_conda_takes_over_what_it_cannot_install() {
    let tools = tempfile::tempdir().unwrap();
    let program = tools.path().join("micromamba/micromamba");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, MICROMAMBA).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let variables = [("TOOLS_DIR", tools.path().to_str().unwrap())];
    let installation = Installation::configured_with(EngineKind::PlainEngine, &variables).await;
    fs::create_dir_all(tools.path().join("conda")).unwrap();
    let installer = installation
        .env
        .base_dir
        .join("tools/conda")
        .join(INSTALLER);
    fs::copy(installer, tools.path().join("conda").join(INSTALLER)).unwrap();

    let base = installation.base(&installation.env.images.debian);
    let (by_conda, condas_file) = installed(&installation, &base, "conda", Some(false)).await;
    // Where it is there it installs, without being asked to.
    let (by_micromamba, its_file) = installed(&installation, &base, "micromamba", None).await;
    assert!(!condas_file.contains("/mnt/micromamba"), "{condas_file}");
    assert!(its_file.contains("/mnt/micromamba create"), "{its_file}");
    for package in ["scipy 1.9.3", "numpy 1.26.4"] {
        assert!(by_conda.contains(package), "{by_conda}");
        assert!(by_micromamba.contains(package), "{by_micromamba}");
    }
    // What it does not get done conda does.
    let target = installation.target("only-conda");
    let request = Request::new(&base, &target).conda(INSTALLER, &["only-conda-has=2.0"]);
    let task = installation.build(&request).await;
    let log = installation.build_log(&task).await;
    assert!(log.contains("nothing provides requested"), "{log}");
    assert!(log.contains("+ only-conda-has-2.0"), "{log}");
    // An environment that an earlier build made is added to.
    let more = installation.target("more");
    let request =
        Request::new(&installation.target("micromamba"), &more).conda(INSTALLER, &["six=1.16.0"]);
    installation.build(&request).await;
    let list = ["/usr/local/dros/conda/bin/conda", "list", "-n", "default"];
    let engine = &installation.env.engine_plain;
    let list = container::run_once(&installation.env, engine, &more, &list).unwrap();
    for package in ["scipy 1.9.3", "six 1.16.0"] {
        assert!(list.contains(package), "{list}");
    }
}
