//! The service in numbers, in Prometheus' text format.
//!
//! Counters and histograms are of this process alone; what waits and runs, and how the engines are, is
//! read from the store when somebody asks, and is the same in all processes on one database.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use fastbuild_builder::Builder;
use fastbuild_store::{HealthState, NamedEngine, QueueCounts, StoreError};
use http::{Method, header};
use prometheus_client::{
    encoding::{EncodeLabelSet, prometheus_text},
    metrics::{
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{api::Controller, error::Error, options::BuildInfo, state::AppState};

/// What every name begins with.
const PREFIX: &str = "fastbuild";
/// How long the store may take to be counted; without it the rest is told.
const PATIENCE: Duration = Duration::from_secs(2);

inventory::submit! {
    Controller {
        name: "metrics",
        purpose: "The service in numbers, for Prometheus.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// What this process counts. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<Answered, Histogram, fn() -> Histogram>,
    registry: Arc<Registry>,
}

/// An answered request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    /// The route's template, so that there are no more of them than there are routes.
    route: String,
    status: u16,
}

/// An engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEngine {
    engine: String,
}

/// A state of builds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

/// From some milliseconds to a minute and more.
fn answers() -> Histogram {
    Histogram::new(exponential_buckets(0.002, 4.0, 9))
}

impl Metrics {
    /// The metrics of a server on a builder, whose own are told as well.
    pub(crate) fn new(builder: &Builder) -> Self {
        let requests = Family::new_with_constructor(answers as fn() -> Histogram);
        let mut registry = Registry::with_prefix(PREFIX);
        builder.metrics().register(&mut registry);
        registry.register_with_unit(
            "http_request_duration",
            "From a request's head to its answer's head, by method, route and status",
            Unit::Seconds,
            requests.clone(),
        );
        Self {
            requests,
            registry: Arc::new(registry),
        }
    }
}

/// The layer that counts requests.
pub(crate) async fn count(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let method = word(request.method());
    // What nothing serves has one name, whatever path was asked for.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    let response = next.run(request).await;
    let answered = Answered {
        method,
        route,
        status: response.status().as_u16(),
    };
    metrics
        .requests
        .get_or_create(&answered)
        .observe(begun.elapsed().as_secs_f64());
    response
}

/// A method's name; callers may invent methods, and each would be a series of its own.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Counters and histograms of this process since its start, and gauges of what is under way on the
/// whole database. Where the database does not answer, `fastbuild_database_up` is 0 and its gauges
/// are missing.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "metrics",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4; charset=utf-8", description = "The numbers in Prometheus' text format."))
)]
async fn metrics(State(state): State<AppState>) -> Result<Response, Error> {
    let gauges = gauges(&state).await;
    let mut text = String::new();
    for registry in [&*state.metrics().registry, &gauges] {
        prometheus_text::encode(&mut text, registry).map_err(|error| {
            tracing::error!(%error, "the metrics could not be written");
            Error::internal()
        })?;
    }
    let media_type = [(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)];
    Ok((media_type, text).into_response())
}

/// What is so at this moment.
async fn gauges(state: &AppState) -> Registry {
    let mut gauges = Gauges(Registry::with_prefix(PREFIX));
    gauges.about(state.build_info());
    gauges.one(
        "stream_clients",
        "Clients that follow builds in this process",
        i64::try_from(state.streams().clients()).unwrap_or(i64::MAX),
    );
    let counted = async {
        let store = state.store();
        Ok::<_, StoreError>((store.queue_counts().await?, store.engines().await?))
    };
    let counted = match tokio::time::timeout(PATIENCE, counted).await {
        Ok(Ok(counted)) => Some(counted),
        Ok(Err(error)) => {
            tracing::warn!(%error, "what is under way could not be counted");
            None
        }
        Err(_elapsed) => {
            tracing::warn!("the database does not answer; what is under way is not counted");
            None
        }
    };
    gauges.one(
        "database_up",
        "Whether the database answered just now",
        i64::from(counted.is_some()),
    );
    if let Some((queue_counts, engines)) = counted {
        let now = state.builder.clock().now();
        let longest = queue_counts.waiting_since.map_or(0.0, |since| {
            now.duration_since(since).as_secs_f64().max(0.0)
        });
        gauges.builds(&queue_counts, longest);
        gauges.engines(&engines);
    }
    gauges.0
}

/// Gauges of one moment.
struct Gauges(Registry);

impl Gauges {
    fn about(&mut self, info: BuildInfo) {
        let info = Info::new(vec![
            ("version", info.version),
            ("commit", info.commit.unwrap_or_default()),
        ]);
        self.0.register("build", "Which FastBuild this is", info);
    }

    fn one(&mut self, name: &str, help: &str, value: i64) {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        self.0.register(name, help, gauge);
    }

    fn builds(&mut self, queue_counts: &QueueCounts, longest: f64) {
        let depth = i64::try_from(queue_counts.queued).unwrap_or(i64::MAX);
        self.one("queue_depth", "Builds that wait for a worker", depth);
        let wait: Gauge<f64, std::sync::atomic::AtomicU64> = Gauge::default();
        wait.set(longest);
        self.0.register_with_unit(
            "queue_longest_wait",
            "How long the build has been waiting that has waited longest; 0 where none waits",
            Unit::Seconds,
            wait,
        );
        let builds: Family<InState, Gauge> = Family::default();
        for (state, count) in &queue_counts.running {
            let state = InState {
                state: (*state).into(),
            };
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            builds.get_or_create(&state).set(count);
        }
        self.0.register(
            "builds_running",
            "Builds that workers have, by state; a state that is not listed has none",
            builds,
        );
    }

    fn engines(&mut self, engines: &[NamedEngine]) {
        let up: Family<OfEngine, Gauge> = Family::default();
        let running: Family<OfEngine, Gauge> = Family::default();
        let capacity: Family<OfEngine, Gauge> = Family::default();
        for engine in engines {
            let of = OfEngine {
                engine: engine.name.clone(),
            };
            // Nobody has looked yet: neither is true.
            if engine.health.state != HealthState::Unknown {
                let is_up = engine.health.state == HealthState::Up;
                up.get_or_create(&of).set(i64::from(is_up));
            }
            running.get_or_create(&of).set(engine.running.into());
            capacity.get_or_create(&of).set(engine.capacity.into());
        }
        self.0.register(
            "engine_up",
            "Whether an engine answered when somebody last looked",
            up,
        );
        self.0.register(
            "engine_builds_running",
            "Builds that run on an engine",
            running,
        );
        self.0.register(
            "engine_capacity",
            "Builds that may run on an engine at a time",
            capacity,
        );
    }
}
