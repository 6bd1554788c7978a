//! The whole life of a build.

use fastbuild_spec::{
    event::Event,
    failure::{Failure, Language, ReasonCode},
    state::{BuildState, Step, StepStatus},
};
use fastbuild_store::{
    AttemptOutcome, BuildFilter, DeleteOutcome, EnqueueError, FencedError, ImageFilter, ImageKind,
    Page,
};
use secrecy::ExposeSecret as _;

use crate::parts::{
    REVISIONS, Site, at, callback, claim, claim_due, ended, enqueue, log, no_callback, request,
    run_up_to_the_push, success, target, work_dir,
};

#[tokio::test]
async fn a_build_lives_from_request_to_image() {
    let site = Site::new();
    let store = site.open().await;

    let queued = enqueue(&store, 1, 0).await;
    assert_eq!(queued.state, BuildState::Queued);
    assert_eq!(queued.id, at(0).as_millisecond());
    assert_eq!(queued.work_dir_name, "2026-11-23-09-07-44-828675");
    assert_eq!((queued.attempt, queued.worker.as_deref()), (0, None));

    let claimed = claim(&store, 1).await;
    assert_eq!(claimed.build.id, queued.id);
    assert_eq!(claimed.build.state, BuildState::Started);
    assert_eq!(claimed.build.worker.as_deref(), Some("worker-1"));
    assert_eq!(claimed.build.started_at, Some(at(1)));
    assert_eq!(claimed.spec, request(&target(1)).spec);
    assert_eq!(
        claimed.passwords.ssh.unwrap().expose_secret(),
        "Alkaid123456-ssh"
    );
    assert!(claimed.passwords.jupyter_lab.is_none());
    let attempt = claimed.attempt;

    store
        .step_started(attempt, Step::Pull, at(1))
        .await
        .unwrap();
    let lines = vec![log(Step::Pull, "one\n"), log(Step::Pull, "two\n")];
    store.append_events(attempt, lines, at(2)).await.unwrap();
    let running = store.steps(queued.id).await.unwrap();
    assert_eq!(running[0].status, StepStatus::Running);
    assert_eq!(running[0].ended_at, None);
    store
        .step_finished(attempt, Step::Pull, StepStatus::Success, at(3))
        .await
        .unwrap();
    store
        .set_dockerfile(attempt, "FROM scratch\n")
        .await
        .unwrap();
    run_up_to_the_push(&store, attempt, 4).await;
    store
        .step_started(attempt, Step::Push, at(5))
        .await
        .unwrap();
    let finished = store
        .finish(attempt, &success(), REVISIONS, &callback, at(7))
        .await
        .unwrap();
    let ended = ended(finished);

    assert_eq!(ended.state, BuildState::PushSuccess);
    assert_eq!(ended.finished_at, Some(at(7)));
    assert_eq!(ended.image_id.as_deref(), Some("sha256:feed"));
    assert_eq!(ended.image_size, Some(1_430_000_000));
    assert_eq!(ended.digest.as_deref(), Some("sha256:beef"));
    assert_eq!(ended.settings_revisions, Some(REVISIONS));
    assert_eq!(store.build(queued.id).await.unwrap(), Some(ended));

    let steps = store.steps(queued.id).await.unwrap();
    let shown: Vec<_> = steps
        .iter()
        .map(|step| (step.action, step.status, step.started_at, step.duration_ms))
        .collect();
    assert_eq!(
        shown,
        [
            (Step::Pull, StepStatus::Success, at(1), Some(2000)),
            (Step::Push, StepStatus::Success, at(5), Some(2000)),
        ]
    );
    assert_eq!(
        store.dockerfile(queued.id).await.unwrap().as_deref(),
        Some("FROM scratch\n")
    );

    let (images, total) = store
        .images(Page::ALL, &ImageFilter::default())
        .await
        .unwrap();
    assert_eq!(total, 1);
    assert_eq!(images[0].build_id, queued.id);
    assert_eq!(images[0].name, "registry.site:5000/made/image-1");
    assert_eq!(
        (images[0].tag.as_str(), images[0].kind),
        ("v1", ImageKind::Customized)
    );
    assert_eq!((images[0].ssh, images[0].jupyter_lab), (true, false));

    let due = claim_due(&store, 7).await;
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].delivery.build_id, Some(queued.id));
}

