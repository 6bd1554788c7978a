//! Builds that have ended and are begun again on request.

use fastbuild_spec::{
    build_reason::BuildReason,
    failure::{Failure, ReasonCode},
    requeue::RequeueReason,
    state::{BuildState, RetryFrom, Step, StepStatus},
};
use fastbuild_store::{
    AttemptId, AttemptOutcome, CallbackOutcome, CancelOutcome, EnqueueError, Finished,
    FinishedImage, MAX_ATTEMPTS, RetryOutcome, Store,
};

use crate::parts::{
    LIMITS, REVISIONS, Site, at, callback, claim, claim_due, engine_lost, enqueue, failed, headers,
    no_callback, request, run_up_to_the_push, success, target, work_dir,
};

/// Ends an attempt whose push failed; its image stays on the engine.
async fn end_at_the_push(store: &Store, attempt: AttemptId) {
    store
        .step_started(attempt, Step::Build, at(1))
        .await
        .unwrap();
    store
        .step_finished(attempt, Step::Build, StepStatus::Success, at(2))
        .await
        .unwrap();
    run_up_to_the_push(store, attempt, 2).await;
    store
        .step_started(attempt, Step::Push, at(3))
        .await
        .unwrap();
    let image = FinishedImage {
        id: "sha256:made".to_owned(),
        size: 7,
        digest: None,
        on_engine: true,
        build_reason: Some(BuildReason::NoneEqual),
    };
    let failure = Failure::new(ReasonCode::StepFailed, "失败。", "It failed.");
    let end = AttemptOutcome::PushFailed(failure, image);
    store
        .finish(attempt, &end, REVISIONS, &callback, at(4))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_failed_build_begins_from_its_start_with_all_its_attempts() {
    let site = Site::new();
    let store = site.open().await;
    let task = enqueue(&store, 1, 0).await.id;
    for lost in 1..=MAX_ATTEMPTS {
        claim(&store, lost).await;
        store
            .requeue_orphans(true, &callback, at(lost))
            .await
            .unwrap();
    }
    let ended = store.build(task).await.unwrap().unwrap();
    assert_eq!(ended.state, BuildState::BuildAbort);
    let RetryOutcome::Queued(queued) = store.retry(task, RetryFrom::Start, at(10)).await.unwrap()
    else {
        panic!("it is not queued");
    };
    assert_eq!(queued.state, BuildState::Queued);
    assert_eq!((queued.failure, queued.finished_at), (None, None));
    assert_eq!(
        store.retry(task, RetryFrom::Start, at(10)).await.unwrap(),
        RetryOutcome::WrongState(BuildState::Queued)
    );
    // Its target is its own again.
    let refused = store
        .enqueue(request(&target(1)), &work_dir, at(11))
        .await
        .unwrap_err();
    assert!(matches!(refused, EnqueueError::TargetTaken { by, .. } if by == task));
    let claimed = claim(&store, 12).await;
    assert_eq!(claimed.attempt.number, MAX_ATTEMPTS + 1);
    assert_eq!(claimed.build.limits, Some(LIMITS));
    let orphans = store
        .requeue_orphans(true, &callback, at(13))
        .await
        .unwrap();
    assert_eq!(orphans.requeued, [task]);
    let attempt = claim(&store, 14).await.attempt;
    run_up_to_the_push(&store, attempt, 15).await;
    store
        .finish(attempt, &success(), REVISIONS, &no_callback, at(16))
        .await
        .unwrap();
    assert_eq!(
        store.retry(task, RetryFrom::Start, at(17)).await.unwrap(),
        RetryOutcome::WrongState(BuildState::PushSuccess)
    );
    assert_eq!(
        store.retry(1, RetryFrom::Start, at(17)).await.unwrap(),
        RetryOutcome::NotFound
    );
}

#[tokio::test]
async fn a_failed_push_is_tried_again_with_the_image_that_was_made() {
    let site = Site::new();
    let store = site.open().await;
    let task = enqueue(&store, 1, 0).await.id;
    let attempt = claim(&store, 1).await.attempt;
    end_at_the_push(&store, attempt).await;
    let ended = store.build(task).await.unwrap().unwrap();
    assert_eq!(ended.image_id.as_deref(), Some("sha256:made"));
    store.retry(task, RetryFrom::Push, at(5)).await.unwrap();
    let claimed = claim(&store, 6).await;
    assert_eq!(claimed.build.retried_from, Some(RetryFrom::Push));
    assert_eq!(claimed.build.image_id.as_deref(), Some("sha256:made"));
    let attempt = claimed.attempt;
    let kept: Vec<Step> = store
        .steps(task)
        .await
        .unwrap()
        .into_iter()
        .filter(|step| step.status == StepStatus::Success)
        .map(|step| step.action)
        .collect();
    assert_eq!(kept, [Step::Build]);
    for state in [BuildState::BuildSuccess, BuildState::CheckImageSizeSuccess] {
        store.transition(attempt, state, at(7)).await.unwrap();
    }
    let finished = store
        .finish(attempt, &success(), REVISIONS, &no_callback, at(8))
        .await
        .unwrap();
    let ended = crate::parts::ended(finished);
    assert_eq!(ended.state, BuildState::PushSuccess);
    // The push alone was done again; why the image was built is still known.
    assert_eq!(ended.build_reason, Some(BuildReason::NoneEqual));
}

#[tokio::test]
async fn a_push_without_its_image_becomes_a_whole_build() {
    let site = Site::new();
    let store = site.open().await;
    let task = enqueue(&store, 1, 0).await.id;
    let attempt = claim(&store, 1).await.attempt;
    end_at_the_push(&store, attempt).await;
    store.retry(task, RetryFrom::Push, at(5)).await.unwrap();
    let attempt = claim(&store, 6).await.attempt;
    store.fall_back_to_full_build(attempt, at(7)).await.unwrap();
    assert!(store.steps(task).await.unwrap().is_empty());
    store
        .transition(attempt, BuildState::BuildSuccess, at(7))
        .await
        .unwrap_err();
    run_up_to_the_push(&store, attempt, 8).await;
    store
        .finish(attempt, &success(), REVISIONS, &no_callback, at(9))
        .await
        .unwrap();
}

#[tokio::test]
async fn only_a_failed_push_is_begun_from_the_push() {
    let site = Site::new();
    let store = site.open().await;
    let task = enqueue(&store, 1, 0).await.id;
    let attempt = claim(&store, 1).await.attempt;
    store
        .finish(
            attempt,
            &failed(BuildState::PullFailed),
            REVISIONS,
            &no_callback,
            at(2),
        )
        .await
        .unwrap();
    assert_eq!(
        store.retry(task, RetryFrom::Push, at(3)).await.unwrap(),
        RetryOutcome::WrongState(BuildState::PullFailed)
    );
    // Another build makes the target in the meantime.
    let other = enqueue(&store, 1, 4).await.id;
    let taken = store
        .retry(task, RetryFrom::Start, at(5))
        .await
        .unwrap_err();
    assert!(
        matches!(taken, EnqueueError::TargetTaken { by, under_way: true, .. } if by == other),
        "{taken}"
    );
    let attempt = claim(&store, 6).await.attempt;
    run_up_to_the_push(&store, attempt, 7).await;
    store
        .finish(attempt, &success(), REVISIONS, &no_callback, at(8))
        .await
        .unwrap();
    let taken = store
        .retry(task, RetryFrom::Start, at(9))
        .await
        .unwrap_err();
    assert!(
        matches!(taken, EnqueueError::TargetTaken { by, under_way: false, .. } if by == other),
        "{taken}"
    );
}

#[tokio::test]
async fn a_callback_is_sent_once_more_or_for_the_first_time() {
    let site = Site::new();
    let store = site.open().await;
    let again = async |task| {
        store
            .redeliver_of_build(task, &headers(), &callback, at(20))
            .await
            .unwrap()
    };
    let task = enqueue(&store, 1, 0).await.id;
    assert_eq!(
        again(task).await,
        CallbackOutcome::NotEnded(BuildState::Queued)
    );
    assert_eq!(again(1).await, CallbackOutcome::NotFound);
    let attempt = claim(&store, 1).await.attempt;
    store
        .finish(
            attempt,
            &failed(BuildState::PullFailed),
            REVISIONS,
            &no_callback,
            at(2),
        )
        .await
        .unwrap();
    // Nobody was told; now somebody is, and the second time it is the same callback.
    assert_eq!(again(task).await, CallbackOutcome::Due);
    assert_eq!(again(task).await, CallbackOutcome::Due);
    let due = claim_due(&store, 20).await;
    assert_eq!(due.len(), 1);
    let body = &due[0].delivery.body;
    assert!(body.contains("PULL_FAILED"), "{body}");

    let mut silent = request(&target(2));
    silent.callback_url = String::new();
    let silent = store.enqueue(silent, &work_dir, at(3)).await.unwrap().id;
    store
        .request_cancel(silent, &callback, at(4))
        .await
        .unwrap();
    assert_eq!(again(silent).await, CallbackOutcome::NoAddress);
}

#[tokio::test]
async fn a_cancelled_build_ends_instead_of_being_requeued() {
    for outcome in [AttemptOutcome::Release, engine_lost()] {
        let site = Site::new();
        let store = site.open().await;
        let task = enqueue(&store, 1, 0).await.id;
        let attempt = claim(&store, 1).await.attempt;
        assert_eq!(
            store.request_cancel(task, &callback, at(2)).await.unwrap(),
            CancelOutcome::Requested
        );
        let finished = store
            .finish(attempt, &outcome, REVISIONS, &callback, at(3))
            .await
            .unwrap();
        let ended = crate::parts::ended(finished);
        assert_eq!(ended.state, BuildState::BuildAbort);
        assert_eq!(ended.failure.unwrap().code, ReasonCode::Cancelled);
        assert_eq!(claim_due(&store, 3).await.len(), 1);
    }
}

#[tokio::test]
async fn a_build_ends_after_its_last_attempt_that_counts() {
    let site = Site::new();
    let store = site.open().await;
    let task = enqueue(&store, 1, 0).await.id;
    let unavailable = || {
        let failure = Failure::new(ReasonCode::RegistryUnavailable, "不可用。", "It is down.");
        AttemptOutcome::Requeue(RequeueReason::RegistryUnavailable, failure)
    };
    for seconds in 1..MAX_ATTEMPTS {
        for outcome in [engine_lost(), unavailable(), AttemptOutcome::Release] {
            let attempt = claim(&store, seconds).await.attempt;
            let finished = store
                .finish(attempt, &outcome, REVISIONS, &callback, at(seconds))
                .await
                .unwrap();
            assert!(matches!(finished, Finished::Requeued(_)), "{finished:?}");
        }
    }
    let attempt = claim(&store, 50).await.attempt;
    let finished = store
        .finish(attempt, &engine_lost(), REVISIONS, &callback, at(51))
        .await
        .unwrap();
    let ended = crate::parts::ended(finished);
    assert_eq!((ended.id, ended.state), (task, BuildState::BuildAbort));
    let failure = ended.failure.unwrap();
    assert_eq!(failure.code, ReasonCode::EngineLost);
    assert!(failure.message.en.contains("It was lost."), "{failure}");
}
