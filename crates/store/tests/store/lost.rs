//! Builds whose worker is lost, shut down or killed.

use fastbuild_spec::{
    failure::ReasonCode,
    state::{BuildState, Step, StepStatus},
};
use fastbuild_store::{AttemptOutcome, MAX_ATTEMPTS};

use crate::parts::{
    LEASE, REVISIONS, Site, at, callback, claim, claim_due, enqueue, log, no_callback, request,
    success, target, work_dir,
};

#[tokio::test]
async fn an_attempt_that_lost_its_build_writes_nothing_more() {
    let site = Site::new();
    let store = site.open().await;
    let task = enqueue(&store, 1, 0).await.id;
    let lost = claim(&store, 0).await.attempt;
    let orphans = store
        .requeue_orphans(false, &callback, at(31))
        .await
        .unwrap();
    assert_eq!(orphans.requeued, [task]);

    // Once while nobody has the build, once while another attempt has it.
    for successor in [false, true] {
        if successor {
            assert_eq!(claim(&store, 32).await.attempt.number, 2);
        }
        let before = store.build(task).await.unwrap().unwrap();
        let refusals = [
            store
                .transition(lost, BuildState::PullSuccess, at(40))
                .await
                .unwrap_err(),
            store
                .append_events(lost, vec![log(Step::Pull, "x\n")], at(40))
                .await
                .unwrap_err(),
            store
                .step_started(lost, Step::Pull, at(40))
                .await
                .unwrap_err(),
            store
                .step_finished(lost, Step::Pull, StepStatus::Fail, at(40))
                .await
                .unwrap_err(),
            store.set_dockerfile(lost, "FROM x").await.unwrap_err(),
            store
                .finish(lost, &success(), REVISIONS, &callback, at(40))
                .await
                .unwrap_err(),
            store
                .finish(
                    lost,
                    &AttemptOutcome::Release,
                    REVISIONS,
                    &no_callback,
                    at(40),
                )
                .await
                .unwrap_err(),
            store.heartbeat(lost, LEASE, at(40)).await.unwrap_err(),
        ];
        for refusal in refusals {
            assert!(refusal.is_lost(), "{refusal}");
        }
        assert_eq!(store.build(task).await.unwrap().unwrap(), before);
        assert!(store.steps(task).await.unwrap().is_empty());
        assert!(store.last_delivery().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_build_lost_three_times_ends_with_a_failure_and_a_callback() {
    let site = Site::new();
    let store = site.open().await;
    let task = enqueue(&store, 1, 0).await.id;
    let mut now = 0;
    for number in 1..=MAX_ATTEMPTS {
        let attempt = claim(&store, now).await.attempt;
        assert_eq!(attempt.number, number);
        store
            .step_started(attempt, Step::Pull, at(now))
            .await
            .unwrap();
        store
            .append_events(attempt, vec![log(Step::Pull, "half\n")], at(now))
            .await
            .unwrap();
        now += 20;
        store.heartbeat(attempt, LEASE, at(now)).await.unwrap();
        now += 29;
        let none = store
            .requeue_orphans(false, &callback, at(now))
            .await
            .unwrap();
        assert!(none.requeued.is_empty() && none.ended.is_empty());
        now += 2;
        let orphans = store
            .requeue_orphans(false, &callback, at(now))
            .await
            .unwrap();
        if number < MAX_ATTEMPTS {
            assert_eq!(orphans.requeued, [task]);
            assert!(store.steps(task).await.unwrap().is_empty());
        } else {
            assert_eq!(orphans.ended[0].id, task);
        }
        let again = store
            .requeue_orphans(false, &callback, at(now))
            .await
            .unwrap();
        assert!(again.requeued.is_empty() && again.ended.is_empty());
    }
    let build = store.build(task).await.unwrap().unwrap();
    assert_eq!(build.state, BuildState::BuildAbort);
    assert_eq!(build.failure.unwrap().code, ReasonCode::EngineLost);
    assert_eq!(store.steps(task).await.unwrap()[0].status, StepStatus::Fail);
    let due = claim_due(&store, now).await;
    assert_eq!(due.len(), 1);
    assert_eq!(
        due[0].delivery.body,
        format!(r#"{{"taskId":{task},"state":"BUILD_ABORT"}}"#)
    );
    // The target is free again.
    store
        .enqueue(request(&target(1)), &work_dir, at(now))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_handed_back_in_a_shutdown_does_not_count_as_lost() {
    let site = Site::new();
    let store = site.open().await;
    let task = enqueue(&store, 1, 0).await.id;
    for number in 1..=MAX_ATTEMPTS + 2 {
        let attempt = claim(&store, number).await.attempt;
        assert_eq!(attempt.number, number, "a number is never given twice");
        store
            .finish(
                attempt,
                &AttemptOutcome::Release,
                REVISIONS,
                &no_callback,
                at(number),
            )
            .await
            .unwrap();
    }
    claim(&store, 50).await;
    let orphans = store
        .requeue_orphans(true, &callback, at(51))
        .await
        .unwrap();
    assert_eq!(orphans.requeued, [task]);
}