#[tokio::test]
async fn events_are_one_sequence_without_gaps_and_a_log_is_a_view_of_it() {
    let site = Site::new();
    let store = site.open().await;
    enqueue(&store, 1, 0).await;
    let claimed = claim(&store, 0).await;
    let (task, attempt) = (claimed.build.id, claimed.attempt);
    // More than one insert statement takes.
    let lines: Vec<Event> = (0..1201)
        .map(|line| log(Step::Build, &format!("line {line}\n")))
        .collect();
    store.append_events(attempt, lines, at(1)).await.unwrap();
    store
        .append_events(attempt, vec![log(Step::Push, "pushing\n")], at(1))
        .await
        .unwrap();

    let mut numbers = Vec::new();
    let mut after = 0;
    loop {
        let events = store.events(task, after, 100).await.unwrap();
        let Some(last) = events.last() else { break };
        after = last.seq;
        numbers.extend(events.iter().map(|event| event.seq));
    }
    assert_eq!(numbers, (1..=1204).collect::<Vec<i64>>());

    let mut text = String::new();
    let mut after = 0;
    loop {
        let chunk = store
            .step_log_chunk(task, Step::Build, after, 256)
            .await
            .unwrap();
        if chunk.text.is_empty() {
            break;
        }
        text.push_str(&chunk.text);
        after = chunk.last_seq;
    }
    assert_eq!(text.lines().count(), 1201);
    assert!(text.starts_with("line 0\n"));
    assert!(text.ends_with("line 1200\n"));
}

#[tokio::test]
async fn states_follow_the_transition_table() {
    let site = Site::new();
    let store = site.open().await;
    enqueue(&store, 1, 0).await;
    let attempt = claim(&store, 0).await.attempt;
    for wrong in [
        BuildState::Building,
        BuildState::PullFailed,
        BuildState::Queued,
    ] {
        let refused = store.transition(attempt, wrong, at(1)).await.unwrap_err();
        assert!(
            matches!(refused, FencedError::NotAllowed { from: BuildState::Started, to, .. } if to == wrong),
            "{refused}"
        );
    }
    let refused = store
        .finish(attempt, &success(), REVISIONS, &no_callback, at(1))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, FencedError::NotAllowed { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn an_end_is_written_with_its_image_and_its_callback_or_not_at_all() {
    let site = Site::new();
    let store = site.open().await;
    let queued = enqueue(&store, 1, 0).await;
    let attempt = claim(&store, 0).await.attempt;
    run_up_to_the_push(&store, attempt, 1).await;
    site.refuse_inserts("deliveries").await;
    let failed = store
        .finish(attempt, &success(), REVISIONS, &callback, at(2))
        .await
        .unwrap_err();
    assert!(matches!(failed, FencedError::Store(_)), "{failed}");
    let build = store.build(queued.id).await.unwrap().unwrap();
    assert_eq!(build.state, BuildState::CheckImageSizeSuccess);
    assert_eq!(
        store
            .images(Page::ALL, &ImageFilter::default())
            .await
            .unwrap()
            .1,
        0
    );

    site.take_inserts("deliveries").await;
    store
        .finish(attempt, &success(), REVISIONS, &callback, at(3))
        .await
        .unwrap();
    assert_eq!(
        store
            .images(Page::ALL, &ImageFilter::default())
            .await
            .unwrap()
            .1,
        1
    );
    assert!(store.last_delivery().await.unwrap().is_some());
}

#[tokio::test]
async fn a_taken_target_is_refused_until_its_image_is_gone() {
    let site = Site::new();
    let store = site.open().await;
    let first = enqueue(&store, 1, 0).await;
    let refused = store
        .enqueue(request(&target(1)), &work_dir, at(1))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, EnqueueError::TargetTaken { by, under_way: true, .. } if by == first.id),
        "{refused}"
    );
    let attempt = claim(&store, 1).await.attempt;
    run_up_to_the_push(&store, attempt, 1).await;
    store
        .finish(attempt, &success(), REVISIONS, &no_callback, at(2))
        .await
        .unwrap();
    let refused = store
        .enqueue(request(&target(1)), &work_dir, at(3))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, EnqueueError::TargetTaken { by, under_way: false, .. } if by == first.id),
        "{refused}"
    );
    let failure = refused.failure();
    assert_eq!(failure.code, ReasonCode::TargetTaken);
    assert!(
        failure
            .sentence(Language::Chinese)
            .contains(&first.id.to_string())
    );
    // Forgetting the build does not free the name; forgetting the image does.
    assert!(matches!(
        store.delete_build(first.id).await.unwrap(),
        DeleteOutcome::Deleted(_)
    ));
    store
        .enqueue(request(&target(1)), &work_dir, at(4))
        .await
        .unwrap_err();
    let image = store
        .images_named("registry.site:5000/made/image-1", "v1")
        .await
        .unwrap();
    assert!(store.delete_image(image[0].id).await.unwrap());
    store
        .enqueue(request(&target(1)), &work_dir, at(5))
        .await
        .unwrap();
}

