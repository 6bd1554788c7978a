//! What the scripts of a plan do, run for real.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use fastbuild_spec::{
    catalog::{MirrorKind, ToolKind},
    image_spec::ImageSpec,
    plan::{ContextSource, Dialect},
    profile::ImageProfile,
};
use parse_dockerfile::{Command as Run, Instruction};

use crate::{plan_support::*, render, render_linked, with_services};

/// A base image's `SHELL` may be any of these.
const SHELLS: [&[&str]; 2] = [&["sh", "-c"], &["bash", "-eo", "pipefail", "-c"]];

/// An empty folder for one test.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("plan-shell-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// From `start` to the end of `end` in the one `RUN` of the plan that has `start`.
fn excerpt(spec: &ImageSpec, profile: &ImageProfile, start: &str, end: &str) -> String {
    let plan = render(spec, profile, Dialect::BuildKit);
    excerpt_of(&plan.dockerfile, start, end)
}

fn excerpt_of(text: &str, start: &str, end: &str) -> String {
    let dockerfile = parse_dockerfile::parse(text).unwrap();
    let found = dockerfile.instructions.iter().find_map(|instruction| {
        let Instruction::Run(run) = instruction else {
            return None;
        };
        let Run::Shell(script) = &run.arguments else {
            return None;
        };
        let from = script.value.find(start)?;
        let to = from + script.value[from..].find(end)? + end.len();
        Some(script.value[from..to].to_owned())
    });
    found.unwrap_or_else(|| panic!("no {start} in {text}"))
}

/// Runs a script with `programs` first on PATH; its output.
fn run(shell: &[&str], script: &str, programs: &Path) -> Result<String, String> {
    let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", programs.display());
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .arg(script)
        .env("PATH", path)
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() {
        Ok(text)
    } else {
        Err(text)
    }
}

#[test]
fn a_package_may_be_called_like_a_word_of_the_shell() {
    let words = ["then", "nodejs-else", "do", "else"];
    for last in words {
        let mut spec = nothing();
        spec.ssh = true;
        spec.system.packages = packages(&["git", last]);
        spec.pip.requirements = vec![last.to_owned()];
        spec.conda.packages = vec![last.to_owned()];
        for base in [
            apt("debian", "12"),
            yum("centos", "7", false),
            yum("centos", "8", true),
        ] {
            let base = with_conda(base, &["base"]);
            spec.ssh = true;
            render(&spec, &base, Dialect::BuildKit);
            spec.ssh = false;
            render(&spec, &base, Dialect::Classic);
        }
    }
}

