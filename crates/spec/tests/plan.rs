//! What a plan renders, over a matrix of requests and base images.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that does not parse is a broken test"
)]

#[path = "plan/files.rs"]
mod files;
#[path = "plan/in_place.rs"]
mod in_place;
#[path = "plan/keys.rs"]
mod keys;
#[path = "plan/layers.rs"]
mod layers;
mod plan_support;
#[path = "plan/refusals.rs"]
mod refusals;
#[path = "plan/shell.rs"]
mod shell;

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use fastbuild_spec::{
    catalog::{Catalog, MirrorKind, ToolKind},
    image_spec::{ImageSpec, PackageManager},
    plan::{BuildPlan, ContextSource, Dialect, PlanContext, PlanSecret, plan},
    profile::ImageProfile,
};
use parse_dockerfile::{Command as Run, Instruction};
use plan_support::*;

const TASK: i64 = 1_795_000_000_000;

fn render(spec: &ImageSpec, profile: &ImageProfile, dialect: Dialect) -> BuildPlan {
    let plan = plan(
        spec,
        profile,
        &catalog(),
        &PlanContext {
            dialect,
            link: false,
            lists_fresh_minutes: 60,
            build_id: TASK,
        },
    )
    .unwrap();
    verify(&plan, spec, dialect);
    plan
}

/// For an engine with `COPY --link`.
fn render_linked(spec: &ImageSpec, profile: &ImageProfile, catalog: &Catalog) -> String {
    let context = PlanContext {
        dialect: Dialect::BuildKit,
        link: true,
        lists_fresh_minutes: 60,
        build_id: TASK,
    };
    let plan = plan(spec, profile, catalog, &context).unwrap();
    verify(&plan, spec, Dialect::BuildKit);
    plan.dockerfile
}

/// What holds for every plan: it parses, its shell text parses, its files are all used, and it
/// says nothing that the dialect lacks.
fn verify(plan: &BuildPlan, spec: &ImageSpec, dialect: Dialect) {
    let text = plan.dockerfile.as_str();
    let dockerfile = parse_dockerfile::parse(text).unwrap();
    let classic = dialect == Dialect::Classic;
    for stage in ["python-build", "conda-build", "ground", "python-packages"] {
        assert_eq!(
            text.contains(&format!(" AS {stage}\n")),
            text.contains(&format!("--from={stage} ")) || text.contains(&format!("FROM {stage}")),
            "{text}"
        );
    }
    let mut entrypoints = 0;
    for instruction in &dockerfile.instructions {
        match instruction {
            Instruction::Run(run) => {
                assert!(!classic || run.options.is_empty(), "{text}");
                assert!(run.here_docs.is_empty());
                let Run::Shell(script) = &run.arguments else {
                    panic!("exec form: {text}")
                };
                accepts_shell(script.value);
            }
            Instruction::Copy(copy) => {
                assert!(
                    copy.options
                        .iter()
                        .all(|option| ["from", "link"].contains(&option.name.value.as_ref())),
                    "{text}"
                );
            }
            Instruction::Entrypoint(_) => entrypoints += 1,
            _ => {}
        }
    }
    assert_eq!(entrypoints, usize::from(spec.ssh || spec.jupyter_lab));
    assert!(!text.contains("syntax="));
    for file in &plan.files {
        let folder = file.path.rsplit_once('/').unwrap().0;
        assert!(
            text.contains(&file.path) || text.contains(folder),
            "{} unused",
            file.path
        );
        if let (ContextSource::Inline(script), 0o755) = (&file.source, file.mode) {
            accepts_shell(script);
        }
    }
}

/// Whether a POSIX shell reads the text without a syntax error, and the shell that a base image's
/// `SHELL` may put in its place.
fn accepts_shell(script: &str) {
    reads("sh", &["-n", "-s"], script);
    reads("bash", &["-o", "pipefail", "-n", "-s"], script);
}