#[tokio::test]
async fn lists_show_pages_newest_first_and_deleting_forgets_everything() {
    let site = Site::new();
    let store = site.open().await;
    for number in 0..5 {
        enqueue(&store, number, i64::try_from(number).unwrap()).await;
    }
    let attempt = claim(&store, 9).await.attempt;
    let task = attempt.build_id;
    store
        .step_started(attempt, Step::Pull, at(9))
        .await
        .unwrap();
    assert!(matches!(
        store.delete_build(task).await.unwrap(),
        DeleteOutcome::UnderWay(BuildState::Started)
    ));
    let failure = Failure::new(ReasonCode::BaseImageNotFound, "没有。", "There is none.");
    let end = AttemptOutcome::Failed(BuildState::PullFailed, failure.clone());
    let finished = store
        .finish(attempt, &end, REVISIONS, &callback, at(10))
        .await
        .unwrap();
    assert_eq!(ended(finished).failure, Some(failure));

    let all = BuildFilter::default();
    let numbers = |builds: &[fastbuild_store::Build]| {
        builds
            .iter()
            .map(|build| build.target_image.clone())
            .collect::<Vec<_>>()
    };
    let (first, total) = store
        .builds(Page { number: 0, size: 2 }, &all)
        .await
        .unwrap();
    assert_eq!((numbers(&first), total), (vec![target(4), target(3)], 5));
    let (last, _) = store
        .builds(Page { number: 3, size: 2 }, &all)
        .await
        .unwrap();
    assert_eq!(numbers(&last), [target(0)]);
    assert_eq!(store.builds(Page::ALL, &all).await.unwrap().0.len(), 5);
    let far = Page {
        number: i64::MAX,
        size: i64::MAX,
    };
    assert_eq!(store.builds(far, &all).await.unwrap().0.len(), 0);
    let filter = |name: &str, states: &[BuildState]| BuildFilter {
        image_name: Some(name.to_owned()),
        states: (!states.is_empty()).then(|| states.to_vec()),
    };
    assert_eq!(
        store
            .builds(Page::ALL, &filter("IMAGE-0", &[BuildState::PullFailed]))
            .await
            .unwrap()
            .1,
        1
    );
    assert_eq!(
        store
            .builds(Page::ALL, &filter("image_0", &[]))
            .await
            .unwrap()
            .1,
        0
    );
    assert_eq!(
        store.builds(Page::ALL, &filter("%", &[])).await.unwrap().1,
        0
    );
    assert_eq!(
        store.builds_in(&[BuildState::Queued]).await.unwrap().len(),
        4
    );
    assert_eq!(
        store.builds_by_target("made/image-3").await.unwrap().len(),
        1
    );

    assert!(matches!(
        store.delete_build(task).await.unwrap(),
        DeleteOutcome::Deleted(_)
    ));
    assert_eq!(
        store.delete_build(task).await.unwrap(),
        DeleteOutcome::NotFound
    );
    assert!(store.steps(task).await.unwrap().is_empty());
    assert!(store.events(task, 0, 10).await.unwrap().is_empty());
    assert!(store.request(task).await.unwrap().is_none());
    assert!(store.last_delivery().await.unwrap().is_none());
}
