//! The event stream of a build.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use fastbuild_spec::failure::Failure;
use http::{HeaderMap, header};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::problem::Problems;
use crate::{
    api::{Controller, Surface},
    error::Error,
    extract::{Path, Query},
    state::AppState,
    streams::Format,
};

inventory::submit! {
    Controller {
        surface: Surface::V1,
        name: "v1 events",
        purpose: "Following a build: its events as a stream.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Where a stream begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct From {
    /// Events after the one of this number; all of them unless said.
    after: Option<i64>,
}

/// Streams the events of a build from the first one on.
///
/// Events are `state`, `step`, `log`, `progress`, `warning` and `result`, numbered without gaps,
/// then `end`, after which the stream closes. The stream continues as long as the build runs. A
/// client that lost its connection reconnects with the number of its last event and misses none.
/// Opening a stream starts nothing.
#[utoipa::path(
    get,
    path = "/api/v1/builds/{id}/events",
    tag = "v1 events",
    params(
        ("id" = i64, Path, description = "The build's number."),
        ("Last-Event-ID" = Option<i64>, Header, description = "Events after the one of this number, as browsers say it when they come back."),
        ("Accept" = Option<String>, Header, description = "`application/x-ndjson` for one JSON object a line; server-sent events otherwise."),
        From,
    ),
    responses(
        (status = 200, description = "The stream.", content(
            (String = "text/event-stream"),
            (String = "application/x-ndjson"),
        )),
        Problems,
    )
)]
async fn events(
    State(state): State<AppState>,
    Path(id): Path<i64>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    if state.store().event_head(id).await?.state.is_none() {
        return Err(Failure::build_not_found(id).into());
    }
    let format = format(&headers);
    // A browser that comes back repeats the address it first asked for, and says where it was.
    let after = last_event_id(&headers).max(from.after).unwrap_or_default();
    let client = state.streams().open(id, after, format)?;
    let headers = [
        (header::CONTENT_TYPE.as_str(), format.media_type()),
        (header::CACHE_CONTROL.as_str(), "no-cache"),
        // Proxies that gather answers would hold the events back.
        ("x-accel-buffering", "no"),
    ];
    Ok((headers, Body::from_stream(client.pieces())).into_response())
}

fn format(headers: &HeaderMap) -> Format {
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains("ndjson")) {
        Format::Lines
    } else {
        Format::ServerSentEvents
    }
}

/// What is no number is none of ours: the stream begins anew.
fn last_event_id(headers: &HeaderMap) -> Option<i64> {
    headers
        .get("last-event-id")?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}
