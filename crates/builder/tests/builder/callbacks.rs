//! Callbacks that their receiver refuses.

use fastbuild_store::DeliveryStatus;
use fastbuild_testkit::callback_receiver::{Mode, Received};
use jiff::SignedDuration;

use crate::support::{AT_ONCE, Fixture};

fn refusals(times: u32) -> Mode {
    Mode {
        times: Some(times),
        ..Mode::status(503)
    }
}

#[tokio::test]
async fn a_refused_callback_is_sent_again_when_its_time_has_come() {
    let fixture = Fixture::start(AT_ONCE).await;
    fixture.callbacks.set_mode("1", refusals(1));
    let build = fixture.build("1").await;
    let waiting = fixture
        .until_delivery(build.id, "the callback was refused once", |one| {
            one.delivery.tries == 1
        })
        .await;
    let due = waiting.delivery.next_at.unwrap();
    // A minute as configured, and some more, so that not all come back at once.
    let wait = due.duration_since(build.finished_at.unwrap());
    let minutes = SignedDuration::from_mins(1)..SignedDuration::from_mins(2);
    assert!(minutes.contains(&wait), "{wait:?}");

    fixture.advance(wait);
    // A callback of another build has the loop look at what is due.
    fixture.build("2").await;
    let delivered = fixture
        .until_delivery(build.id, "the callback is delivered", |one| {
            one.delivery.status == DeliveryStatus::Delivered
        })
        .await;
    assert_eq!(delivered.tries.len(), 2);
    let taken: Vec<bool> = fixture
        .callbacks
        .received(Some("1"))
        .iter()
        .map(Received::was_taken)
        .collect();
    assert_eq!(taken, [false, true]);
}

#[tokio::test]
async fn a_callback_is_given_up_after_its_last_try_and_sent_again_on_request() {
    let once = |options: &mut fastbuild_builder::options::Options| {
        options.callbacks.retry_after = vec![];
    };
    let fixture = Fixture::start_with(AT_ONCE, once).await;
    fixture.callbacks.set_mode("1", refusals(1));
    let build = fixture.build("1").await;
    let given_up = fixture
        .until_delivery(build.id, "the callback is given up", |one| {
            one.delivery.status == DeliveryStatus::GaveUp
        })
        .await;
    let callbacks = fixture.builder.callbacks();
    callbacks.resend(given_up.delivery.id).await.unwrap();
    fixture
        .until_delivery(build.id, "the callback is delivered", |one| {
            one.delivery.status == DeliveryStatus::Delivered
        })
        .await;
    assert_eq!(fixture.callbacks.received(Some("1")).len(), 2);
}

#[tokio::test]
async fn a_callback_that_its_process_did_not_send_is_sent_by_the_next() {
    let mut fixture = Fixture::start(AT_ONCE).await;
    let hang = Mode {
        hang: true,
        ..Mode::status(200)
    };
    fixture.callbacks.set_mode("1", hang);
    fixture.build("1").await;
    fixture.until_told("1", 1).await;
    fixture.crash().await;
    fixture.callbacks.set_mode("1", Mode::status(200));
    fixture.start_again().await;
    let received = fixture.until_told("1", 2).await;
    assert_eq!(received[0].body, received[1].body);
    assert!(received[1].was_taken());
}
