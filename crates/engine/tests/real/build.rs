//! BuildKit.

use std::time::Duration;

use fastbuild_engine::{
    DiskFile, Endpoint, Engine, EngineError, EngineLimits, FileSource, ImageBuild, ProgressSender,
};
use fastbuild_spec::{
    event::{Progress, StageStatus},
    failure::ReasonCode,
    settings::RegistrySettings,
};

use crate::common::{
    channel, drain, env, image, log_of, memory, plain_engine, registry, request, runs, stages,
    tls_engine, unique, until,
};

fn debian(instructions: &str) -> ImageBuild {
    let env = env();
    request(&env, &image(&env.image(&env.images.debian)), instructions)
}

#[tokio::test]
async fn build_sees_secrets_caches_and_files_and_image_keeps_only_files() {
    let env = env();
    let nonce = unique("build");
    let secret = format!("$6$salt${nonce}");
    let disk = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(disk.path(), vec![b'x'; 5_000_000]).unwrap();
    for engine in [plain_engine(&env), tls_engine(&env)] {
        let mut wanted = debian(&format!(
            "RUN --mount=type=secret,id=password : {nonce}; test \"$(cat /run/secrets/password | wc -c)\" = {} && cat /run/secrets/password && echo
RUN --mount=type=cache,target=/cache,id={nonce} echo kept > /cache/file
RUN --mount=type=cache,target=/cache,id={nonce} --mount=type=bind,source=big,target=/big cat /cache/file && wc -c /big
COPY --chmod=755 sub/script /usr/local/bin/script
RUN ls /cache /big || script",
            secret.len()
        ));
        wanted.files = vec![
            memory("sub/script", &format!("#!/bin/sh\necho {nonce}\n")),
            memory("big", ""),
        ];
        wanted.files[1].source = FileSource::Disk(DiskFile::read(disk.path().to_owned()).unwrap());
        wanted.secrets = vec![("password".into(), secret.clone().into())];
        let tag = wanted.tag.clone();

        let (sender, receiver) = channel();
        let built = engine.build(wanted.clone(), &sender).await.unwrap();
        let all = drain(sender, receiver).await;
        let log = log_of(&all);
        assert!(
            log.contains(" kept\n") && log.contains(" 5000000 /big\n"),
            "{log}"
        );
        assert!(log.contains(&format!(" {nonce}\n")), "{log}");
        assert!(log.contains(" ***\n") && !log.contains(&secret), "{log}");
        assert!(log.lines().all(|line| line.starts_with('#')), "{log}");
        assert!(log.contains("[internal] load build definition"), "{log}");
        let done = stages(&all, StageStatus::Done);
        assert!(
            done.iter()
                .any(|name| name.contains("3/6] RUN --mount=type=cache")),
            "{done:?}"
        );
        assert!(
            !done.iter().any(|name| name.contains("internal")),
            "{done:?}"
        );
        assert!(
            all.iter().any(|progress| matches!(
                progress,
                Progress::Stage {
                    number: 2,
                    total: 6,
                    status: StageStatus::Done,
                    duration_ms: Some(_),
                    ..
                }
            )),
            "{all:?}"
        );

        let found = engine.find_image(&tag).await.unwrap().unwrap();
        assert_eq!((&found.id, found.size), (&built.image_id, built.size));
        assert!(
            found
                .labels
                .get("org.fastbuild.build")
                .is_some_and(|build| *build == wanted.build_id),
            "{:?}",
            found.labels
        );
        assert_eq!(
            engine
                .run_probe(&found.id, "script; ls -A /cache; true", &nonce)
                .await
                .unwrap(),
            format!("{nonce}\n")
        );

        // Again: everything comes from the cache.
        let (sender, receiver) = channel();
        let again = engine.build(wanted, &sender).await.unwrap();
        let all = drain(sender, receiver).await;
        assert_eq!(again.image_id, built.image_id);
        let cached = stages(&all, StageStatus::Cached);
        let cached = cached
            .iter()
            .filter(|name| !name.contains("] FROM "))
            .count();
        assert_eq!(cached, 5, "{all:?}");
        engine.remove_image(&tag.to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn large_file_is_sent_once() {
    let engine = plain_engine(&env());
    let disk = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(disk.path(), vec![b'y'; 40_000_000]).unwrap();
    let name = unique("large");
    let mut seen = Vec::new();
    for round in ["one", "two"] {
        let mut wanted = debian(&format!(
            "COPY {name} /large\nCOPY small /small\nRUN cat /small"
        ));
        wanted.files = vec![memory("small", &unique(round)), memory(&name, "")];
        wanted.files[1].source = FileSource::Disk(DiskFile::read(disk.path().to_owned()).unwrap());
        let tag = wanted.tag.to_string();
        let (sender, receiver) = channel();
        engine.build(wanted, &sender).await.unwrap();
        let log = log_of(&drain(sender, receiver).await);
        seen.push(
            log.lines()
                .rfind(|line| line.contains("transferring context"))
                .unwrap()
                .to_owned(),
        );
        engine.remove_image(&tag).await.unwrap();
    }
    assert!(seen[0].contains("40.0"), "{seen:?}");
    assert!(!seen[1].contains("40.0"), "{seen:?}");
}

#[tokio::test]
async fn files_of_equal_path_size_and_mtime_are_sent_by_content() {
    let env = env();
    let engine = tls_engine(&env);
    let folder = tempfile::tempdir().unwrap();
    let name = unique("pip.conf");
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for team in ["team a", "team b", "team a"] {
        let path = folder.path().join(team);
        std::fs::write(&path, team).unwrap();
        let opened = std::fs::File::options().append(true).open(&path).unwrap();
        opened.set_modified(time).unwrap();
        let mut wanted = debian(&format!("COPY {name} /pip.conf\nRUN cat /pip.conf"));
        wanted.files = vec![memory(&name, "")];
        wanted.files[0].source = FileSource::Disk(DiskFile::read(path).unwrap());
        wanted.no_cache = true;
        let tag = wanted.tag.to_string();
        let (sender, receiver) = channel();
        engine.build(wanted, &sender).await.unwrap();
        let log = log_of(&drain(sender, receiver).await);
        assert!(log.contains(team), "{team}: {log}");
        engine.remove_image(&tag).await.unwrap();
    }
}

#[tokio::test]
async fn private_base_is_pulled_with_the_account_under_either_name() {
    let env = env();
    let engine = tls_engine(&env);
    for name in [
        env.image(&env.images.private_debian),
        env.image_dns(&env.images.private_debian),
    ] {
        let base = image(&name);
        engine.remove_image(&name).await.unwrap();
        let mut wanted = request(&env, &base, &format!("RUN echo {}", unique("private")));
        let tag = wanted.tag.to_string();
        engine
            .build(wanted.clone(), &ProgressSender::discarding())
            .await
            .unwrap();
        engine.remove_image(&tag).await.unwrap();

        // The engine now has the layers, not the right to read the name.
        wanted.registry = Some(RegistrySettings {
            password: "wrong".to_owned().into(),
            ..registry(&env)
        });
        wanted.base = image(&env.image("private/nothing:1"));
        wanted.dockerfile = format!("FROM {}\nRUN true", wanted.base);
        let error = engine
            .build(wanted, &ProgressSender::discarding())
            .await
            .unwrap_err();
        assert_eq!(
            error.failure().code,
            ReasonCode::RegistryLoginFailed,
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn unavailable_base_image_is_named() {
    let env = env();
    let engine = plain_engine(&env);
    let silent = ProgressSender::discarding();
    let missing = image(&env.image(&format!("{}:1", unique("nothing/here"))));
    let error = engine
        .build(request(&env, &missing, "RUN true"), &silent)
        .await
        .unwrap_err();
    assert_eq!(
        error.failure().code,
        ReasonCode::BaseImageNotFound,
        "{error:?}"
    );
    assert_eq!(error.failure().culprit, Some(missing.to_string()));

    let mut unknown = request(&env, &missing, "RUN true");
    unknown.registry = None;
    let error = engine.build(unknown, &silent).await.unwrap_err();
    assert_eq!(
        error.failure().code,
        ReasonCode::BaseImagePullDenied,
        "{error:?}"
    );

    let down = image("127.0.0.1:1/a/b:1");
    let error = engine
        .build(request(&env, &down, "RUN true"), &silent)
        .await
        .unwrap_err();
    assert_eq!(
        error.failure().code,
        ReasonCode::RegistryUnavailable,
        "{error:?}"
    );
}

#[tokio::test]
async fn failed_step_has_name_exit_code_and_last_lines() {
    let engine = plain_engine(&env());
    let nonce = unique("fail");
    let (sender, receiver) = channel();
    let error = engine
        .build(
            debian(&format!(
                "RUN true\nRUN printf '10%%\\r99%%\\r'; echo {nonce}; printf 'the end' >&2; exit 42"
            )),
            &sender,
        )
        .await
        .unwrap_err();
    let EngineError::StepFailed {
        stage,
        exit_code,
        lines,
        ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(*exit_code, Some(42));
    assert!(stage.contains("3/3] RUN printf"), "{stage}");
    let mut lines = lines.clone();
    lines.sort_unstable();
    assert_eq!(lines, [nonce, "the end".to_owned()]);
    let failure = error.failure();
    assert_eq!(failure.code, ReasonCode::StepFailed);
    assert_eq!(failure.last_lines.len(), 2);
    let all = drain(sender, receiver).await;
    assert_eq!(stages(&all, StageStatus::Failed), [stage.as_str()]);
}

#[tokio::test]
async fn out_of_memory_and_disk_full_have_their_own_codes() {
    let engine = plain_engine(&env());
    let silent = ProgressSender::discarding();
    let killed = engine
        .build(
            debian(&format!(
                "RUN : {}; sh -c 'kill -9 $$'; exit $?",
                unique("oom")
            )),
            &silent,
        )
        .await
        .unwrap_err();
    assert_eq!(killed.failure().code, ReasonCode::OutOfMemory, "{killed:?}");
    let full = format!(
        "RUN : {}; dd if=/dev/zero of=/dev/full bs=1 count=1",
        unique("full")
    );
    let full = engine.build(debian(&full), &silent).await.unwrap_err();
    assert_eq!(full.failure().code, ReasonCode::NoSpaceLeft, "{full:?}");
}

#[tokio::test]
async fn unparsable_dockerfile_is_engine_unsupported() {
    let engine = plain_engine(&env());
    let error = engine
        .build(debian("NONSENSE"), &ProgressSender::discarding())
        .await
        .unwrap_err();
    assert_eq!(
        error.failure().code,
        ReasonCode::EngineUnsupported,
        "{error:?}"
    );
}

#[tokio::test]
async fn dropping_a_build_stops_it_within_two_seconds() {
    let env = env();
    let silent = ProgressSender::discarding();
    for engine in [plain_engine(&env), tls_engine(&env)] {
        let marker = format!(": {}", unique("cancel"));
        tokio::select! {
            ended = engine.build(debian(&format!("RUN sleep 3600; {marker}")), &silent) => panic!("{ended:?}"),
            _ = until(Duration::from_mins(1), "the step runs", async || runs(&marker)) => {}
        }
        until(Duration::from_secs(2), "the step is stopped", async || {
            !runs(&marker)
        })
        .await;
    }
}

#[tokio::test]
async fn connection_lost_during_build_is_engine_lost() {
    let env = env();
    let target = (env.engine_plain.host.clone(), env.engine_plain.port);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let target = target.clone();
            connections.spawn(async move {
                let mut far = tokio::net::TcpStream::connect(target).await?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    let engine = Engine::new(
        &Endpoint::Tcp {
            host: "127.0.0.1".into(),
            port,
        },
        EngineLimits::default(),
    )
    .unwrap();
    let marker = format!(": {}", unique("lost"));
    let silent = ProgressSender::discarding();
    let build = engine.build(debian(&format!("RUN sleep 3600; {marker}")), &silent);
    let cut = async {
        until(Duration::from_mins(1), "the step runs", async || {
            runs(&marker)
        })
        .await;
        proxy.abort();
    };
    let (ended, ()) = tokio::join!(build, cut);
    let error = ended.unwrap_err();
    assert_eq!(error.failure().code, ReasonCode::EngineLost, "{error:?}");
    until(Duration::from_secs(5), "the step is stopped", async || {
        !runs(&marker)
    })
    .await;
}
