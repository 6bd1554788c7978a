//! Image names against the engines' own parser, which answers 400 for a name that is none and 404 for an image that it has not.

use std::{fmt::Write as _, io::Write as _};

use bytes::Bytes;
use fastbuild_spec::reference::ImageReference;
use fastbuild_testkit::env::EnginePart;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::common::{env, image, plain_engine};

#[path = "../../../spec/tests/image_names/generator.rs"]
mod generator;
#[path = "../../../spec/tests/image_names/table.rs"]
mod table;

/// Asked at a time, each on a connection of its own.
const CONNECTIONS: usize = 8;
/// Names of the live test, of another seed than the recorded ones.
const LIVE: usize = 6_000;

/// What an engine says to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Refused,
    /// It is a name; as the engine prints it, where it does.
    Taken(Option<String>),
}

struct Asking<'a> {
    sender: http1::SendRequest<Empty<Bytes>>,
    engine: &'a EnginePart,
    /// The id of an image that the engine has.
    existing: &'a str,
}

impl<'a> Asking<'a> {
    async fn of(engine: &'a EnginePart, existing: &'a str) -> Self {
        let stream = tokio::net::TcpStream::connect((engine.host.as_str(), engine.port))
            .await
            .unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self {
            sender,
            engine,
            existing,
        }
    }

    async fn send(&mut self, method: &str, path: &str) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.engine.host)
            .body(Empty::new())
            .unwrap();
        self.sender.ready().await.unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn ask(&mut self, name: &str) -> Answer {
        let escaped = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        // The router of the engine's API tidies such paths; an id is looked for before a name.
        let segments_survive = name.split('/').all(|part| !["", ".", ".."].contains(&part));
        let is_id = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !segments_survive || is_id {
            let path = format!("/images/{}/tag?repo={escaped}", self.existing);
            let (status, body) = self.send("POST", &path).await;
            // Older engines say the same with another status.
            let refused = body.contains("invalid re") && !status.is_success();
            assert!(refused, "{name:?}: {status} {body}");
            return Answer::Refused;
        }
        let (status, body) = self.send("GET", &format!("/images/{escaped}/json")).await;
        match status {
            StatusCode::BAD_REQUEST => Answer::Refused,
            StatusCode::OK => Answer::Taken(None),
            StatusCode::NOT_FOUND => {
                let message: serde_json::Value = serde_json::from_str(&body).unwrap();
                let message = message["message"].as_str().unwrap();
                let (_, familiar) = message.rsplit_once("No such image: ").unwrap();
                Answer::Taken(Some(familiar.to_owned()))
            }
            other => panic!("{name:?}: {other} {body}"),
        }
    }
}

/// What an engine says to each name, in their order.
async fn answers(engine: &EnginePart, existing: &str, names: &[String]) -> Vec<Answer> {
    let share = names.len().div_ceil(CONNECTIONS);
    stream::iter(names.chunks(share).map(async |names| {
        let mut asking = Asking::of(engine, existing).await;
        let mut answers = Vec::with_capacity(names.len());
        for name in names {
            answers.push(asking.ask(name).await);
        }
        answers
    }))
    .buffered(CONNECTIONS)
    .concat()
    .await
}

/// As engines print a name, which leave out Docker Hub's host even where the rest reads as another one.
fn familiar(image: &ImageReference) -> String {
    let printed = image.to_string();
    match printed.strip_prefix("docker.io/") {
        Some(short) if image.registry().is_none() => short.to_owned(),
        _ => printed,
    }
}

/// What engines before 23 refuse and later ones take.
fn is_newer_grammar(image: &ImageReference) -> bool {
    let host = image.host();
    let is_upper = |c: char| c.is_ascii_uppercase();
    host.starts_with('[')
        || host.len() + 1 + image.path().len() > 255
        || (host.contains(is_upper) && !host.contains(['.', ':']))
}

/// Where our reading differs from an engine's answers.
fn differences(names: &[String], answers: &[Answer], is_old: bool) -> String {
    let mut differences = String::new();
    for (name, answer) in names.iter().zip(answers) {
        let ours = match name.parse::<ImageReference>() {
            Ok(image) if is_old && is_newer_grammar(&image) => Answer::Refused,
            Ok(image) => Answer::Taken(Some(familiar(&image))),
            Err(_) => Answer::Refused,
        };
        let agree = match answer {
            Answer::Taken(None) => ours != Answer::Refused,
            known => *known == ours,
        };
        if !agree {
            writeln!(differences, "{name:?}: {ours:?}, the engine: {answer:?}").unwrap();
        }
    }
    differences
}

async fn existing_image() -> String {
    let env = env();
    let base = image(&env.image(&env.images.debian));
    let found = plain_engine(&env).find_image(&base).await.unwrap();
    found.unwrap().id
}

#[tokio::test]
async fn names_are_read_as_both_engines_read_them() {
    let env = env();
    let existing = existing_image().await;
    let names = generator::names(table::SEED + 1, LIVE);
    let old = answers(&env.engine_plain, &existing, &names).await;
    assert_eq!(differences(&names, &old, true), "");
    let newer = answers(env.engine_store.as_ref().unwrap(), &existing, &names).await;
    assert_eq!(differences(&names, &newer, false), "");
}

#[tokio::test]
#[ignore = "writes the table of the spec crate's test image_names anew; takes a minute or two"]
async fn record_image_names() {
    let env = env();
    let existing = existing_image().await;
    let names = generator::names(table::SEED, table::COUNT);
    let answers = answers(env.engine_store.as_ref().unwrap(), &existing, &names).await;
    let mut recorded = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for (name, answer) in names.iter().zip(&answers) {
        let value = match answer {
            Answer::Refused => table::REFUSED,
            Answer::Taken(Some(familiar)) => table::accepted(familiar),
            Answer::Taken(None) => panic!("the engine has an image {name:?}"),
        };
        recorded.write_all(&value.to_le_bytes()).unwrap();
    }
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../spec/tests/image_names/docker-28.5.gz"
    );
    std::fs::write(path, recorded.finish().unwrap()).unwrap();
}
