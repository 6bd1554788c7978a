//! The script run by the shells of this machine, and the parser on outputs of other images.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use super::*;
use crate::distro::Family;

fn profile(output: &str) -> ImageProfile {
    parse(output, "sha256:0", 1, "amd64", ImageConfig::default()).unwrap()
}

/// The shells this machine has, of those the script is written for.
fn shells() -> Vec<Vec<&'static str>> {
    [
        vec!["sh"],
        vec!["dash"],
        vec!["bash", "--posix"],
        vec!["busybox", "ash"],
    ]
    .into_iter()
    .filter(|shell| {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", "exit 0"]);
        command.stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
    .collect()
}

#[test]
fn the_script_tells_the_same_of_this_machine_under_every_shell() {
    let shells = shells();
    assert!(!shells.is_empty());
    for shell in shells {
        let output = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", SCRIPT])
            .output()
            .unwrap();
        assert!(output.status.success(), "{shell:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell:?}");
        let profile = profile(&String::from_utf8_lossy(&output.stdout));
        assert!(
            profile.kernel.starts_with("Linux"),
            "{shell:?}: {profile:?}"
        );
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        for (key, value) in [
            ("ID", &profile.os.id),
            ("VERSION_ID", &profile.os.version_id),
        ] {
            let line = release
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{key}=")));
            assert_eq!(
                line.map(unquote).unwrap_or_default().to_lowercase(),
                *value,
                "{shell:?}"
            );
        }
    }
}

#[test]
fn pip_is_started_only_where_the_package_cannot_be_asked() {
    let folder = std::env::temp_dir().join(format!("fastbuild-probe-{}", std::process::id()));
    let package = folder.join("pip");
    std::fs::create_dir_all(&package).unwrap();
    std::fs::create_dir_all(folder.join("bin")).unwrap();
    let command = folder.join("bin/pip");
    let script = "#!/usr/bin/env python3\nprint('pip 0 from its command (python 0)')\n";
    std::fs::write(&command, script).unwrap();
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}/bin:/usr/local/bin:/usr/bin:/bin", folder.display());
    for (version, of_package) in [("23.0.1", true), ("19.3", false), ("", false)] {
        let text = format!("__version__ = {version:?}\n");
        std::fs::write(package.join("__init__.py"), text).unwrap();
        for shell in shells() {
            let output = Command::new(shell[0])
                .args(&shell[1..])
                .args(["-c", SCRIPT])
                .env("PATH", &path)
                .env("PYTHONPATH", &folder)
                .output()
                .unwrap();
            let profile = profile(&String::from_utf8_lossy(&output.stdout));
            let pip = profile.pips.iter().find(|pip| pip.command == "pip");
            let told = &pip.unwrap().version;
            let start = if of_package {
                format!("pip {version} from {} (python 3.", package.display())
            } else {
                "pip 0 from its command (python 0)".to_owned()
            };
            assert!(told.starts_with(&start), "{shell:?}: {told}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

const CENTOS: &str = r#"
@@begin 1
@@kernel Linux 511ae466efe4 5.15.0-generic #1 SMP x86_64 GNU/Linux
@@os NAME="CentOS Linux"
@@os VERSION="7 (Core)"
@@os ID="centos"
@@os ID_LIKE="rhel fedora"
@@os VERSION_ID="7"
@@release CentOS Linux release 7.9.2009 (Core)
@@release CentOS Linux release 7.9.2009 (Core)
@@python.python2 Python 2.7.5
@@python.python Python 2.7.5
bash: warning: setlocale: LC_ALL: cannot change locale
@@yum.command yum
@@yum 3.4.3
@@yum.host mirrors.163.com
@@yum.host mirrors.aliyun.com
@@yum.host notaliyun.com
@@pip.host pypi.tuna.tsinghua.edu.cn
@@conda.path /usr/local/dros/conda/bin/conda
@@conda.environment # conda environments:
@@conda.environment #
@@conda.environment base                  *  /usr/local/dros/conda
@@conda.environment default                  /usr/local/dros/conda/envs/default
@@conda.environment                          /somewhere/else
@@conda conda 23.1.0
@@conda.host mirrors.ustc.edu.cn
@@sshd.path /usr/sbin/sshd
@@sshd unknown option -- V
@@sshd OpenSSH_7.4p1, OpenSSL 1.0.2k-fips  26 Jan 2017
@@sshd.package 7.4p1-23.el7_9
@@jupyter_lab 3.6.8
@@end 1
"#;

#[test]
fn a_centos_with_everything_is_read() {
    let profile = profile(CENTOS);
    insta::assert_json_snapshot!("centos_profile", profile);
    insta::assert_json_snapshot!(
        "centos_descriptor",
        crate::profile::Descriptor::new("10.0.0.9/base/centos:7", &profile)
    );
}

const UBUNTU: &str = r#"@@begin 1
@@kernel Linux 511ae466efe4 5.15.0-generic #1 SMP x86_64 GNU/Linux
@@os NAME="Ubuntu"
@@os VERSION="18.04.6 LTS (Bionic Beaver)"
@@os ID=ubuntu
@@os ID_LIKE=debian
@@os VERSION_ID="18.04"
@@os VERSION_CODENAME=bionic
@@python.python3 Python 3.11.2
@@python3 managed
@@python3 Traceback (most recent call last):
@@pip.pip3 pip 23.0.1 from /usr/lib/python3/dist-packages/pip (python 3.11)
@@pip.pip pip 23.0.1 from /usr/lib/python3/dist-packages/pip (python 3.11)
@@apt apt 2.6.1 (amd64)
@@apt.host archive.ubuntu.com
@@end 1
"#;

#[test]
fn the_descriptor_of_an_ubuntu_is_the_recorded_one() {
    let mut profile = profile(UBUNTU);
    profile.image_id =
        "sha256:e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d".into();
    assert!(profile.externally_managed);
    assert!(!profile.has_venv);
    let recorded: serde_json::Value =
        serde_json::from_str(include_str!("../tests/answers/check-image.json")).unwrap();
    let descriptor = crate::profile::Descriptor::new("10.0.0.9/base/ubuntu:18.04", &profile);
    let recorded = recorded["answer"]["data"].clone();
    assert_eq!(serde_json::to_value(&descriptor).unwrap(), recorded);
    assert_eq!(
        serde_json::from_value::<crate::profile::Descriptor>(recorded).unwrap(),
        descriptor
    );
}

#[test]
fn an_image_with_both_managers_has_the_one_of_its_family() {
    let both = "@@apt apt 2.6.1 (amd64)\n@@dnf yes\n@@yum.command yum\n@@yum Failed to open log file\n@@yum 4.14.0\n";
    for (os, family, kind) in [
        ("@@os ID=centos\n", "RedHat(CentOs)", PackageManager::Yum),
        ("@@os ID=debian\n", "Debian", PackageManager::Apt),
        ("@@os ID=strange\n", "Debian", PackageManager::Apt),
    ] {
        let profile = profile(&format!("@@begin 1\n{os}{both}@@end 1\n"));
        assert_eq!(format!("{:?}", profile.family()), family);
        let found = profile.package_manager.unwrap();
        assert_eq!(found.kind, kind);
        assert!(found.has_dnf);
        assert!(
            found.version.ends_with(|c: char| "0)".contains(c)),
            "{found:?}"
        );
    }
    assert_eq!(profile("@@end 1\n").family(), Family::Unknown);
}

#[test]
fn an_output_without_an_end_is_no_finding() {
    let error = parse(
        "@@begin 1\n@@os ID=x\nsh: 9: Cannot fork\n",
        "sha256:0",
        1,
        "amd64",
        ImageConfig::default(),
    )
    .unwrap_err();
    assert_eq!(
        error.failure("r.example/a:1").message.en,
        "The image r.example/a:1 cannot be inspected: the probe did not run to its end; its last \
         line was \"sh: 9: Cannot fork\"."
    );
}
