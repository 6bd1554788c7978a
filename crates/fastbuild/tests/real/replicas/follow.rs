//! A client that follows a build in spite of everything, as the events' documentation tells clients to.

use fastbuild_testkit::wait::{eventually, when};
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::support::{http::Http, installation::TIMEOUT};

/// The events of a build, followed on the service at `url`, and the line that ends them. Whenever the
/// stream breaks off or is refused, the client comes back with the number of its last event.
pub(crate) async fn follow(url: String, build: i64) -> Vec<Value> {
    let http = Http::new(&url);
    let events = Mutex::new(Vec::<Value>::new());
    eventually(format!("build {build} has ended"), TIMEOUT, || async {
        let mut events = events.lock().await;
        let after = events
            .last()
            .map_or(0, |event| event["seq"].as_i64().unwrap());
        let path = format!("{url}/api/v1/builds/{build}/events?after={after}");
        let request = http
            .request_url(Method::GET, &path)
            .header("accept", "application/x-ndjson");
        if let Ok(response) = request.send().await
            && response.status().is_success()
        {
            read(response, &mut events).await;
        }
        let ended = events.last().is_some_and(|event| event["event"] == "end");
        Ok(when(ended, events.clone()))
    })
    .await
    .unwrap()
}

/// Takes the events of a stream until it ends or breaks off.
async fn read(mut response: Response, events: &mut Vec<Value>) {
    let mut text = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        text.extend_from_slice(&piece);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            // A line with nothing in it is a sign of life.
            if line != b"\n" {
                events.push(serde_json::from_slice(&line).unwrap());
            }
        }
    }
}
