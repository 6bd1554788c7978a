//! The lives of images on engines, and what is kept of builds that ended long ago.

use fastbuild_spec::{
    event::Event,
    reference::ImageReference,
    settings::DockerServerSettings,
    state::{BuildState, Step},
};
use fastbuild_store::{
    Image, ImageFilter, ImageLifetime, ImageSeen, LifetimeKind, NewBaseImage, NewSettings, Page,
    Store,
};

use crate::parts::{
    REVISIONS, Site, at, claim, enqueue, failed, log, no_callback, run_up_to_the_push, success,
    target,
};

const ENGINE: &str = "10.0.0.7:2375";
const BASE: &str = "registry.site:5000/base/debian:12";

fn base() -> ImageReference {
    BASE.parse().unwrap()
}

async fn seen(store: &Store, pulled: bool, seconds: i64) {
    let seen = ImageSeen {
        engine: ENGINE,
        image: &base(),
        image_id: "sha256:feed",
        size: 120_000_000,
        pulled,
    };
    store.image_seen(seen, at(seconds)).await.unwrap();
}

async fn lives(store: &Store) -> Vec<ImageLifetime> {
    store.image_lives(1000).await.unwrap()
}

async fn unused(store: &Store, seconds: i64) -> Vec<String> {
    store
        .images_unused_since(ENGINE, at(seconds))
        .await
        .unwrap()
        .into_iter()
        .map(|life| life.image_name)
        .collect()
}

#[tokio::test]
async fn a_pulled_image_lives_until_it_is_removed_and_each_use_counts() {
    let site = Site::new();
    let store = site.open().await;
    // What others put on the engine is no life of ours.
    seen(&store, false, 0).await;
    assert_eq!(lives(&store).await, []);

    seen(&store, true, 1).await;
    seen(&store, true, 5).await;
    seen(&store, false, 9).await;
    let [life] = lives(&store).await.try_into().unwrap();
    assert_eq!(
        (life.kind, life.generated_at, life.last_used_at),
        (LifetimeKind::Pull, at(1), at(9))
    );
    assert_eq!((life.image_name.as_str(), life.deleted_at), (BASE, None));
    assert_eq!(unused(&store, 8).await, Vec::<String>::new());
    assert_eq!(unused(&store, 9).await, [BASE]);
    let elsewhere = store.images_unused_since("10.0.0.8:2375", at(99)).await;
    assert_eq!(elsewhere.unwrap(), []);

    store
        .image_removed(ENGINE, BASE, LifetimeKind::Pull, at(0), at(20))
        .await
        .unwrap();
    assert_eq!(unused(&store, 99).await, Vec::<String>::new());
    assert_eq!(lives(&store).await[0].deleted_at, Some(at(20)));
    // It comes back, as another life.
    seen(&store, true, 30).await;
    assert_eq!(lives(&store).await.len(), 2);
    assert_eq!(lives(&store).await[0].deleted_at, None);
}

#[tokio::test]
async fn the_removal_of_an_unknown_image_is_a_whole_life() {
    let site = Site::new();
    let store = site.open().await;
    store
        .image_removed(ENGINE, BASE, LifetimeKind::Build, at(3), at(20))
        .await
        .unwrap();
    let [life] = lives(&store).await.try_into().unwrap();
    assert_eq!(
        (life.kind, life.generated_at, life.deleted_at),
        (LifetimeKind::Build, at(3), Some(at(20)))
    );
}

#[tokio::test]
async fn a_build_begins_its_targets_life_and_uses_its_base() {
    let site = Site::new();
    let store = site.open().await;
    let settings = NewSettings {
        docker_server: Some(DockerServerSettings {
            host: "10.0.0.7".to_owned(),
            port: 2375,
            tls: None,
        }),
        ..NewSettings::default()
    };
    let revisions = store.add_settings(settings, at(0)).await.unwrap();
    seen(&store, true, 1).await;
    enqueue(&store, 1, 2).await;
    assert_eq!(
        store.build_using(BASE).await.unwrap(),
        Some(at(2).as_millisecond())
    );
    assert!(store.build_using(&target(1)).await.unwrap().is_some());
    assert_eq!(store.build_using(&target(2)).await.unwrap(), None);
    let claimed = claim(&store, 3).await;
    run_up_to_the_push(&store, claimed.attempt, 4).await;
    assert!(store.build_using(BASE).await.unwrap().is_some());
    store
        .finish(claimed.attempt, &success(), revisions, &no_callback, at(50))
        .await
        .unwrap();
    assert_eq!(store.build_using(BASE).await.unwrap(), None);

    let [built, pulled] = lives(&store).await.try_into().unwrap();
    assert_eq!(
        (built.kind, built.image_name),
        (LifetimeKind::Build, target(1))
    );
    assert_eq!(
        (built.engine.as_str(), built.generated_at),
        (ENGINE, at(50))
    );
    assert_eq!(
        (pulled.kind, pulled.last_used_at),
        (LifetimeKind::Pull, at(50))
    );
}