#[test]
fn a_compiled_pythons_libraries_are_found_though_ldd_fails_for_scripts() {
    let mut spec = nothing();
    spec.python = Some(python(PYTHON_SOURCE));
    let list = "$prefix/.fastbuild-runtime-packages\"";
    let script = excerpt(
        &spec,
        &apt("debian", "12"),
        "{ find \"$prefix/bin\" ",
        &format!("cat \"{list}"),
    );
    let folder = folder("ldd");
    for part in ["programs", "prefix/bin", "prefix/lib"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    program(
        &folder.join("programs/dpkg-query"),
        "#!/bin/sh\nfile=${2##*/}\necho \"for-${file%%.*}:amd64: $2\"\n",
    );
    program(&folder.join("prefix/bin/pip"), "#!/bin/sh\n");
    let script = script.replace("/tmp/", &format!("{}/", folder.display()));
    let script = format!("set -eu; prefix='{}/prefix'; {script}", folder.display());
    for shell in SHELLS {
        assert_eq!(
            run(shell, &script, &folder.join("programs")).unwrap(),
            "",
            "{shell:?}"
        );
    }
    fs::copy("/bin/sh", folder.join("prefix/bin/python")).unwrap();
    for shell in SHELLS {
        assert_eq!(
            run(shell, &script, &folder.join("programs")).unwrap(),
            "for-libc\n",
            "{shell:?}"
        );
    }
}

#[test]
fn login_by_password_wins_over_whatever_the_image_says_and_is_written_once() {
    let mut spec = nothing();
    spec.ssh = true;
    let script = excerpt(
        &spec,
        &apt("debian", "12"),
        "if [ \"$(head -n 1 /etc/ssh/sshd_config)\"",
        "\n    fi",
    );
    let ours = [
        "# Login by password. The first value of a setting counts.",
        "PermitRootLogin yes",
        "PasswordAuthentication yes",
    ];
    for (name, own) in [
        (
            "above",
            "PermitRootLogin no\nInclude /etc/ssh/sshd_config.d/*.conf\n",
        ),
        (
            "below",
            "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\n",
        ),
        ("match", "Match User root\nPasswordAuthentication no\n"),
        ("empty", ""),
    ] {
        for shell in SHELLS {
            let folder = folder(&format!("ssh-{name}-{}", shell[0]));
            let file = folder.join("sshd_config");
            fs::write(&file, own).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            let script = script.replace("/etc/ssh/", &format!("{}/", folder.display()));
            for _ in 0..2 {
                run(shell, &format!("set -eu; {script}"), &folder).unwrap();
                let text = fs::read_to_string(&file).unwrap();
                assert_eq!(text, format!("{}\n{own}", ours.join("\n")), "{name}");
                let mode = fs::metadata(&file).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
                assert_eq!(
                    fs::read_dir(&folder).unwrap().count(),
                    1,
                    "nothing is left over"
                );
            }
        }
    }
}

/// An `rpm` that has git 2.31.1 in epoch 2, glibc for two architectures, and what provides `vim`.
const RPM: &str = r#"#!/bin/sh
case $* in
'-q git' | '-q git-2.31.1' | '-q git-2.31.1-1.el7' | '-q glibc-2.17.i686' | '-q --whatprovides vim')
    echo there ;;
'-q --qf %{EPOCHNUM}\n git-2.31.1')
    echo 2 ;;
*)
    echo "not installed: $*"
    exit 1 ;;
esac
"#;

#[test]
fn yum_3_is_asked_for_the_very_version_and_checked_for_it() {
    let folder = folder("yum");
    program(&folder.join("rpm"), RPM);
    program(&folder.join("yum"), "#!/bin/sh\necho \"$*\"\n");
    for (package, asked, there) in [
        ("git", "git", true),
        ("vim", "vim", true),
        ("nano", "nano", false),
        ("git=2.31.1", "git-2.31.1", true),
        ("git=2.31.1-1.el7", "git-2.31.1-1.el7", true),
        ("git=2.27.0", "git-2.27.0", false),
        ("git=2:2.31.1", "git-2.31.1", true),
        ("git=1:2.31.1", "git-2.31.1", false),
        ("glibc.i686=2.17", "glibc-2.17-*.i686", true),
        ("glibc.i686=2.18", "glibc-2.18-*.i686", false),
        ("@development", "@development", true),
    ] {
        let mut spec = nothing();
        spec.system.packages = packages(&[package]);
        let script = excerpt(
            &spec,
            &yum("centos", "7", false),
            "yum -y install",
            "rm -f /var/log/dnf*.log",
        );
        let script = script.replace("rm -f /var/log/dnf*.log", ":");
        for shell in SHELLS {
            let result = run(shell, &format!("set -eu; {script}"), &folder);
            assert_eq!(result.is_ok(), there, "{package}: {result:?}");
            let said = result.unwrap_or_else(|said| said);
            assert!(
                said.starts_with("-y install --setopt=keepcache=1 ")
                    && said.contains(&format!(" {asked}\n")),
                "{said}"
            );
            assert_eq!(said.contains("No package "), !there, "{said}");
        }
    }
}

