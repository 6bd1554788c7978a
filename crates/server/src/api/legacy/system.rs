//! Cleanup on demand.

use axum::extract::State;
use fastbuild_spec::failure::{Failure, FieldError, Sentence};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::envelope::{Envelope, Failures, Reply};
use crate::{
    api::{Controller, Surface},
    error::Error,
    extract::Query,
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::Legacy,
        name: "system",
        purpose: "Cleanup on demand.",
        routes,
    }
}

/// A hundred years; more is a slip of the pen.
const MAX_DAYS: u32 = 36_500;

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(auto_clean_image))
}

/// How long images are kept.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReserveDays {
    /// Images that were used within so many days stay; 0 keeps only those in use right now.
    #[param(example = 30)]
    reserve_days: i64,
}

/// Removes images from the engine that no build has used for some days.
///
/// Only images that this service pulled or built are removed, and none that a queued or running
/// build or a container uses. The registry keeps all of them. `data` lists the removed images.
#[utoipa::path(
    post,
    path = "/api/fast-build/system/auto_clean_image",
    tag = "system",
    params(ReserveDays),
    responses((status = 200, body = Envelope<Vec<String>>), Failures)
)]
async fn auto_clean_image(
    State(state): State<AppState>,
    Query(ReserveDays { reserve_days }): Query<ReserveDays>,
) -> Result<Reply<Vec<String>>, Error> {
    let days = u32::try_from(reserve_days)
        .ok()
        .filter(|days| *days <= MAX_DAYS)
        .ok_or_else(|| out_of_bounds(reserve_days))?;
    let removed = state.builder.cleanup().images(days).await?;
    Ok(Reply::with_message(
        format!(
            "已从 Docker 服务器清理 {} 个镜像，镜像仓库中的内容不受影响。",
            removed.len()
        ),
        format!(
            "{} image(s) have been removed from the Docker server; the registry keeps them.",
            removed.len()
        ),
        removed,
    ))
}

fn out_of_bounds(days: i64) -> Error {
    let allowed = Sentence::new(
        format!("应在 0 到 {MAX_DAYS} 之间"),
        format!("must be between 0 and {MAX_DAYS}"),
    );
    let error = FieldError::new("reserve_days", &days.to_string(), allowed);
    Failure::invalid_fields(&[error]).into()
}
