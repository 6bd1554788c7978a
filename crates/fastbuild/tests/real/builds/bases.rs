//! Base images as sites have them: with commands, settings and repositories of their own.

use std::collections::BTreeSet;

use fastbuild_testkit::{base_image, container::Container, request::Request};

use crate::support::installation::{EngineKind, Installation};

const PASSWORD: &str = "Alkaid123456";

/// A base image of this test alone: `lines` of a Dockerfile on one of the environment's.
fn base(installation: &Installation, from: &str, lines: &str) -> String {
    base_image::make(
        &installation.env,
        &installation.env.engine_plain,
        &format!("test/{}-base:1", installation.token),
        &format!("FROM {}\n{lines}\n", installation.base(from)),
    )
    .unwrap()
}

fn start(installation: &Installation, image: &str, options: &[&str]) -> Container {
    let engine = &installation.env.engine_plain;
    Container::start(&installation.env, engine, image, options).unwrap()
}

/// The lines that `env` prints, without those that every session has of its own.
fn variables(text: &str) -> BTreeSet<String> {
    const SESSION: [&str; 13] = [
        "HOME=",
        "LANG=",
        "LOGNAME=",
        "MAIL=",
        "MOTD_SHOWN=",
        "PWD=",
        "SHELL=",
        "SHLVL=",
        "SSH_",
        "TERM=",
        "USER=",
        "_=",
        "OLDPWD=",
    ];
    text.lines()
        .filter(|line| !SESSION.iter().any(|name| line.starts_with(name)))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn an_interpreter_as_command_does_not_end_the_services_and_logins_have_the_variables() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let base = base(
        &installation,
        &installation.env.images.python.clone(),
        "ENV LD_LIBRARY_PATH=/opt/vendor/lib QUOTED=\"a \\\"b\\\" # c\"\nENTRYPOINT []\nCMD [\"python3\"]",
    );
    let target = installation.target("1");
    installation
        .build(&Request::new(&base, &target).ssh(PASSWORD))
        .await;

    let running = start(&installation, &target, &["--env", "RUN_TIME=two words"]);
    let by_ssh = running.ssh(PASSWORD, "env").await.unwrap();
    assert!(
        by_ssh.contains("LD_LIBRARY_PATH=/opt/vendor/lib"),
        "{by_ssh}"
    );
    let of_container = variables(&running.exec(&["env"]).unwrap());
    assert_eq!(variables(&by_ssh), of_container);
    let login_shell = running.ssh(PASSWORD, "bash -lc env").await.unwrap();
    assert_eq!(variables(&login_shell), of_container);
    assert!(running.is_running().unwrap());
}

#[tokio::test]
async fn the_ordered_password_and_port_win_over_the_bases_own_jupyter() {
    let installation = Installation::configured(EngineKind::PlainEngine).await;
    let settings = r#"{"ServerApp": {"port": 9999, "ip": "127.0.0.1", "base_url": "/x/"}, "IdentityProvider": {"token": "left-by-the-maker"}}"#;
    let base = base(
        &installation,
        &installation.env.images.python.clone(),
        &format!(
            "RUN mkdir -p /root/.jupyter && echo '{settings}' > /root/.jupyter/jupyter_server_config.json \\\n\
             && echo 'c.IdentityProvider.token = \"left-by-the-maker\"' > /root/.jupyter/jupyter_lab_config.py\n\
             ENV JUPYTER_TOKEN=left-by-the-maker JUPYTER_PORT=9998\n\
             CMD [\"start-notebook.sh\"]"
        ),
    );
    let target = installation.target("1");
    installation
        .build(&Request::new(&base, &target).jupyter_lab(PASSWORD))
        .await;
    let running = start(&installation, &target, &[]);
    assert!(running.jupyter_login(PASSWORD).await.unwrap());
    assert!(!running.jupyter_login("left-by-the-maker").await.unwrap());
    let url = format!(
        "http://127.0.0.1:{}/api/contents?token=left-by-the-maker",
        running.port(8888).unwrap()
    );
    let status = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(url)
        .send()
        .await
        .unwrap()
        .status();
    assert_eq!(status.as_u16(), 403);
}

/// A repository of one package in a folder of the image, with a Release that says `label`.
fn local_repository(label: &str) -> String {
    format!(
        "RUN mkdir -p /srv/repository /tmp/p/DEBIAN && cd /srv/repository \\\n\
         && printf 'Package: fastbuild-sample\\nVersion: 1\\nArchitecture: all\\nMaintainer: m <m@m.example>\\nDescription: d\\n' > /tmp/p/DEBIAN/control \\\n\
         && dpkg-deb -b /tmp/p /srv/repository/sample_1_all.deb > /dev/null \\\n\
         && {{ cat /tmp/p/DEBIAN/control; printf 'Filename: ./sample_1_all.deb\\nSize: %s\\nSHA256: %s\\n' $(stat -c %s sample_1_all.deb) $(sha256sum sample_1_all.deb | cut -d' ' -f1); }} > Packages \\\n\
         && printf 'Origin: o\\nLabel: {label}\\nSuite: s\\nDate: Mon, 30 Nov 2026 00:00:00 UTC\\nSHA256:\\n %s %s Packages\\n' $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) > Release \\\n\
         && rm -f /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] file:/srv/repository ./' > /etc/apt/sources.list"
    )
}

#[tokio::test]
async fn a_repository_that_changed_its_label_or_lost_its_release_does_not_fail_later_builds() {
    let variables = [("BUILDS__PACKAGE_LISTS_FRESH_MINUTES", "0")];
    let installation = Installation::configured_with(EngineKind::PlainEngine, &variables).await;
    let from = installation.env.images.debian.clone();
    for (tag, lines) in [
        ("1", local_repository("Vendor")),
        ("2", local_repository("Vendor stable")),
    ] {
        let base = base(&installation, &from, &lines);
        let target = installation.target(tag);
        installation
            .build(
                &Request::new(&base, &target)
                    .system("apt", &["fastbuild-sample"])
                    .afresh(),
            )
            .await;
    }
    // A list that cannot be had ends no build that needs nothing of it.
    let broken = format!(
        "{}\nRUN echo 'deb file:/srv/nowhere ./' > /etc/apt/sources.list.d/vendor.list",
        local_repository("Vendor stable")
    );
    let base = base(&installation, &from, &broken);
    installation
        .build(
            &Request::new(&base, &installation.target("3"))
                .system("apt", &["fastbuild-sample"])
                .afresh(),
        )
        .await;
}
