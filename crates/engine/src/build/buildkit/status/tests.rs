use bollard_buildkit_proto::moby::buildkit::v1::{VertexLog, VertexStatus};

use super::*;
use crate::progress_channel;

fn vertex(digest: &str, name: &str, started: Option<i64>, completed: Option<i64>) -> v1::Vertex {
    let at = |seconds: i64| Timestamp {
        seconds,
        nanos: 500_000_000,
    };
    v1::Vertex {
        digest: digest.into(),
        name: name.into(),
        started: started.map(at),
        completed: completed.map(at),
        ..v1::Vertex::default()
    }
}

fn vertices(vertexes: Vec<v1::Vertex>) -> StatusResponse {
    StatusResponse {
        vertexes,
        ..StatusResponse::default()
    }
}

fn output(digest: &str, msg: &str) -> StatusResponse {
    let log = VertexLog {
        vertex: digest.into(),
        stream: 1,
        msg: msg.as_bytes().to_vec(),
        ..VertexLog::default()
    };
    StatusResponse {
        logs: vec![log],
        ..StatusResponse::default()
    }
}

async fn follow(updates: Vec<StatusResponse>) -> (String, Option<FailedStep>) {
    let (sender, mut receiver) = progress_channel();
    let mut tracker = Tracker::new(
        sender,
        vec![("id".into(), "$6$salt$hash".to_owned().into())],
    );
    for update in updates {
        tracker.update(update);
    }
    let failed = tracker.finish();
    let mut text = String::new();
    while let Some(progress) = receiver.recv().await {
        match progress {
            Progress::Log { text: lines } => text += &lines,
            Progress::Stage {
                number,
                total,
                name,
                status,
                duration_ms,
            } => {
                text.extend([format!(
                    "-- {number}/{total} {name} {status:?} {duration_ms:?}\n"
                )]);
            }
            Progress::Transfer {
                layer,
                status,
                current,
                total,
            } => {
                text.extend([format!("-- {layer} {status} {current} {total:?}\n")]);
            }
        }
    }
    (text, failed)
}

#[tokio::test]
async fn build_progress_becomes_stages_and_numbered_lines() {
    let cached = v1::Vertex {
        cached: true,
        ..vertex("b", "[1/2] FROM debian", Some(1), Some(1))
    };
    let context = VertexStatus {
        id: "transferring context:".into(),
        vertex: "a".into(),
        current: 40_000_000,
        completed: Some(Timestamp::default()),
        ..VertexStatus::default()
    };
    let layer = VertexStatus {
        id: "sha256:0123456789abcdef".into(),
        name: "downloading".into(),
        vertex: "b".into(),
        current: 5,
        total: 10,
        ..VertexStatus::default()
    };
    let (text, failed) = follow(vec![
        vertices(vec![
            vertex("c", "[2/2] RUN make", None, None),
            vertex("b", "[1/2] FROM debian", None, None),
            vertex("a", "[internal] load build context", Some(1), None),
        ]),
        StatusResponse {
            statuses: vec![context, layer],
            ..StatusResponse::default()
        },
        vertices(vec![
            vertex("a", "[internal] load build context", Some(1), Some(2)),
            cached,
        ]),
        vertices(vec![vertex("c", "[2/2] RUN make", Some(2), None)]),
        output("c", "one\ntw"),
        output("c", "o $6$salt$hash\n"),
        output("c", "10%\r"),
        output("c", "99%\r"),
        output("c", "\n\u{1b}[32mgreen\u{1b}[0m\nunfinished"),
        vertices(vec![vertex("c", "[2/2] RUN make", Some(2), Some(14))]),
    ])
    .await;
    assert_eq!(failed, None);
    insta::assert_snapshot!(text, @r"
    #1 [internal] load build context
    #1 transferring context: 40.0MB done
    -- 0123456789ab downloading 5 Some(10)
    #1 DONE 1.0s
    #2 [1/2] FROM debian
    #2 CACHED
    -- 1/2 [1/2] FROM debian Cached Some(0)
    #3 [2/2] RUN make
    -- 2/2 [2/2] RUN make Started None
    #3 one
    #3 two ***
    #3 99%
    #3 green
    #3 unfinished
    #3 DONE 12.0s
    -- 2/2 [2/2] RUN make Done Some(12000)
    ");
}

#[tokio::test]
async fn failed_step_is_the_first_that_was_not_cancelled() {
    let failing = |digest: &str, name: &str, error: &str| v1::Vertex {
        error: error.into(),
        ..vertex(digest, name, Some(1), Some(2))
    };
    let lines: Vec<_> = (0..TAIL_LINES + 10)
        .map(|line| format!("line {line}\n"))
        .collect();
    let (text, failed) = follow(vec![
        vertices(vec![
            vertex("a", "[1/2] RUN wait", Some(1), None),
            vertex("b", "[2/2] RUN fail", Some(1), None),
        ]),
        output("b", &lines.concat()),
        vertices(vec![
            failing("a", "[1/2] RUN wait", "context canceled"),
            failing("b", "[2/2] RUN fail", "exit code: 1"),
        ]),
    ])
    .await;
    let failed = failed.unwrap();
    assert_eq!(failed.stage, "[2/2] RUN fail");
    assert_eq!(
        (
            failed.lines.len(),
            failed.lines[0].as_str(),
            failed.lines[TAIL_LINES - 1].as_str()
        ),
        (TAIL_LINES, "line 10", "line 209")
    );
    assert!(
        text.contains("#1 CANCELED\n") && text.contains("#2 ERROR exit code: 1\n"),
        "{text}"
    );
}

#[test]
fn vertices_of_one_update_follow_dockerfile_order() {
    let mut names = [
        "exporting to image",
        "[stage-1 10/10] RUN b",
        "[2/5] RUN a",
        "[auth] x",
        "[uv 1/1] FROM x",
        "[3/5] COPY [a/b",
    ];
    names.sort_by_key(|name| dockerfile_order(name));
    assert_eq!(
        names,
        [
            "[auth] x",
            "[uv 1/1] FROM x",
            "[2/5] RUN a",
            "[3/5] COPY [a/b",
            "[stage-1 10/10] RUN b",
            "exporting to image"
        ]
    );
}

#[test]
fn endless_progress_bars_use_bounded_memory() {
    let (sender, _receiver) = progress_channel();
    let mut tracker = Tracker::new(sender, vec![]);
    tracker.update(vertices(vec![vertex("a", "[1/1] RUN x", Some(1), None)]));
    for percent in 0..10_000 {
        tracker.update(output("a", &format!("{percent}%\r")));
    }
    assert!(tracker.vertices["a"].open[&1].held() < 40);
}