fn reads(shell: &str, arguments: &[&str], script: &str) {
    let mut shell = Command::new(shell)
        .args(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    let output = shell.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{script}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn both(name: &str, spec: &ImageSpec, profile: &ImageProfile) {
    let buildkit = render(spec, profile, Dialect::BuildKit);
    insta::assert_snapshot!(name, buildkit.dockerfile);
    if !spec.ssh && !spec.jupyter_lab {
        let classic = render(spec, profile, Dialect::Classic);
        insta::assert_snapshot!(format!("{name}_classic"), classic.dockerfile);
    }
}

fn apt_and_pip() -> ImageSpec {
    let mut spec = nothing();
    spec.system.packages = packages(&["git", "curl=7.88.1-10+deb12u5", "libstdc++6"]);
    spec.pip.requirements = vec!["numpy==1.26.4".into(), "requests[socks]>=2,<3".into()];
    spec
}

fn with_services(mut spec: ImageSpec) -> ImageSpec {
    spec.ssh = true;
    spec.jupyter_lab = true;
    spec
}

#[test]
fn nothing_wanted_is_the_base_image_with_labels() {
    both("nothing", &nothing(), &profile("busybox", "", None));
}

#[test]
fn debian_and_ubuntu() {
    let mut spec = apt_and_pip();
    both("debian12", &spec, &apt("debian", "12"));
    both("debian12_python", &spec, &debian_python());
    both(
        "debian12_services",
        &with_services(spec.clone()),
        &apt("debian", "12"),
    );
    spec.system.mirror = Some(mirror(MirrorKind::Apt, "ubuntu-18.04.list"));
    spec.pip.mirror = Some(mirror(MirrorKind::Pip, "pip.conf"));
    both("ubuntu1804", &spec, &apt("ubuntu", "18.04"));
    spec.system.mirror = Some(mirror(MirrorKind::Apt, "ubuntu-20.04.list"));
    both(
        "ubuntu2004_python",
        &spec,
        &with_python(apt("ubuntu", "20.04"), "3.8"),
    );
    spec.system.mirror = Some(mirror(MirrorKind::Apt, "ubuntu-24.04.sources"));
    both("ubuntu2404", &spec, &apt("ubuntu", "24.04"));
}

#[test]
fn the_yum_family() {
    let mut spec = nothing();
    spec.system.manager = Some(PackageManager::Yum);
    spec.system.packages = packages(&["vim", "git=2.27.0", "@development"]);
    spec.pip.requirements = vec!["torch==1.13.1".into()];
    both(
        "rocky8",
        &with_services(spec.clone()),
        &yum("rocky", "8.9", true),
    );
    both("openeuler", &spec, &yum("openeuler", "22.03", true));
    both("anolis", &spec, &yum("anolis", "8.8", true));
    both("kylin", &spec, &yum("kylin", "V10", true));
    spec.system.mirror = Some(mirror(MirrorKind::Yum, "Centos-7.repo"));
    both("centos7", &spec, &yum("centos", "7", false));
    spec.system.mirror = Some(mirror(MirrorKind::Yum, "Centos-8.repo"));
    both("centos8", &spec, &yum("centos", "8", true));
}

#[test]
fn everything_from_the_catalog() {
    let mut spec = nothing();
    spec.python = Some(python(PYTHON_SOURCE));
    spec.pip.get_pip = true;
    spec.pip.requirements = vec!["numpy".into()];
    spec.conda.installer = Some(tool(ToolKind::Conda, MINICONDA));
    spec.conda.mirror = Some(mirror(MirrorKind::Conda, ".condarc"));
    spec.conda.packages = vec!["scipy=1.9.3".into(), "python>=3.8,<3.9".into()];
    both("source_and_conda_apt", &spec, &apt("ubuntu", "18.04"));
    both(
        "source_and_conda_yum",
        &with_services(spec.clone()),
        &yum("centos", "7", false),
    );
    spec.python = Some(python(PYTHON_PREBUILT));
    both("prebuilt_and_conda", &spec, &apt("debian", "12"));
    let mut minimal = nothing();
    minimal.python = Some(python(PYTHON_PREBUILT));
    minimal.system.mirror = Some(mirror(MirrorKind::Yum, "Centos-7.repo"));
    both("prebuilt_centos7", &minimal, &yum("centos", "7", false));
    spec.python = None;
    both("get_pip_in_venv", &spec, &debian_python());
    spec.python = Some(python("Python-2.7.18.tar.xz"));
    both("python2", &spec, &apt("debian", "12"));
}

#[test]
fn what_unpacks_a_prebuilt_tree_comes_from_the_chosen_mirror() {
    let mut spec = nothing();
    spec.python = Some(python(PYTHON_PREBUILT_XZ));
    for (file, kind, profile, unpacker) in [
        (
            "debian-12.list",
            MirrorKind::Apt,
            apt("debian", "12"),
            "xz-utils",
        ),
        (
            "Centos-8.repo",
            MirrorKind::Yum,
            yum("centos", "8", true),
            "tar xz",
        ),
    ] {
        spec.system.mirror = Some(mirror(kind, file));
        for dialect in [Dialect::BuildKit, Dialect::Classic] {
            let text = render(&spec, &profile, dialect).dockerfile;
            let (stage, _) = text.split_once("# The image.").unwrap();
            let (before, after) = stage.split_once(unpacker).unwrap();
            assert!(before.contains("COPY [\"mirrors/"), "{stage}");
            assert!(before.contains("command -v xz"), "{stage}");
            assert!(after.contains("tar -xJf /mnt/python.tar.xz"), "{stage}");
        }
    }
    // A list of Debian's needs no unpacker for gzip, so the stage needs no mirror.
    spec.python = Some(python(PYTHON_PREBUILT));
    spec.system.mirror = Some(mirror(MirrorKind::Apt, "debian-12.list"));
    let text = render(&spec, &apt("debian", "12"), Dialect::BuildKit).dockerfile;
    assert_eq!(text.matches("mirrors/apt.list").count(), 1, "{text}");
}

#[test]
fn packages_join_an_environment_that_exists() {
    let mut spec = nothing();
    spec.conda.packages = vec!["scipy=1.9.3".into()];
    let there = with_conda(apt("debian", "12"), &["base", "default"]);
    let text = render(&spec, &there, Dialect::BuildKit).dockerfile;
    assert!(
        text.contains("/opt/conda/bin/conda install -y -n default scipy=1.9.3"),
        "{text}"
    );
    let missing = with_conda(apt("debian", "12"), &["base"]);
    let text = render(&spec, &missing, Dialect::BuildKit).dockerfile;
    assert!(
        text.contains("/opt/conda/bin/conda create -y -n default scipy=1.9.3"),
        "{text}"
    );
}

#[test]
fn an_installer_updates_the_conda_of_an_earlier_build_and_keeps_its_environments() {
    let mut spec = nothing();
    spec.conda.installer = Some(tool(ToolKind::Conda, MINICONDA));
    spec.conda.packages = vec!["scipy=1.9.3".into()];
    let mut there = with_conda(apt("debian", "12"), &["base", "default"]);
    let ours = "/usr/local/dros/conda/bin/conda";
    there.conda.as_mut().unwrap().path = ours.to_owned();
    for dialect in [Dialect::BuildKit, Dialect::Classic] {
        let text = render(&spec, &there, dialect).dockerfile;
        let installer = "sh /mnt/conda.sh -b -u -p /usr/local/dros/conda;";
        assert!(text.contains(installer), "{text}");
        assert!(
            text.contains(&format!("{ours} install -y -n default scipy=1.9.3")),
            "{text}"
        );
        assert_eq!(
            text.contains("rm -rf /usr/local/dros/conda\nCOPY --from=conda-build"),
            dialect == Dialect::Classic,
            "{text}"
        );
    }
    // Another conda stays as it is; the new one has environments of its own.
    let elsewhere = with_conda(apt("debian", "12"), &["base", "default"]);
    let text = render(&spec, &elsewhere, Dialect::BuildKit).dockerfile;
    assert!(
        text.contains(&format!("{ours} create -y -n default scipy=1.9.3")),
        "{text}"
    );
}

#[test]
fn what_does_not_depend_on_each_other_is_made_in_stages_of_its_own() {
    let mut spec = nothing();
    spec.system.packages = packages(&["git", "vim"]);
    spec.pip.mirror = Some(mirror(MirrorKind::Pip, "pip.conf"));
    spec.pip.requirements = vec!["numpy".into()];
    spec.conda.installer = Some(tool(ToolKind::Conda, MINICONDA));
    spec.conda.mirror = Some(mirror(MirrorKind::Conda, ".condarc"));
    spec.conda.packages = vec!["scipy=1.9.3".into()];
    let text = render_linked(&spec, &debian_python(), &catalog());
    insta::assert_snapshot!("apart_and_linked", text);

    // What pip compiles may need these, so it stands on them.
    for needed in ["libpq-dev", "gcc", "python3-numpy", "build-essential"] {
        spec.system.packages = packages(&["git", needed]);
        let text = render_linked(&spec, &debian_python(), &catalog());
        let (ground, after) = text.split_once("FROM ground AS python-packages").unwrap();
        assert!(ground.contains(needed), "{text}");
        assert!(!after.contains(needed), "{text}");
    }
    // An environment that an earlier build made is changed in its place.
    spec.system.packages = packages(&["git"]);
    let mut again = debian_python();
    again.config.env = vec!["PATH=/usr/local/dros/venv/bin:/usr/bin:/bin".into()];
    let text = render_linked(&spec, &again, &catalog());
    assert!(!text.contains("AS ground"), "{text}");
}

#[test]
fn user_entrypoint_and_command_hold() {
    both(
        "application_without_services",
        &apt_and_pip(),
        &application("app:staff"),
    );
    both(
        "application_with_services",
        &with_services(apt_and_pip()),
        &application("app"),
    );
    let plan = render(
        &with_services(nothing()),
        &application("1001"),
        Dialect::BuildKit,
    );
    let sudoers = plan
        .files
        .iter()
        .find(|file| file.path == "ssh/sudoers")
        .unwrap();
    assert_eq!(
        sudoers.source,
        ContextSource::Inline(
            "#1001 ALL=(root) NOPASSWD: /usr/local/dros/libexec/fastbuild-sshd \"\"\n".to_owned()
        )
    );
    assert!(
        plan.dockerfile
            .contains("echo 'uid1001:*:1001:0::/:/bin/sh' >> /etc/passwd")
    );
}

#[test]
fn an_image_made_by_an_earlier_build_starts_its_services_once() {
    let mut profile = application("");
    profile
        .config
        .entrypoint
        .insert(0, "/usr/local/dros/bin/fastbuild-start".to_owned());
    let text = render(&with_services(nothing()), &profile, Dialect::BuildKit).dockerfile;
    assert!(
        text.contains(
            r#"ENTRYPOINT ["/usr/local/dros/bin/fastbuild-start", "/entry.sh", "it's \"$HOME\""]"#
        ),
        "{text}"
    );
}

#[test]
fn the_same_request_gives_the_same_plan_and_only_the_end_names_the_build() {
    let spec = with_services(apt_and_pip());
    let first = render(&spec, &debian_python(), Dialect::BuildKit);
    assert_eq!(first, render(&spec, &debian_python(), Dialect::BuildKit));
    assert_eq!(
        first.secrets,
        [PlanSecret::SshPasswordHash, PlanSecret::JupyterPasswordHash]
    );
    let number = TASK.to_string();
    let rest = first.dockerfile.split_once(&number).unwrap().0;
    assert!(
        rest.trim_end_matches("    : build ")
            .ends_with("set -eu; cd /; \\\n"),
        "{rest}"
    );
    assert_eq!(
        first.dockerfile.matches("RUN ").count(),
        rest.matches("RUN ").count()
    );
}

#[test]
fn conda_channels_are_given_in_their_order_and_the_pip_part_goes_into_the_environment() {
    let mut spec = nothing();
    spec.conda.packages = vec!["python=3.10".into(), "pip".into()];
    spec.conda.channels.names = vec!["pytorch".into(), "defaults".into()];
    spec.conda.pip = vec!["flask==3.0.3".into()];
    let base = with_conda(apt("debian", "12"), &["base"]);
    let unwrapped = |text: &str| text.replace(" \\\n       ", "");
    let text = unwrapped(&render(&spec, &base, Dialect::BuildKit).dockerfile);
    let create = "create -y -n default --channel pytorch --channel defaults python=3.10 pip";
    assert!(text.contains(create), "{text}");
    assert!(
        text.contains("\"$prefix/bin/python\" -m pip install"),
        "{text}"
    );
    assert!(!text.contains("--override-channels"), "{text}");

    spec.conda.channels.without_defaults = true;
    spec.jupyter_lab = true;
    let plan = render(&spec, &with_python(base, "3.11"), Dialect::BuildKit);
    assert!(
        plan.dockerfile
            .contains("--override-channels --channel pytorch"),
        "{}",
        plan.dockerfile
    );
    assert!(
        plan.dockerfile.contains(" ipykernel"),
        "{}",
        plan.dockerfile
    );
    assert!(
        plan.files
            .iter()
            .any(|file| file.path == "jupyter/kernel.json")
    );
}
