//! Builds.

use fastbuild_builder::{QueueEstimate, Rendered};
use fastbuild_spec::{
    build_reason::BuildReason,
    failure::{Failure, Language},
    limits::BuildLimits,
    plan::ContextSource,
};
use fastbuild_store::{self as store, ImageProvenance};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::v1::problem::fault;

/// A build.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Build {
    /// Its number.
    #[schema(example = 1_795_426_218_678_i64)]
    id: i64,
    /// The name that its caller gave it, perhaps empty.
    name: String,
    /// `QUEUED`, `STARTED`, ... `PUSH_SUCCESS`.
    #[schema(example = "PUSH_SUCCESS")]
    state: String,
    /// Whether this state is final.
    ended: bool,
    /// The base image, with its tag.
    base: String,
    /// The target image, with its tag.
    target: String,
    /// The description of the image.
    description: String,
    /// URL of its callback; empty for none.
    callback_url: String,
    /// When it was submitted (RFC 3339).
    #[schema(example = "2026-11-23T09:30:18.683455Z")]
    created_at: String,
    /// When its row last changed.
    updated_at: String,
    /// When its newest attempt started.
    started_at: Option<String>,
    /// When it ended.
    finished_at: Option<String>,
    /// Number of attempts so far.
    attempt: i64,
    /// Why its last attempt ended without ending it; null where none did.
    #[schema(example = "The build was requeued because the service was stopped.")]
    requeued_because: Option<String>,
    /// The engine it runs or last ran on; null until it starts.
    #[schema(example = "default")]
    engine: Option<String>,
    /// Its owner, perhaps empty; builds of different owners take turns.
    owner: String,
    /// Builds of a higher priority go first.
    priority: i64,
    /// How long it may take; null for builds of an old installation.
    limits: Option<Limits>,
    /// Its position, while it is queued; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueueEntry>,
    /// Whether somebody asked to cancel it.
    cancel_requested: bool,
    /// The number of its newest event.
    last_event: i64,
    /// The image it made.
    image: Option<ImageMade>,
    /// How its image was made, once it is pushed; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<Provenance>,
    /// Why it failed.
    failure: Option<FailureDetail>,
    /// Links to related resources.
    links: Links,
}

/// The image a build made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageMade {
    /// The engine's id of it.
    id: String,
    /// Bytes it takes on the engine.
    size: Option<u64>,
    /// The digest the registry knows it by, once it is pushed.
    digest: Option<String>,
}

/// How long a build may take, in seconds.
#[derive(Debug, Serialize, ToSchema)]
struct Limits {
    /// From the start of an attempt to its end.
    #[serde(rename = "total_seconds")]
    total: u64,
    /// Without a line, a step or a moved byte from the engine.
    #[serde(rename = "silence_seconds")]
    silence: u64,
    /// For the push alone.
    #[serde(rename = "push_seconds")]
    push: u64,
}

impl From<BuildLimits> for Limits {
    fn from(limits: BuildLimits) -> Self {
        Self {
            total: limits.total,
            silence: limits.silence,
            push: limits.push,
        }
    }
}

/// Where a build stands in the queue.
#[derive(Debug, Serialize, ToSchema)]
struct QueueEntry {
    /// Its place if nothing else were queued or cancelled: 1 is the next to be taken.
    position: u64,
    /// Whether that is all; a place behind some ten thousand is told as the least it can be.
    exact: bool,
    /// Builds that run at this moment.
    running: u64,
    /// When it may begin; null where nothing is known to tell it by.
    starts_at: Option<String>,
    /// When it may end.
    ends_at: Option<String>,
    /// What these times rest on; null before the first build that succeeded.
    based_on: Option<TypicalDuration>,
    /// What all queued builds wait for while the registry or every engine is down: since when, and
    /// why; else null.
    waiting_for: Option<String>,
}

/// How long builds took.
#[derive(Debug, Serialize, ToSchema)]
struct TypicalDuration {
    /// Their median, in seconds.
    median_seconds: u64,
    /// So many builds.
    builds: u64,
    /// Whether they had the same base image and installers; else they are the newest of any kind.
    alike: bool,
}

impl QueueEntry {
    fn new(estimate: QueueEstimate, language: Language) -> Option<Self> {
        let place = estimate.place?;
        Some(Self {
            position: place.position,
            exact: place.exact,
            running: place.running,
            starts_at: estimate.starts_at.map(|time| time.to_string()),
            ends_at: estimate.ends_at.map(|time| time.to_string()),
            based_on: estimate.usual.map(|usual| TypicalDuration {
                median_seconds: usual.median.as_secs(),
                builds: usual.builds,
                alike: usual.alike,
            }),
            waiting_for: estimate
                .waiting_for
                .map(|sentence| sentence.in_language(language).to_owned()),
        })
    }
}

/// How a build came by its image.
#[derive(Debug, Serialize, ToSchema)]
struct Provenance {
    /// `built` on an engine, or `reused`: an equal build had made it, and the registry was told its
    /// new name.
    #[schema(example = "reused")]
    how: &'static str,
    /// Why it was built rather than reused; null for one that was reused.
    #[schema(example = "none_equal")]
    because: Option<String>,
    /// The same for a person.
    detail: Option<String>,
    /// The build that made it, where that was another one.
    by_build: Option<i64>,
    /// When it was built; null for one that equal builds cannot use.
    at: Option<String>,
    /// The engine it was planned for, in a line.
    engine: Option<String>,
}

