//! One client that follows a build, loses its connection, comes back and goes on where it was.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode, header::ACCEPT};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    followers::{Break, Follower, Resume},
    reading::{Heard, Reader},
};

/// How long a client goes on whose stream does not end.
const PATIENCE: Duration = Duration::from_mins(10);

/// What a client got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The number of its last event; it has all up to that, each once.
    pub last: i64,
    /// Connections it made.
    pub connections: usize,
    /// Whether it was told the end, and the stream was closed after that.
    pub ended: bool,
    /// What was not as it must be.
    pub violations: Vec<String>,
}

/// How a connection came to its end.
enum Closed {
    /// By the client.
    Left,
    /// By the server.
    ByServer,
}

/// Follows a build at `url`, its address with `/events`, to its end.
pub async fn follow(http: reqwest::Client, url: String, follower: Follower) -> Seen {
    sleep(follower.comes).await;
    let mut seen = Seen::default();
    let visits = visits(&http, &url, &follower, &mut seen);
    if tokio::time::timeout(PATIENCE, visits).await.is_err() {
        seen.wrong(format!("its stream did not end within {PATIENCE:?}"));
    }
    seen
}

/// Makes one connection after the other until one is closed by the server, or something is wrong.
async fn visits(http: &reqwest::Client, url: &str, follower: &Follower, seen: &mut Seen) {
    let mut breaks = follower.breaks.iter();
    let mut resume = None;
    while seen.violations.is_empty() {
        let planned = breaks.next();
        let request =
            asked(http, url, resume, seen.last).header(ACCEPT, follower.format.media_type());
        match visit(request, planned, &mut Reader::new(follower.format), seen).await {
            // Left between the end and its close, it is told the end again.
            Ok(Closed::Left) => seen.ended = false,
            Ok(Closed::ByServer) if seen.ended => return,
            Ok(Closed::ByServer) => seen.wrong("its stream was closed before the end".to_owned()),
            Err(error) => seen.wrong(format!("{error:#}")),
        }
        if let Some(planned) = planned {
            sleep(planned.away).await;
            resume = Some(planned.resume);
        }
    }
}

/// The request of a first visit, or of one that goes on after an event.
fn asked(http: &reqwest::Client, url: &str, resume: Option<Resume>, last: i64) -> RequestBuilder {
    match resume {
        None => http.get(url),
        Some(Resume::Header) => http.get(url).header("last-event-id", last),
        Some(Resume::Address) => http.get(url).query(&[("after", last)]),
        Some(Resume::HeaderAndFirstAddress) => http
            .get(url)
            .query(&[("after", 0)])
            .header("last-event-id", last),
    }
}

/// Follows on one connection, until the client leaves as planned or the server closes it.
async fn visit(
    request: RequestBuilder,
    planned: Option<&Break>,
    reader: &mut Reader,
    seen: &mut Seen,
) -> anyhow::Result<Closed> {
    seen.connections += 1;
    let leaves = planned.map(|planned| Instant::now() + planned.after);
    let leaving = async {
        match leaves {
            Some(moment) => sleep_until(moment).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        closed = listen(request, reader, seen) => closed,
        // Dropped in the midst of a piece, or before the answer: the connection is closed.
        () = leaving => Ok(Closed::Left),
    }
}

async fn listen(
    request: RequestBuilder,
    reader: &mut Reader,
    seen: &mut Seen,
) -> anyhow::Result<Closed> {
    let mut answer: Response = request.send().await?;
    let status = answer.status();
    anyhow::ensure!(status == StatusCode::OK, "it was answered {status}");
    while let Some(piece) = answer.chunk().await? {
        for heard in reader.take(&piece)? {
            seen.hear(heard);
        }
    }
    Ok(Closed::ByServer)
}

impl Seen {
    fn hear(&mut self, heard: Heard) {
        match heard {
            _ if self.ended => self.wrong(format!("{heard:?} came after the end")),
            Heard::Event(seq) if seq == self.last + 1 => self.last = seq,
            Heard::Event(seq) => {
                self.wrong(format!("event {seq} came after event {}", self.last));
                self.last = seq;
            }
            Heard::End(last) => {
                if last != self.last {
                    self.wrong(format!(
                        "the end says that event {last} was the last, and it was {}",
                        self.last
                    ));
                }
                self.ended = true;
            }
        }
    }

    fn wrong(&mut self, what: String) {
        self.violations.push(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(all: &[Heard]) -> String {
        let mut seen = Seen::default();
        for one in all {
            seen.hear(*one);
        }
        seen.violations.join("; ")
    }

    #[test]
    fn each_event_is_to_come_once_and_in_order_and_the_end_last() {
        use Heard::{End, Event};
        assert_eq!(heard(&[Event(1), Event(2), End(2)]), "");
        assert_eq!(heard(&[Event(1), Event(1)]), "event 1 came after event 1");
        assert_eq!(heard(&[Event(1), Event(3)]), "event 3 came after event 1");
        assert_eq!(heard(&[Event(2)]), "event 2 came after event 0");
        assert_eq!(
            heard(&[Event(1), End(2)]),
            "the end says that event 2 was the last, and it was 1"
        );
        assert_eq!(
            heard(&[Event(1), End(1), Event(2)]),
            "Event(2) came after the end"
        );
    }
}
