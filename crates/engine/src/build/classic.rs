//! Builds with the classic builder, for engines without BuildKit: the context is sent as a tar, steps run one
//! after the other, secrets are not supported.

use std::{collections::VecDeque, io, time::Duration};

use bytes::Bytes;
use fastbuild_spec::event::{Progress, StageStatus};
use futures_util::TryStreamExt as _;
use http::{Method, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::time::Instant;
use tokio_util::io::{ReaderStream, SyncIoBridge};

use crate::{
    BuildFile, Built, Engine, EngineError, FileSource, ImageBuild, ProgressSender,
    crash::{self, CrashPoint},
    error::classify::{self, FailedStep, Subject},
    json_stream::{Message, StreamError},
    orphans::labels,
    registry::{config_header, registry_of},
};

/// Lines kept of each step, for the error if it fails.
const TAIL_LINES: usize = 200;
/// Bytes of the context on their way at a time.
const WINDOW: usize = 256 * 1024;
/// Seconds since 1970 of every file in the tar, 2000-01-01: the builder's cache looks at it.
const FILE_TIME: u64 = 946_684_800;

pub(crate) async fn build(
    engine: &Engine,
    request: ImageBuild,
    progress: &ProgressSender,
) -> Result<Built, EngineError> {
    if !request.secrets.is_empty() {
        return Err(EngineError::Unsupported {
            address: engine.address().to_owned(),
            detail: "its classic builder takes no secrets, such as the SSH and JupyterLab passwords of an image; BuildKit does".into(),
        });
    }
    let tag = request.tag.to_string();
    let labels = serde_json::to_string(&labels(&request.build_id))
        .map_err(|error| engine.internal(error.to_string()))?;
    let query = [
        ("t", tag.as_str()),
        ("version", "1"),
        ("rm", "1"),
        ("forcerm", "1"),
        ("labels", &labels),
        ("nocache", if request.no_cache { "1" } else { "0" }),
    ];
    let query =
        serde_urlencoded::to_string(query).map_err(|error| engine.internal(error.to_string()))?;
    let mut http = engine
        .request(Method::POST, &format!("/build?{query}"))
        .await?
        .header(header::CONTENT_TYPE, "application/x-tar");
    if let Some(value) = config_header(request.registry.as_ref()) {
        http = http.header("x-registry-config", value);
    }
    let http = http
        .body(context(request.dockerfile, request.files))
        .map_err(|error| engine.internal(error.to_string()))?;

    let mut steps = Steps {
        progress,
        current: None,
    };
    let built = async {
        let mut image_id = None;
        let mut messages = engine.stream_json(http).await?;
        while let Some(message) = messages.next().await? {
            steps.update(&message);
            crash::pass(CrashPoint::Building);
            let aux = message
                .aux
                .as_ref()
                .and_then(|aux| aux.get("ID"))
                .and_then(|id| id.as_str());
            image_id = aux.map(str::to_owned).or(image_id);
        }
        Ok::<_, StreamError>(image_id)
    };
    match built.await {
        Ok(image_id) => {
            steps.end(StageStatus::Done);
            let name = image_id.unwrap_or(tag);
            let found = engine.inspect(&name).await?;
            let found = found.ok_or_else(|| {
                engine.internal(format!("the image {name} was built and is not there"))
            })?;
            Ok(Built {
                image_id: found.id,
                size: found.size,
            })
        }
        Err(StreamError::Broken(error)) => Err(error),
        Err(StreamError::Refused(message)) => {
            let failed = steps.end(StageStatus::Failed);
            let base = request.base.to_string();
            let registry = registry_of(&request.base);
            let subject = Subject {
                address: engine.address(),
                image: &base,
                registry,
            };
            let error = classify::build_error(subject, failed, &message);
            Err(engine
                .check_login(error, registry, request.registry.as_ref())
                .await)
        }
    }
}

type Context = StreamBody<futures_util::stream::BoxStream<'static, io::Result<Frame<Bytes>>>>;

/// The tar of a context, written by a thread of its own while it is sent.
fn context(dockerfile: String, files: Vec<BuildFile>) -> Context {
    let (reader, writer) = tokio::io::duplex(WINDOW);
    let (failed, failure) = tokio::sync::oneshot::channel();
    let mut writer = SyncIoBridge::new(writer);
    tokio::task::spawn_blocking(move || {
        let written = write_tar(&mut writer, &dockerfile, &files);
        // If the reader is gone, writing ends and no one needs the result.
        let _ = failed.send(written);
        drop(writer);
    });
    let pieces = ReaderStream::with_capacity(reader, WINDOW).map_ok(Frame::data);
    // A truncated tar must end in an error, not in a clean EOF.
    let end = futures_util::stream::once(async {
        match failure.await {
            Ok(Err(error)) => Err(error),
            _ => Ok(Frame::data(Bytes::new())),
        }
    });
    let body: futures_util::stream::BoxStream<'static, _> =
        Box::pin(futures_util::StreamExt::chain(pieces, end));
    StreamBody::new(body)
}

fn write_tar(writer: &mut impl io::Write, dockerfile: &str, files: &[BuildFile]) -> io::Result<()> {
    let mut tar = tar::Builder::new(writer);
    let header = |size: u64, mode: u32| {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(mode & 0o777);
        header.set_mtime(FILE_TIME);
        header
    };
    let size = dockerfile.len() as u64;
    tar.append_data(
        &mut header(size, 0o644),
        "Dockerfile",
        dockerfile.as_bytes(),
    )?;
    for file in files {
        match &file.source {
            FileSource::Memory(bytes) => {
                tar.append_data(
                    &mut header(bytes.len() as u64, file.mode),
                    &file.path,
                    bytes.as_ref(),
                )?;
            }
            FileSource::Disk(file_on_disk) => {
                let opened = std::fs::File::open(&file_on_disk.path)?;
                let size = opened.metadata()?.len();
                tar.append_data(
                    &mut header(size, file.mode),
                    &file.path,
                    io::Read::take(opened, size),
                )?;
            }
        }
    }
    tar.finish()
}

/// The classic builder's text as stages and log lines.
struct Steps<'a> {
    progress: &'a ProgressSender,
    current: Option<Current>,
}