impl Provenance {
    /// `None` where nothing is known: the build is from before this was kept.
    fn new(
        because: Option<BuildReason>,
        made: Option<ImageProvenance>,
        language: Language,
    ) -> Option<Self> {
        if because.is_none() && made.is_none() {
            return None;
        }
        let by_build = made.as_ref().and_then(|made| made.made_by);
        let sentence = because.map(BuildReason::sentence);
        Some(Self {
            how: if by_build.is_some() {
                "reused"
            } else {
                "built"
            },
            because: because.map(|why| why.to_string()),
            detail: sentence.map(|words| words.in_language(language).to_owned()),
            by_build,
            at: made.as_ref().map(|made| made.made_at.to_string()),
            engine: made.map(|made| made.engine),
        })
    }
}

/// Why a build failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailureDetail {
    /// The stable code of the reason.
    #[schema(example = "PackageNotFound")]
    code: String,
    /// `failed`: the request's fault; `errored`: the platform's.
    fault: &'static str,
    /// What happened, for a person.
    detail: String,
    /// The remedy.
    hint: String,
    /// The culprit, where it is known.
    culprit: Option<String>,
    /// The step it happened in.
    step: Option<String>,
    /// The last lines of that step's log.
    last_lines: Vec<String>,
}

/// Links to the resources of a build.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Links {
    /// The build itself.
    #[serde(rename = "self")]
    itself: String,
    /// Its events, as a stream.
    events: String,
    /// Its log.
    log: String,
    /// Its Dockerfile.
    dockerfile: String,
}

impl FailureDetail {
    /// A failure in a language.
    pub(crate) fn new(failure: &Failure, language: Language) -> Self {
        Self {
            code: failure.code.to_string(),
            fault: fault(failure.code),
            detail: failure.message.in_language(language).to_owned(),
            hint: failure.hint.in_language(language).to_owned(),
            culprit: failure.culprit.clone(),
            step: failure.step.map(|step| step.to_string()),
            last_lines: failure.last_lines.clone(),
        }
    }
}

impl Build {
    /// A build's row, its failure in this language.
    pub(crate) fn new(build: store::Build, language: Language) -> Self {
        let itself = path(build.id);
        Self {
            id: build.id,
            state: build.state.to_string(),
            ended: build.state.is_terminal(),
            created_at: build.created_at.to_string(),
            updated_at: build.updated_at.to_string(),
            started_at: build.started_at.map(|time| time.to_string()),
            finished_at: build.finished_at.map(|time| time.to_string()),
            attempt: build.attempt,
            requeued_because: build
                .requeue_reason
                .map(|reason| reason.requeued().in_language(language).to_owned()),
            engine: build.engine,
            owner: build.owner,
            priority: build.priority,
            limits: build.limits.map(Limits::from),
            queue: None,
            made: None,
            cancel_requested: build.cancel_requested,
            last_event: build.last_event,
            image: build.image_id.map(|id| ImageMade {
                id,
                size: build.image_size,
                digest: build.digest,
            }),
            failure: build
                .failure
                .map(|failure| FailureDetail::new(&failure, language)),
            links: Links {
                events: format!("{itself}/events"),
                log: format!("{itself}/log"),
                dockerfile: format!("{itself}/dockerfile"),
                itself,
            },
            name: build.name,
            base: build.base_image,
            target: build.target_image,
            description: build.description,
            callback_url: build.callback_url,
        }
    }
}

impl Build {
    /// The same with where it stands in the queue.
    pub(crate) fn queued(mut self, estimate: Option<QueueEstimate>, language: Language) -> Self {
        self.queue = estimate.and_then(|estimate| QueueEntry::new(estimate, language));
        self
    }

    /// The same with how it came by its image.
    pub(crate) fn made(
        mut self,
        because: Option<BuildReason>,
        made: Option<ImageProvenance>,
        language: Language,
    ) -> Self {
        self.made = Provenance::new(because, made, language);
        self
    }
}

/// The path of a build.
pub(crate) fn path(build_id: i64) -> String {
    format!("/api/v1/builds/{build_id}")
}

/// A page of builds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BuildPage {
    /// The builds, newest first.
    pub(crate) builds: Vec<Build>,
    /// `cursor` for the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// What a request to stop a build came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CancelResult {
    /// The build.
    pub(crate) id: i64,
    /// Whether it has ended already; a running one does as soon as its engine lets go.
    pub(crate) ended: bool,
}

/// What a build document would become.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RenderedPlan {
    /// The Dockerfile's text.
    dockerfile: String,
    /// The files of its context.
    files: Vec<ContextFile>,
    /// The names of the secrets it mounts.
    secrets: Vec<&'static str>,
    /// The document, its passwords masked.
    document: Value,
}

/// One file of a build's context.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContextFile {
    /// Its path in the context.
    path: String,
    /// Its Unix permission bits, octal.
    #[schema(example = "0644")]
    mode: String,
    /// `inline`, `mirror` or `tool`.
    source: &'static str,
    /// The file's name in the catalog.
    name: Option<String>,
    /// Its text, where FastBuild writes it.
    text: Option<String>,
}

impl RenderedPlan {
    /// A rendered document.
    pub(crate) fn new(rendered: Rendered) -> Self {
        let plan = rendered.plan;
        Self {
            dockerfile: plan.dockerfile,
            files: plan
                .files
                .into_iter()
                .map(|file| {
                    let (source, name, text) = match file.source {
                        ContextSource::Inline(text) => ("inline", None, Some(text)),
                        ContextSource::Mirror(mirror) => (
                            "mirror",
                            Some(format!("{}/{}", mirror.group, mirror.file_name)),
                            None,
                        ),
                        ContextSource::Tool(tool) => ("tool", Some(tool.file_name), None),
                    };
                    ContextFile {
                        path: file.path,
                        mode: format!("{:04o}", file.mode),
                        source,
                        name,
                        text,
                    }
                })
                .collect(),
            secrets: plan.secrets.iter().map(|secret| secret.id()).collect(),
            document: rendered.request,
        }
    }
}
