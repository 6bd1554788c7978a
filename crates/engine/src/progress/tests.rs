use fastbuild_spec::event::StageStatus;

use super::*;

fn log(text: &str) -> Progress {
    Progress::Log {
        text: text.to_owned(),
    }
}

fn transfer(layer: &str, status: &str, current: u64) -> Progress {
    Progress::Transfer {
        layer: layer.into(),
        status: status.into(),
        current,
        total: None,
    }
}

fn stage(number: u32) -> Progress {
    Progress::Stage {
        number,
        total: 9,
        name: "x".into(),
        status: StageStatus::Started,
        duration_ms: None,
    }
}

async fn all(sender: ProgressSender, mut receiver: ProgressReceiver) -> Vec<Progress> {
    drop(sender);
    let mut all = Vec::new();
    while let Some(progress) = receiver.recv().await {
        all.push(progress);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn lines_are_joined_until_the_piece_is_old_or_large_or_something_else_comes() {
    let (sender, mut receiver) = progress_channel();
    sender.line("a");
    sender.line("b");
    let began = Instant::now();
    assert_eq!(receiver.recv().await, Some(log("a\nb\n")));
    assert_eq!(began.elapsed(), LOG_WAIT);

    sender.line("c");
    sender.send(stage(1));
    let began = Instant::now();
    assert_eq!(receiver.recv().await, Some(log("c\n")));
    assert_eq!(receiver.recv().await, Some(stage(1)));
    sender.line(&"d".repeat(LOG_PIECE));
    sender.line("e");
    assert_eq!(
        receiver.recv().await,
        Some(log(&format!("{}\n", "d".repeat(LOG_PIECE))))
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    drop(sender);
    assert_eq!(receiver.recv().await, Some(log("e\n")));
    assert_eq!(receiver.recv().await, None);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_layer_reports_changes_at_once_and_bytes_now_and_then() {
    let (sender, receiver) = progress_channel();
    for current in 0..10 {
        sender.send(transfer("a", "Downloading", current));
        sender.send(transfer("b", "Downloading", current));
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    sender.send(transfer("a", "Pull complete", 0));
    assert_eq!(
        all(sender, receiver).await,
        [
            transfer("a", "Downloading", 0),
            transfer("b", "Downloading", 0),
            transfer("a", "Downloading", 5),
            transfer("b", "Downloading", 5),
            transfer("a", "Pull complete", 0),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_stalled_reader_cannot_take_is_left_out_and_said_so() {
    let (sender, receiver) = progress_channel();
    let line = "x".repeat(1023);
    for _ in 0..5 * 1024 {
        sender.line(&line);
    }
    sender.send(stage(7));
    let all = all(sender, receiver).await;
    let bytes: usize = all
        .iter()
        .map(|item| {
            if let Progress::Log { text } = item {
                text.len()
            } else {
                0
            }
        })
        .sum();
    assert!((LOG_BOUND..LOG_BOUND + 100).contains(&bytes), "{bytes}");
    assert!(all.contains(&stage(7)));
    assert_eq!(
        all.last(),
        Some(&log("[1048576 bytes of output were left out here]\n"))
    );
}

#[tokio::test]
async fn nobody_listening_costs_nothing() {
    let sender = ProgressSender::discarding();
    sender.line("gone");
    assert!(sender.handle.shared.lock().items.is_empty());
}
