//! Metrics in the text format of Prometheus.
//!
//! Counters and histograms count in this process alone. Gauges of queued and running builds and of engines are
//! read from the store at each request and are the same in all replicas.

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use fastbuild_store::{HealthState, NamedEngine, QueueCounts, StoreError};
use http::header;
use prometheus_client::{
    encoding::{EncodeLabelSet, prometheus_text},
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{Controller, Surface},
    error::Error,
    http::request_metrics::PREFIX,
    options::BuildInfo,
    state::AppState,
};

/// How long the store may take to be counted; without it the rest is told.
const TIMEOUT: Duration = Duration::from_secs(2);

inventory::submit! {
    Controller {
        surface: Surface::Ops,
        name: "metrics",
        purpose: "Metrics for Prometheus.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(metrics))
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

/// Returns metrics in the text format of Prometheus.
///
/// Counters and histograms count since the start of this process; gauges cover all processes on the
/// database. If the database does not answer, `fastbuild_database_up` is 0 and its gauges are
/// missing.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "metrics",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4; charset=utf-8", description = "The numbers in Prometheus' text format."))
)]
async fn metrics(State(state): State<AppState>) -> Result<Response, Error> {
    let gauges = gauges(&state).await;
    let mut text = String::new();
    for registry in [state.metrics().registry(), &gauges] {
        prometheus_text::encode(&mut text, registry)
            .map_err(|error| Error::internal(format!("failed to write the metrics: {error}")))?;
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
    let counted = match tokio::time::timeout(TIMEOUT, counted).await {
        Ok(Ok(counted)) => Some(counted),
        Ok(Err(error)) => {
            tracing::warn!(%error, "failed to read gauges from the store");
            None
        }
        Err(_elapsed) => {
            tracing::warn!(
                timeout_ms = TIMEOUT.as_millis(),
                "timed out reading gauges from the store"
            );
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
