//! Callbacks: list them with their delivery attempts, send them again, test a receiver.

use axum::{Json, extract::State};
use fastbuild_spec::{
    callback::check_callback_url,
    failure::{Failure, FieldError, ReasonCode, Sentence},
};
use fastbuild_store::{DeliveryFilter, DeliveryHistory};
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    pagination::{CursorPage, ErrorCollector},
    problem::Problems,
    view::{Callback, CallbackDetail, CallbackPage, RedeliveredCallbacks, TestedCallback},
};
use crate::{
    api::{Controller, Surface},
    error::Error,
    extract::{JsonBody, Path, Query},
    http::localize::InLanguage,
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::V1,
        name: "v1 callbacks",
        purpose: "Callbacks with their delivery attempts, sending them again, testing a receiver.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(redeliver))
        .routes(routes!(redeliver_failed))
        .routes(routes!(test))
}

/// Which callbacks to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// `pending`, `delivered`, `gave_up`, or `unknown` for one of an old installation.
    #[param(example = "gave_up")]
    status: Option<String>,
    /// Only callbacks of this build.
    build: Option<i64>,
    /// Rows per page, 1 to 200; 50 by default.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists callbacks page by page, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/callbacks",
    tag = "v1 callbacks",
    params(Wanted),
    responses((status = 200, body = CallbackPage), Problems)
)]
async fn list(
    State(state): State<AppState>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<CallbackPage>, Error> {
    let mut errors = ErrorCollector::default();
    let status = wanted.status.as_deref().filter(|status| !status.is_empty());
    let status = status.and_then(|text| {
        let status = text.parse().ok();
        if status.is_none() {
            errors.reject(
                "status",
                text,
                "应为 pending、delivered、gave_up 或 unknown",
                "must be pending, delivered, gave_up or unknown",
            );
        }
        status
    });
    let piece = CursorPage::read(wanted.limit, wanted.cursor.as_deref(), &mut errors);
    errors.finish()?;
    let filter = DeliveryFilter {
        status,
        build_id: wanted.build,
    };
    let deliveries = state
        .store()
        .search_deliveries(filter, piece.before, piece.asked())
        .await?;
    let (deliveries, next_cursor) = piece.cut(deliveries, |delivery| delivery.id);
    Ok(Json(CallbackPage {
        callbacks: deliveries.into_iter().map(Callback::from).collect(),
        next_cursor,
    }))
}

/// Returns one callback with every delivery attempt.
///
/// Each attempt holds the headers that were sent, credentials masked, and the status, the first 4
/// KB of the body and the milliseconds of the answer.
#[utoipa::path(
    get,
    path = "/api/v1/callbacks/{id}",
    tag = "v1 callbacks",
    params(("id" = i64, Path, description = "The callback's number.")),
    responses((status = 200, body = CallbackDetail), Problems)
)]
async fn get(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Path(id): Path<i64>,
) -> Result<Json<CallbackDetail>, Error> {
    let history = found(&state, id).await?;
    Ok(Json(CallbackDetail::new(history, language)))
}

async fn found(state: &AppState, id: i64) -> Result<DeliveryHistory, Error> {
    let found = state.store().delivery(id).await?;
    found.ok_or_else(|| {
        Failure::new(
            ReasonCode::NotFound,
            format!("没有编号为 {id} 的回调。"),
            format!("There is no callback {id}."),
        )
        .with_culprit(id.to_string())
        .with_hint(
            "请使用 GET /api/v1/callbacks 返回的 id。",
            "Use an id that GET /api/v1/callbacks returns.",
        )
        .into()
    })
}

/// Sends one callback again.
///
/// It starts a new schedule of attempts and keeps its `webhook-id`. The headers in force now
/// replace the recorded ones of the same name.
#[utoipa::path(
    post,
    path = "/api/v1/callbacks/{id}/redeliver",
    tag = "v1 callbacks",
    params(("id" = i64, Path, description = "The callback's number.")),
    responses((status = 202, body = Callback, description = "It will be sent."), Problems)
)]
async fn redeliver(
    State(state): State<AppState>,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Json<Callback>), Error> {
    found(&state, id).await?;
    state.builder.callbacks().resend(id).await?;
    let again = found(&state, id).await?;
    Ok((StatusCode::ACCEPTED, Json(again.delivery.into())))
}

/// A time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Since {
    /// A time with its zone (RFC 3339).
    #[schema(example = "2026-11-23T00:00:00Z")]
    since: String,
}

/// Sends all callbacks again that were given up since a time.
///
/// Tests of a receiver are left out.
#[utoipa::path(
    post,
    path = "/api/v1/callbacks:redeliver-failed",
    tag = "v1 callbacks",
    request_body = Since,
    responses((status = 202, body = RedeliveredCallbacks, description = "They will be sent."), Problems)
)]
async fn redeliver_failed(
    State(state): State<AppState>,
    JsonBody(Since { since }): JsonBody<Since>,
) -> Result<(StatusCode, Json<RedeliveredCallbacks>), Error> {
    if since.parse::<Timestamp>().is_err() {
        let allowed = Sentence::new(
            "应为带时区的时间，例如 2026-11-23T00:00:00Z",
            "must be a time with its zone, such as 2026-11-23T00:00:00Z",
        );
        return Err(Failure::invalid_fields(&[FieldError::new("/since", &since, allowed)]).into());
    }
    let callbacks = state.builder.callbacks().resend_failed(&since).await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(RedeliveredCallbacks { callbacks }),
    ))
}

/// Whom to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Receiver {
    /// Where to send it instead of the last callback's own address.
    #[serde(default)]
    #[schema(example = "http://192.0.2.7:8080/callback")]
    url: Option<String>,
}

/// Sends the last callback once more as a test and returns the answer.
///
/// It has the real body and headers, and goes to `url` or, without it, to its own address. Before
/// the first callback, a test body is sent to `url`.
/// `failure` says why the receiver did not take it.
#[utoipa::path(
    post,
    path = "/api/v1/callbacks:test",
    tag = "v1 callbacks",
    request_body = Receiver,
    responses((status = 200, body = TestedCallback), Problems)
)]
async fn test(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    JsonBody(Receiver { url }): JsonBody<Receiver>,
) -> Result<Json<TestedCallback>, Error> {
    if let Some(url) = &url {
        check_callback_url(url).map_err(|error| {
            // A bad address could hold a password: it is not repeated.
            Failure::invalid_fields(&[FieldError::without_value("/url", error.allowed())])
        })?;
    }
    let tried = state.builder.callbacks().test(url.as_deref()).await?;
    Ok(Json(TestedCallback::new(tried, language)))
}
