//! What a plan renders, over a matrix of requests and base images.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that does not parse is a broken test"
)]

mod plan_support;

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use fastbuild_spec::{
    catalog::{MirrorKind, ToolKind},
    failure::{Language, ReasonCode},
    image_spec::{ImageSpec, PackageManager},
    plan::{BuildPlan, ContextSource, Dialect, PlanContext, PlanSecret, check, plan},
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
            task_id: TASK,
        },
    )
    .unwrap();
    verify(&plan, spec, dialect);
    plan
}

/// What holds for every plan: it parses, its shell text parses, its files are all used, and it
/// says nothing that the dialect lacks.
fn verify(plan: &BuildPlan, spec: &ImageSpec, dialect: Dialect) {
    let text = plan.dockerfile.as_str();
    let dockerfile = parse_dockerfile::parse(text).unwrap();
    let classic = dialect == Dialect::Classic;
    let stages = 1
        + usize::from(spec.python.is_some())
        + usize::from(classic && spec.conda.installer.is_some());
    assert_eq!(dockerfile.stages().count(), stages, "{text}");
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
                        .all(|option| option.name.value == "from"),
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

/// Whether a POSIX shell reads the text without a syntax error.
fn accepts_shell(script: &str) {
    let mut shell = Command::new("sh")
        .args(["-n", "-s"])
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
    spec.python = None;
    both("get_pip_in_venv", &spec, &debian_python());
    spec.python = Some(python("Python-2.7.18.tar.xz"));
    both("python2", &spec, &apt("debian", "12"));
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
fn the_start_script_hands_over_every_word_and_waits_instead_of_a_shell_without_input() {
    let plan = render(
        &with_services(nothing()),
        &application(""),
        Dialect::BuildKit,
    );
    let start = plan
        .files
        .iter()
        .find(|file| file.path == "start/fastbuild-start")
        .unwrap();
    let ContextSource::Inline(script) = &start.source else {
        panic!("not ours")
    };
    let script = script.replace("\"$helpers/fastbuild-wait\"", "waiting");
    let run = |words: &[&str]| {
        let output = Command::new("sh")
            .args(["-c", &script, "fastbuild-start"])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // The image's entrypoint has two words here: `printf` and its format.
    assert_eq!(run(&["printf", "%s|", "it's", "a b", ""]), "it's|a b||");
    assert_eq!(run(&["printf", "%s|", "bash"]), "waiting|");
    assert_eq!(run(&["printf", "%s|", "bash", "bash"]), "bash|bash|");
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
fn hostile_words_stay_words() {
    let hostile = [
        "a'b",
        "$(touch /pwned)",
        "`id`",
        "x; exit 3",
        "\"q\" \\",
        "#c",
        "a\u{7f}b",
    ];
    let mut spec = nothing();
    spec.system.packages = packages(&hostile);
    spec.pip.requirements = hostile.map(str::to_owned).to_vec();
    spec.conda.packages = hostile.map(str::to_owned).to_vec();
    spec.maintainer = hostile.join(" ");
    spec.description = "line\nRUN touch /pwned\\".into();
    spec.python = Some(python(PYTHON_SOURCE));
    spec.python.as_mut().unwrap().install_location = "/opt/it's $(id)".into();
    let base = with_conda(apt("debian", "12"), &[]);
    for dialect in [Dialect::BuildKit, Dialect::Classic] {
        let plan = render(&spec, &base, dialect);
        let dockerfile = parse_dockerfile::parse(&plan.dockerfile).unwrap();
        for tool in ["apt-get", "pip", "conda"] {
            let words = words_given_to(tool, &dockerfile);
            assert!(
                words.windows(hostile.len()).any(|words| words == hostile),
                "{tool}: {words:?}"
            );
        }
        for file in &plan.files {
            assert!(
                file.path
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "./-_".contains(c))
            );
        }
    }
}

/// Runs the scripts with every command but the shell's own replaced by one that prints its
/// arguments, and collects those that `tool` was given.
fn words_given_to(tool: &str, dockerfile: &parse_dockerfile::Dockerfile<'_>) -> Vec<String> {
    let mut words = vec![];
    for instruction in &dockerfile.instructions {
        let Instruction::Run(run) = instruction else {
            continue;
        };
        let Run::Shell(script) = &run.arguments else {
            continue;
        };
        let wanted = match tool {
            "apt-get" => script
                .value
                .contains("install --no-install-recommends 'a'\\''b'"),
            "pip" => script.value.contains("-m pip install"),
            _ => script.value.contains("conda create"),
        };
        if !wanted {
            continue;
        }
        let last = script
            .value
            .replace("'/opt/it'\\''s $(id)/bin/python'", "show")
            .replace("/opt/conda/bin/conda", "show")
            .replace("apt-get", "show")
            .replace("mkdir -p", ":")
            .replace("rm -rf", ":");
        let shown = format!("show() {{ for word; do printf '%s\\0' \"$word\"; done; }}\n{last}");
        let output = Command::new("sh").args(["-c", &shown]).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        words.extend(text.split('\0').map(str::to_owned));
    }
    words
}

#[test]
fn what_cannot_work_is_refused() {
    let context = PlanContext {
        dialect: Dialect::BuildKit,
        task_id: TASK,
    };
    let refusal = |spec: &ImageSpec, profile: &ImageProfile| {
        let failure = plan(spec, profile, &catalog(), &context).unwrap_err();
        assert_eq!(check(spec, Some(profile), &catalog()).unwrap_err(), failure);
        format!("{}: {}", failure.code, failure.sentence(Language::English))
    };
    let debian = apt("debian", "12");
    let none = profile("busybox", "", None);
    let mut refusals = vec![];
    refusals.push(refusal(&apt_and_pip(), &none));
    let mut spec = apt_and_pip();
    spec.system.packages.clear();
    refusals.push(refusal(&spec, &none));
    refusals.push(refusal(
        &with_services(nothing()),
        &with_python(none.clone(), "3.8"),
    ));
    spec = apt_and_pip();
    spec.system.manager = Some(PackageManager::Yum);
    refusals.push(refusal(&spec, &debian));
    spec = nothing();
    spec.system.manager = Some(PackageManager::Yum);
    render(&spec, &debian, Dialect::BuildKit);
    spec.system.mirror = Some(mirror(MirrorKind::Apt, "missing.list"));
    refusals.push(refusal(&spec, &debian));
    spec = nothing();
    spec.python = Some(python("Python-3.9.9.tgz"));
    refusals.push(refusal(&spec, &debian));
    spec.python = Some(python(PYTHON_SOURCE));
    refusals.push(refusal(&spec, &none));
    spec.python = Some(python("Python-2.7.18.tar.xz"));
    spec.jupyter_lab = true;
    refusals.push(refusal(&spec, &debian));
    spec = nothing();
    spec.conda.packages = vec!["scipy=1.9.3".into()];
    refusals.push(refusal(&spec, &debian));
    spec.conda.installer = Some(tool(ToolKind::Conda, MINICONDA));
    let mut arm = debian.clone();
    arm.architecture = "arm64".into();
    refusals.push(refusal(&spec, &arm));
    insta::assert_snapshot!("refusals", refusals.join("\n"));
}

#[test]
fn without_a_profile_only_the_catalog_is_checked() {
    let mut spec = apt_and_pip();
    spec.conda.packages = vec!["scipy=1.9.3".into()];
    check(&spec, None, &catalog()).unwrap();
    spec.conda.installer = Some(tool(ToolKind::Conda, "Anaconda3-missing-Linux-x86_64.sh"));
    let failure = check(&spec, None, &catalog()).unwrap_err();
    assert_eq!(failure.code, ReasonCode::ToolMissing);
    assert_eq!(
        failure.culprit.as_deref(),
        Some("conda/Anaconda3-missing-Linux-x86_64.sh")
    );
}

#[test]
fn an_engine_without_buildkit_gets_no_passwords() {
    let context = PlanContext {
        dialect: Dialect::Classic,
        task_id: TASK,
    };
    let failure = plan(
        &with_services(nothing()),
        &debian_python(),
        &catalog(),
        &context,
    )
    .unwrap_err();
    assert_eq!(failure.code, ReasonCode::EngineUnsupported);
    assert!(failure.sentence(Language::English).contains("no BuildKit"));
}
