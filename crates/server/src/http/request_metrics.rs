//! Counts requests; holds the registry of everything that this process counts.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use fastbuild_builder::Builder;
use http::Method;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// What the name of every metric begins with.
pub(crate) const PREFIX: &str = "fastbuild";

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

/// Buckets from 2 ms to two minutes.
fn answers() -> Histogram {
    Histogram::new(exponential_buckets(0.002, 4.0, 9))
}

impl Metrics {
    /// The metrics of a server on a builder, the builder's own among them.
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

    /// Where everything that this process counts is registered.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
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
