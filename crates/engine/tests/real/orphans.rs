//! What lies on engines, and removing what was left over.

use fastbuild_engine::{Endpoint, ProgressSender};

use crate::common::{engine, env, image, plain_engine, request, tls_engine, unique};

fn docker(arguments: &[&str]) -> String {
    let env = env();
    let output = env
        .docker(&env.engine_tls)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn orphans_are_removed_and_kept_or_foreign_objects_stay() {
    let env = env();
    let engine = tls_engine(&env);
    let debian = env.image(&env.images.debian);
    engine
        .pull(
            &image(&debian),
            Some(&crate::common::registry(&env)),
            &ProgressSender::discarding(),
        )
        .await
        .unwrap();
    let (left, wanted, foreign) = (unique("left"), unique("wanted"), unique("foreign"));
    let make = |label: &str, more: &[&str]| {
        let build = format!("org.fastbuild.build={label}");
        let ours = [
            "create",
            "--label",
            "org.fastbuild.owner=fastbuild",
            "--label",
            &build,
        ];
        docker(&[&ours, more, &[&debian, "sleep", "1"]].concat())
    };
    let probe = ["--label", "org.fastbuild.container=probe"];
    let left_id = make(&left, &probe);
    let wanted_id = make(&wanted, &probe);
    // What somebody starts from an image of ours has the image's labels.
    let foreign_id = make(&foreign, &[]);

    // Building under the same name again takes the first image's name away.
    let first = request(&env, &image(&debian), "RUN echo first > /made");
    let mut second = request(&env, &image(&debian), "RUN echo second > /made");
    second.tag = first.tag.clone();
    let (tag, first_label) = (first.tag.to_string(), first.build_id.clone());
    let nameless = engine
        .build(first, &ProgressSender::discarding())
        .await
        .unwrap()
        .image_id;
    let named = engine
        .build(second, &ProgressSender::discarding())
        .await
        .unwrap()
        .image_id;
    assert_ne!(nameless, named);

    // Other tests leave things of theirs alone: only these three labels are up for removal.
    let swept = engine
        .remove_orphans(|build| build != left && build != foreign && build != first_label)
        .await
        .unwrap();
    assert_eq!(swept.containers, [left_id]);
    assert_eq!(swept.images, [nameless]);
    for id in [&wanted_id, &foreign_id] {
        docker(&["inspect", id]);
    }
    docker(&["rm", &wanted_id, &foreign_id]);
    assert!(engine.remove_image(&tag).await.unwrap());
}

#[tokio::test]
async fn disk_usage_is_reported_by_every_engine() {
    let env = env();
    let store = env.engine_store().unwrap();
    let store = engine(&Endpoint::Tcp {
        host: store.host.clone(),
        port: store.port,
    });
    for engine in [plain_engine(&env), tls_engine(&env), store] {
        let base = image(&env.image(&env.images.debian));
        let registry = crate::common::registry(&env);
        let pulled = engine
            .pull(&base, Some(&registry), &ProgressSender::discarding())
            .await
            .unwrap();
        let usage = engine.disk_usage().await.unwrap();
        assert!(usage.images >= pulled.size / 2, "{usage:?} {}", pulled.size);
        assert!(usage.total() >= usage.images);
    }
}
