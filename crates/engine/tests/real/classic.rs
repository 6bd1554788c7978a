//! The classic builder.

use std::time::Duration;

use fastbuild_engine::{EngineError, ImageBuild, ProgressSender};
use fastbuild_spec::plan::Dialect;
use fastbuild_spec::{event::StageStatus, failure::ReasonCode};

use crate::common::{
    channel, drain, env, image, log_of, memory, plain_engine, registry, request, runs, stages,
    unique, until,
};

fn classic(instructions: &str) -> ImageBuild {
    let env = env();
    let base = image(&env.image(&env.images.debian));
    ImageBuild {
        dialect: Dialect::Classic,
        ..request(&env, &base, instructions)
    }
}

#[tokio::test]
async fn classic_builder_builds_a_dockerfile_with_files() {
    let env = env();
    let engine = plain_engine(&env);
    let base = image(&env.image_dns(&env.images.private_debian));
    let nonce = unique("classic");
    let mut wanted =
        classic("COPY from/memory from/disk /made/\nRUN cat /made/memory && wc -c /made/disk");
    wanted.dockerfile = wanted
        .dockerfile
        .replace(&env.image(&env.images.debian), &base.to_string());
    wanted.base = base;
    let disk = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(disk.path(), vec![b'x'; 3_000_000]).unwrap();
    wanted.files = vec![
        memory("from/memory", &format!("{nonce}\n")),
        memory("from/disk", ""),
    ];
    wanted.files[1].source = fastbuild_engine::FileSource::Disk(
        fastbuild_engine::DiskFile::read(disk.path().to_owned()).unwrap(),
    );
    let tag = wanted.tag.clone();

    let (sender, receiver) = channel();
    let built = engine.build(wanted, &sender).await.unwrap();
    let all = drain(sender, receiver).await;
    let log = log_of(&all);
    assert!(
        log.contains(&format!("#3 {nonce}\n")) && log.contains("#3 3000000 /made/disk\n"),
        "{log}"
    );
    let done = stages(&all, StageStatus::Done);
    assert!(
        done.contains(&"[3/5] RUN cat /made/memory && wc -c /made/disk"),
        "{done:?}"
    );
    let found = engine.find_image(&tag).await.unwrap().unwrap();
    assert_eq!((found.id, found.size), (built.image_id, built.size));
    assert!(
        found
            .labels
            .get("org.fastbuild.owner")
            .is_some_and(|owner| owner == "fastbuild"),
        "{:?}",
        found.labels
    );
    engine.remove_image(&tag.to_string()).await.unwrap();
}

#[tokio::test]
async fn classic_failed_step_has_name_and_last_lines() {
    let engine = plain_engine(&env());
    let error = engine
        .build(
            classic("RUN true\nRUN echo before; echo the end >&2; exit 3"),
            &ProgressSender::discarding(),
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
    assert_eq!(*exit_code, Some(3));
    assert!(
        stage.starts_with("[3/") && stage.contains("RUN echo before"),
        "{stage}"
    );
    assert!(
        lines.iter().any(|line| line.contains("the end")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn classic_builder_rejects_secrets_and_missing_bases() {
    let env = env();
    let engine = plain_engine(&env);
    let silent = ProgressSender::discarding();
    let mut with_secret = classic("RUN true");
    with_secret.secrets = vec![("password".into(), "$6$hash".to_owned().into())];
    let error = engine.build(with_secret, &silent).await.unwrap_err();
    assert_eq!(
        error.failure().code,
        ReasonCode::EngineUnsupported,
        "{error}"
    );

    let missing = image(&env.image(&format!("{}:1", unique("nothing/here"))));
    let mut lost = request(&env, &missing, "RUN true");
    lost.dialect = Dialect::Classic;
    let error = engine.build(lost.clone(), &silent).await.unwrap_err();
    assert_eq!(
        error.failure().code,
        ReasonCode::BaseImageNotFound,
        "{error}"
    );
    lost.registry = Some(fastbuild_spec::settings::RegistrySettings {
        password: "wrong".to_owned().into(),
        ..registry(&env)
    });
    let error = engine.build(lost, &silent).await.unwrap_err();
    assert_eq!(
        error.failure().code,
        ReasonCode::RegistryLoginFailed,
        "{error}"
    );
}

#[tokio::test]
async fn dropping_a_classic_build_stops_it() {
    let engine = plain_engine(&env());
    let silent = ProgressSender::discarding();
    let marker = unique("classic-cancel");
    tokio::select! {
        ended = engine.build(classic(&format!("RUN sleep 3600; : {marker}")), &silent) => panic!("{ended:?}"),
        _ = until(Duration::from_mins(1), "the step runs", async || runs(&format!(": {marker}"))) => {}
    }
    until(Duration::from_secs(2), "the step is stopped", async || {
        !runs(&format!(": {marker}"))
    })
    .await;
}
