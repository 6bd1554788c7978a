//! Running a script in an image.

use std::time::Duration;

use fastbuild_engine::{Engine, EngineError, EngineLimits, ProgressSender};
use fastbuild_spec::failure::ReasonCode;

use crate::common::{
    env, image, memory, plain, plain_engine, registry, request, runs, unique, until,
};

async fn debian(engine: &Engine) -> String {
    let env = env();
    let base = image(&env.image(&env.images.debian));
    engine
        .pull(&base, Some(&registry(&env)), &ProgressSender::discarding())
        .await
        .unwrap()
        .id
}

/// Containers with this label, running or not, as the engine's own command line sees them.
fn containers(label: &str) -> String {
    let env = env();
    let filter = format!("label=org.fastbuild.build={label}");
    let output = env
        .docker(&env.engine_plain)
        .args(["ps", "--all", "--quiet", "--filter", &filter])
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn probe_runs_as_root_without_network_capabilities_or_writable_root() {
    let engine = plain_engine(&env());
    let label = unique("probe");
    let script = "id -u; ls /sys/class/net; grep CapEff /proc/self/status; touch /x 2>&1; pwd; echo gone >&2; exit 0";
    let output = engine
        .run_probe(&debian(&engine).await, script, &label)
        .await
        .unwrap();
    assert_eq!(
        output,
        "0\nlo\nCapEff:\t0000000000000000\ntouch: cannot touch '/x': Read-only file system\n/\n"
    );
    assert_eq!(containers(&label), "");
}

#[tokio::test]
async fn image_with_user_and_entrypoint_can_be_probed() {
    let env = env();
    let engine = plain_engine(&env);
    let app = image(&env.image(&env.images.app));
    let id = engine
        .pull(&app, Some(&registry(&env)), &ProgressSender::discarding())
        .await
        .unwrap()
        .id;
    assert_eq!(
        engine
            .run_probe(&id, "id -un", &unique("probe"))
            .await
            .unwrap(),
        "root\n"
    );
}

#[tokio::test]
async fn image_without_a_shell_is_unsupported() {
    let env = env();
    let engine = plain_engine(&env);
    let mut bare = request(&env, &image("scratch"), "COPY only /only");
    bare.dockerfile = "FROM scratch\nCOPY only /only\n".into();
    bare.files = vec![memory("only", "a file")];
    let (tag, label) = (bare.tag.to_string(), bare.build_id.clone());
    let built = engine
        .build(bare, &ProgressSender::discarding())
        .await
        .unwrap();
    let error = engine
        .run_probe(&built.image_id, "true", &label)
        .await
        .unwrap_err();
    let failure = error.failure();
    assert_eq!(failure.code, ReasonCode::BaseImageUnsupported, "{error}");
    assert!(failure.message.en.contains("no POSIX shell"), "{failure:?}");
    assert_eq!(containers(&label), "");
    engine.remove_image(&tag).await.unwrap();
}

#[tokio::test]
async fn failing_script_and_missing_image_are_errors() {
    let engine = plain_engine(&env());
    let label = unique("probe");
    let error = engine
        .run_probe(&debian(&engine).await, "echo why >&2; exit 7", &label)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("exit code 7 (why)"), "{error}");
    let missing = format!("sha256:{}", "ab".repeat(32));
    let error = engine
        .run_probe(&missing, "true", &label)
        .await
        .unwrap_err();
    assert!(
        matches!(error, EngineError::ImageNotFound { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn probe_output_is_truncated_at_the_limit() {
    let engine = plain_engine(&env());
    let script =
        "i=0; while [ $i -lt 60000 ]; do echo 012345678901234567890123456789; i=$((i+1)); done";
    let output = engine
        .run_probe(&debian(&engine).await, script, &unique("probe"))
        .await
        .unwrap();
    assert!(
        (900_000..=1_048_576).contains(&output.len()),
        "{}",
        output.len()
    );
}

#[tokio::test]
async fn timed_out_probe_leaves_no_container() {
    let limits = EngineLimits {
        probe: Duration::from_secs(1),
        ..EngineLimits::default()
    };
    let engine = Engine::new(&plain(&env()), limits).unwrap();
    let label = unique("probe");
    let error = engine
        .run_probe(&debian(&engine).await, "sleep 3600", &label)
        .await
        .unwrap_err();
    assert!(matches!(error, EngineError::TimedOut { .. }), "{error}");
    assert_eq!(containers(&label), "");
}

#[tokio::test]
async fn dropped_probe_leaves_no_container() {
    let engine = plain_engine(&env());
    let id = debian(&engine).await;
    // Dropped while it runs.
    let label = unique("probe");
    let script = format!("sleep 3600; : {label}");
    tokio::select! {
        _ = engine.run_probe(&id, &script, &label) => panic!("it cannot end"),
        _ = until(Duration::from_secs(20), "the script runs", async || runs(&label)) => {}
    }
    until(
        Duration::from_secs(5),
        "the container is gone",
        async || containers(&label).is_empty(),
    )
    .await;
    // Dropped at once, while the container is being made.
    let label = unique("probe");
    tokio::select! {
        biased;
        _ = engine.run_probe(&id, "sleep 3600", &label) => panic!("it cannot end"),
        _ = until(Duration::from_secs(20), "the container is there", async || !containers(&label).is_empty()) => {}
    }
    until(
        Duration::from_secs(5),
        "the container is gone",
        async || containers(&label).is_empty(),
    )
    .await;
}