#[tokio::test]
async fn a_registered_base_image_learns_its_id_and_size_when_it_is_seen() {
    let site = Site::new();
    let store = site.open().await;
    let new = NewBaseImage {
        reference: base(),
        image_id: String::new(),
        size: 0,
        description: "预置镜像".to_owned(),
    };
    store.put_base_image(&new, at(0)).await.unwrap();
    seen(&store, false, 7).await;
    let (images, _) = store
        .images(Page::ALL, &ImageFilter::default())
        .await
        .unwrap();
    let [image]: [Image; 1] = images.try_into().unwrap();
    assert_eq!(
        (image.image_id.as_str(), image.size),
        ("sha256:feed", 120_000_000)
    );
    assert_eq!((image.created_at, image.updated_at), (at(0), at(7)));
}

#[tokio::test]
async fn a_build_is_cleaned_once_and_keeps_its_record_and_steps() {
    let site = Site::new();
    let store = site.open().await;
    for number in 1..=2 {
        enqueue(&store, number, 0).await;
    }
    let attempt = claim(&store, 1).await.attempt;
    let task = attempt.build_id;
    store
        .step_started(attempt, Step::Pull, at(1))
        .await
        .unwrap();
    let lines = vec![log(Step::Pull, "one\n"), log(Step::Pull, "two\n")];
    store.append_events(attempt, lines, at(2)).await.unwrap();
    // A build that runs keeps its log however old it is.
    assert_eq!(store.uncleaned_builds(at(99), 0, 10).await.unwrap(), []);
    store
        .finish(
            attempt,
            &failed(BuildState::PullFailed),
            REVISIONS,
            &no_callback,
            at(3),
        )
        .await
        .unwrap();

    assert_eq!(store.uncleaned_builds(at(3), 0, 10).await.unwrap(), []);
    let [kept] = store
        .uncleaned_builds(at(4), 0, 10)
        .await
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(kept.build_id, task);
    assert_eq!(store.uncleaned_builds(at(4), task, 10).await.unwrap(), []);
    assert!(store.clean_build(task, at(5)).await.unwrap());
    assert!(!store.clean_build(task, at(5)).await.unwrap());
    assert_eq!(store.uncleaned_builds(at(4), 0, 10).await.unwrap(), []);

    let chunk = store.step_log_chunk(task, Step::Pull, 0, 10).await.unwrap();
    assert_eq!(chunk.text, "");
    assert_eq!(store.steps(task).await.unwrap().len(), 1);
    let build = store.build(task).await.unwrap().unwrap();
    assert_eq!(build.state, BuildState::PullFailed);
    let states = store.events(task, 0, 99).await.unwrap();
    assert!(states.iter().any(|stored| stored.event
        == Event::State {
            state: BuildState::PullFailed
        }));
}

#[tokio::test]
async fn a_build_that_never_printed_is_cleaned_as_well() {
    let site = Site::new();
    let store = site.open().await;
    let task = enqueue(&store, 1, 0).await.id;
    assert_eq!(store.uncleaned_builds(at(99), 0, 10).await.unwrap(), []);
    assert!(!store.clean_build(task, at(1)).await.unwrap());
    store.request_cancel(task, &|_| None, at(3)).await.unwrap();
    let found = store.uncleaned_builds(at(4), 0, 10).await.unwrap();
    assert_eq!(found[0].build_id, task);
    assert!(store.clean_build(task, at(5)).await.unwrap());
    assert_eq!(store.uncleaned_builds(at(99), 0, 10).await.unwrap(), []);
    assert!(store.build(task).await.unwrap().is_some());
}

#[tokio::test]
async fn the_last_cleaning_is_remembered() {
    let site = Site::new();
    let store = site.open().await;
    assert_eq!(store.last_cleanup().await.unwrap(), None);
    store.cleaned(at(5)).await.unwrap();
    store.cleaned(at(9)).await.unwrap();
    assert_eq!(site.open().await.last_cleanup().await.unwrap(), Some(at(9)));
}
