//! Callbacks of the old protocol: their delivery attempts, and sending them again.

use axum::extract::State;
use fastbuild_spec::failure::{Failure, FieldError, Sentence};
use fastbuild_store::{DeliveryFilter, DeliveryStatus};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    envelope::{Envelope, Failures, Reply},
    parameters::page,
    view::{CallbackHistory, CallbackList, PageInfo, Redelivered},
};
use crate::{
    api::{Controller, Surface},
    error::Error,
    extract::Query,
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::Legacy,
        name: "callback",
        purpose: "Callbacks with their delivery attempts, and sending them again.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(history))
        .routes(routes!(redeliver))
        .routes(routes!(redeliver_failed))
}

/// Which callbacks to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct History {
    /// From 1; less counts as 1.
    #[param(example = 1)]
    page: i64,
    /// Rows per page, 1,000 at most; negative for the newest 1,000.
    #[param(example = 10)]
    page_size: i64,
    /// `pending`, `delivered`, `gave_up`, or `unknown` for one of an old installation.
    #[param(example = "gave_up")]
    status: Option<String>,
    /// Only callbacks of this build.
    #[param(example = 1_795_426_218_678_i64)]
    task_id: Option<i64>,
}

/// Lists callbacks with every delivery attempt, newest first.
///
/// Each attempt holds the headers that were sent, credentials masked, and the status, the first 4
/// KB of the body and the milliseconds of the answer.
#[utoipa::path(
    get,
    path = "/api/fast-build/callback/history",
    tag = "callback",
    params(History),
    responses((status = 200, body = Envelope<CallbackList>), Failures)
)]
async fn history(
    State(state): State<AppState>,
    Query(wanted): Query<History>,
) -> Result<Reply<CallbackList>, Error> {
    let page = page(wanted.page, wanted.page_size);
    let filter = DeliveryFilter {
        status: wanted.status.as_deref().map(read_status).transpose()?,
        build_id: wanted.task_id,
    };
    let (rows, total) = state.store().delivery_history(page, filter).await?;
    Ok(Reply::success(CallbackList {
        page: PageInfo::new(wanted.page, wanted.page_size, total),
        callback_list: rows.into_iter().map(CallbackHistory::from).collect(),
    }))
}

fn read_status(text: &str) -> Result<DeliveryStatus, Error> {
    text.parse().map_err(|_error| {
        let allowed = Sentence::new(
            "应为 pending、delivered、gave_up 或 unknown",
            "must be pending, delivered, gave_up or unknown",
        );
        Failure::invalid_fields(&[FieldError::new("status", text, allowed)]).into()
    })
}

/// Selects a callback.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeliveryId {
    /// The callback's `primary_id`.
    #[param(example = 7)]
    delivery_id: i64,
}

/// Sends one callback again.
///
/// It starts a new schedule of attempts and keeps its `webhook-id`. The headers in force now
/// replace the recorded ones of the same name.
#[utoipa::path(
    post,
    path = "/api/fast-build/callback/redeliver",
    tag = "callback",
    params(DeliveryId),
    responses((status = 200, body = Envelope<Redelivered>), Failures)
)]
async fn redeliver(
    State(state): State<AppState>,
    Query(DeliveryId { delivery_id }): Query<DeliveryId>,
) -> Result<Reply<Redelivered>, Error> {
    state.builder.callbacks().resend(delivery_id).await?;
    Ok(queued(vec![delivery_id]))
}

/// A time.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Since {
    /// Local ISO 8601 without a zone, as all times of this protocol, or RFC 3339 with one.
    #[param(example = "2023-09-12T18:42:50")]
    since: String,
}

/// Sends all callbacks again that were given up since a time.
///
/// Tests of a receiver are left out.
#[utoipa::path(
    post,
    path = "/api/fast-build/callback/redeliver-failed",
    tag = "callback",
    params(Since),
    responses((status = 200, body = Envelope<Redelivered>), Failures)
)]
async fn redeliver_failed(
    State(state): State<AppState>,
    Query(Since { since }): Query<Since>,
) -> Result<Reply<Redelivered>, Error> {
    Ok(queued(
        state.builder.callbacks().resend_failed(&since).await?,
    ))
}

fn queued(delivery_ids: Vec<i64>) -> Reply<Redelivered> {
    let count = delivery_ids.len();
    Reply::with_message(
        format!("{count} 条回调已重新排队发送。"),
        format!("{count} callback(s) will be sent again."),
        Redelivered { delivery_ids },
    )
}