#[test]
fn uv_is_told_all_that_pip_is_configured_with() {
    let mut with_uv = catalog();
    with_uv.tools.push(tool(ToolKind::Uv, "uv"));
    let mut spec = nothing();
    spec.pip.requirements = vec!["numpy".to_owned()];
    let text = render_linked(&spec, &with_python(apt("ubuntu", "20.04"), "3.8"), &with_uv);
    let script = excerpt_of(
        &text,
        "settings=$(python3 -m pip ",
        "UV_INDEX_STRATEGY=unsafe-best-match",
    );
    let script = format!(
        "set -eu; export UV_INDEX=https://of.the.base.example; {script}; fi; echo \"[${{UV_DEFAULT_INDEX-}}] [${{UV_INDEX-}}] [${{UV_INSECURE_HOST-}}]\""
    );
    let folder = folder("uv");
    for (settings, told) in [
        ("", "[] [] []"),
        (
            r"global.index-url='https://a.example/simple'
global.timeout='60'
:env:.disable-pip-version-check='1'",
            "[https://a.example/simple] [] []",
        ),
        // A value of several lines, one with the quote that is usual, and the order in which pip takes them.
        (
            r#":env:.trusted-host='b.example'
global.extra-index-url='\nhttps://b.example/simple\nhttps://c.example/simple'
global.index-url="https://it's.example/simple"
install.trusted-host='a.example'"#,
            "[https://it's.example/simple] [ https://b.example/simple https://c.example/simple] [b.example]",
        ),
    ] {
        fs::write(folder.join("settings"), format!("{settings}\n")).unwrap();
        program(
            &folder.join("python3"),
            &format!("#!/bin/sh\ncat {}/settings\n", folder.display()),
        );
        for shell in SHELLS {
            assert_eq!(run(shell, &script, &folder).unwrap().trim_end(), told);
        }
    }
    // What uv has no word for is pip's.
    for (settings, key) in [
        (r"global.no-index='true'", "no-index"),
        (r":env:.constraint='/opt/constraints.txt'", "constraint"),
        (r"install.only-binary=':all:'", "only-binary"),
    ] {
        fs::write(folder.join("settings"), format!("{settings}\n")).unwrap();
        for shell in SHELLS {
            let said = run(shell, &script, &folder).unwrap();
            let reason =
                format!("pip installs, since it is configured with more than uv has: {key}\n");
            assert!(said.starts_with(&reason), "{said}");
        }
    }
    // A pip that cannot tell is no reason to fail.
    program(&folder.join("python3"), "#!/bin/sh\nexit 1\n");
    assert_eq!(
        run(SHELLS[1], &script, &folder).unwrap().trim_end(),
        "[] [] []"
    );
}

