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
async fn log_lines_are_joined_until_flush_delay_size_or_other_event() {
    let (sender, mut receiver) = progress_channel();
    sender.line("a");
    sender.line("b");
    let began = Instant::now();
    assert_eq!(receiver.recv().await, Some(log("a\nb\n")));
    assert_eq!(began.elapsed(), LOG_FLUSH_DELAY);

    sender.line("c");
    sender.send(stage(1));
    let began = Instant::now();
    assert_eq!(receiver.recv().await, Some(log("c\n")));
    assert_eq!(receiver.recv().await, Some(stage(1)));
    sender.line(&"d".repeat(LOG_CHUNK_BYTES));
    sender.line("e");
    assert_eq!(
        receiver.recv().await,
        Some(log(&format!("{}\n", "d".repeat(LOG_CHUNK_BYTES))))
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    drop(sender);
    assert_eq!(receiver.recv().await, Some(log("e\n")));
    assert_eq!(receiver.recv().await, None);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn layer_status_changes_pass_at_once_and_byte_counts_are_throttled() {
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
async fn overflow_of_a_stalled_reader_is_dropped_with_a_note() {
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
    assert!(
        (MAX_QUEUED_LOG_BYTES..MAX_QUEUED_LOG_BYTES + 100).contains(&bytes),
        "{bytes}"
    );
    assert!(all.contains(&stage(7)));
    assert_eq!(
        all.last(),
        Some(&log("[1048576 bytes of output were left out here]\n"))
    );
}

#[tokio::test]
async fn sending_without_a_receiver_queues_nothing() {
    let sender = ProgressSender::discarding();
    sender.line("gone");
    assert!(sender.handle.shared.lock().items.is_empty());
}