struct Current {
    number: u32,
    total: u32,
    name: String,
    since: Instant,
    cached: bool,
    lines: VecDeque<String>,
}

impl Steps<'_> {
    fn update(&mut self, message: &Message) {
        message.report(self.progress);
        let Some(text) = &message.stream else { return };
        for line in text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
        {
            if let Some((number, total, instruction)) = step_line(line) {
                self.end(StageStatus::Done);
                let name = format!("[{number}/{total}] {instruction}");
                self.report(number, total, &name, StageStatus::Started, None);
                self.progress.line(&format!("#{number} {name}"));
                let since = Instant::now();
                self.current = Some(Current {
                    number,
                    total,
                    name,
                    since,
                    cached: false,
                    lines: VecDeque::new(),
                });
                continue;
            }
            match &mut self.current {
                None => self.progress.line(line),
                Some(current) => {
                    current.cached |= line.trim() == "---> Using cache";
                    if current.lines.len() == TAIL_LINES {
                        current.lines.pop_front();
                    }
                    current.lines.push_back(line.to_owned());
                    self.progress.line(&format!("#{} {line}", current.number));
                }
            }
        }
    }

    /// Ends the running step, if one runs.
    fn end(&mut self, status: StageStatus) -> Option<FailedStep> {
        let current = self.current.take()?;
        let status = match status {
            StageStatus::Done if current.cached => StageStatus::Cached,
            other => other,
        };
        self.report(
            current.number,
            current.total,
            &current.name,
            status,
            Some(current.since.elapsed()),
        );
        Some(FailedStep {
            stage: current.name,
            lines: current.lines.into(),
        })
    }

    fn report(
        &self,
        number: u32,
        total: u32,
        name: &str,
        status: StageStatus,
        took: Option<Duration>,
    ) {
        let duration_ms = took.and_then(|took| u64::try_from(took.as_millis()).ok());
        self.progress.send(Progress::Stage {
            number,
            total,
            name: name.to_owned(),
            status,
            duration_ms,
        });
    }
}

/// `Step 2/5 : RUN apt-get update` as number, total and instruction.
fn step_line(line: &str) -> Option<(u32, u32, &str)> {
    let (count, instruction) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, total) = count.split_once('/')?;
    Some((number.parse().ok()?, total.parse().ok()?, instruction))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DiskFile;

    #[test]
    fn step_line_parses_only_step_headers() {
        assert_eq!(step_line("Step 2/5 : RUN a : b"), Some((2, 5, "RUN a : b")));
        assert_eq!(step_line("Step by step : 1/2"), None);
        assert_eq!(step_line(" ---> Running in 0123"), None);
    }

    #[test]
    fn missing_file_fails_the_context_tar() {
        let file = BuildFile {
            path: "x".into(),
            mode: 0o644,
            source: FileSource::Disk(DiskFile {
                path: "/nowhere/at/all".into(),
                size: 0,
                digest: [0; 32],
            }),
        };
        assert_eq!(
            write_tar(&mut Vec::new(), "FROM x", &[file])
                .unwrap_err()
                .kind(),
            io::ErrorKind::NotFound
        );
    }
}