#[test]
fn dnf_takes_an_epoch_before_the_version_and_an_architecture_after_it() {
    let mut spec = nothing();
    spec.system.packages = packages(&[
        "vim-enhanced=2:8.0.1763-19.el8",
        "glibc.i686=2.28-1",
        "libgcc.i686=8.5.0",
        "python3.11=3.11.2",
        "zlib.i686",
    ]);
    let text = render(&spec, &yum("centos", "8", true), Dialect::BuildKit).dockerfile;
    let words: Vec<&str> = text.split_whitespace().collect();
    for word in [
        "vim-enhanced-2:8.0.1763-19.el8",
        "glibc-2.28-1.i686",
        "'libgcc-8.5.0-*.i686'",
        "python3.11-3.11.2",
        "zlib.i686;",
    ] {
        assert!(words.contains(&word), "{word} in {text}");
    }
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

/// What a container does that is started without input, by the start script of an image on a base whose own command is
/// `own`: it waits for its services, or runs `words`.
fn started(own: &[&str], words: &[&str]) -> String {
    let mut base = apt("debian", "12");
    base.config.command = own.iter().map(|word| (*word).to_owned()).collect();
    let plan = render(&with_services(nothing()), &base, Dialect::BuildKit);
    let start = plan
        .files
        .iter()
        .find(|file| file.path == "start/fastbuild-start")
        .unwrap();
    let ContextSource::Inline(script) = &start.source else {
        panic!("not ours")
    };
    let script = script
        .replace("\"$helpers/fastbuild-wait\"", "echo waits")
        .replace("[ -x \"$helpers/fastbuild-jupyter\" ]", "true")
        .replace("\"$helpers/fastbuild-jupyter\"", "true");
    let output = Command::new("sh")
        .args(["-c", &script, "fastbuild-start"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    format!("{}{}", text.trim(), output.status.code().unwrap())
}

#[test]
fn a_command_that_only_reads_its_input_is_replaced_by_waiting() {
    for words in [
        &["python3"][..],
        &["/usr/local/bin/python3.12", "-q"],
        &["bash", "-l"],
        &["/bin/sh", "-c", "bash"],
        &["/bin/sh", "-c", "exec python3 -i"],
        &["/usr/bin/env", "ipython"],
        &["tini", "--", "/bin/zsh"],
        &["/usr/bin/tini", "-g", "--", "R"],
        &["node"],
        &["start-notebook.sh"],
        &["jupyter", "lab", "--ip=0.0.0.0"],
        &[
            "bash",
            "-c",
            "source /etc/bash.bashrc && jupyter notebook --ip 0.0.0.0",
        ],
        &[],
    ] {
        assert_eq!(started(&[], words), "waits0", "{words:?}");
    }
    for words in [
        &["echo", "runs"][..],
        &["sh", "-c", "echo runs"],
        &["bash", "-c", "echo runs;"],
        &["python3", "-c", "print('runs')"],
        &["env", "A=b", "echo", "runs"],
    ] {
        assert_eq!(started(&[], words), "runs0", "{words:?}");
    }
}

#[test]
fn a_container_outlives_its_images_own_command_if_that_ends_well() {
    let own = ["sh", "-c", "echo own; :"];
    assert_eq!(started(&own, &own), "own\nwaits0");
    assert_eq!(started(&own, &["sh", "-c", "echo other; :"]), "other0");
    let fails = ["sh", "-c", "echo fails; exit 7"];
    assert_eq!(started(&fails, &fails), "fails7");
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
            .replace("command -v flock", "false")
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
fn only_the_distributions_own_repositories_make_way_for_the_mirror() {
    let mut spec = nothing();
    spec.system.mirror = Some(mirror(MirrorKind::Yum, "Centos-8.repo"));
    let script = excerpt(
        &spec,
        &yum("centos", "8", true),
        "cd /etc/yum.repos.d",
        "rm -f \"$file\"; fi;",
    );
    let folder = folder("repositories");
    let repositories = folder.join("yum.repos.d");
    for part in ["programs", "yum.repos.d"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    program(
        &folder.join("programs/rpm"),
        "#!/bin/sh\nfor file; do :; done\ncase $file in\n*/owned.repo) echo tencentos-release ;;\n\
         *) echo \"file $file is not owned by any package\"; exit 1 ;;\nesac\n",
    );
    fs::write(folder.join("os-release"), "ID=\"Vendix\"\n").unwrap();
    let script = script
        .replace("/etc/yum.repos.d", &repositories.display().to_string())
        .replace(
            "/etc/os-release",
            &folder.join("os-release").display().to_string(),
        );
    for shell in SHELLS {
        for (name, repository) in [
            // By its name, by the distribution's id, by its package, by what is in it.
            ("OpenCloudOS.repo", "x"),
            ("vendix-extra.repo", "x"),
            ("owned.repo", "x"),
            ("local.repo", "BaseOS"),
            ("docker-ce.repo", "docker-ce-stable"),
            ("epel.repo", "epel"),
        ] {
            fs::write(repositories.join(name), format!("[{repository}]\n")).unwrap();
        }
        run(
            shell,
            &format!("set -eu; {script} done"),
            &folder.join("programs"),
        )
        .unwrap();
        let mut left: Vec<String> = fs::read_dir(&repositories)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["docker-ce.repo", "epel.repo"], "{shell:?}");
    }
}
