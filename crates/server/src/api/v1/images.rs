//! Images: list, profile, pull and remove them.

use axum::{Json, extract::State};
use fastbuild_builder::parse_image;
use fastbuild_spec::failure::{Failure, ReasonCode};
use fastbuild_store::{ImageFilter, ImageKind};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    pagination::{CursorPage, ErrorCollector},
    problem::Problems,
    view::{Image, ImagePage, ImagePulled, ImageRemoved, ProfiledImage},
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
        name: "v1 images",
        purpose: "Images: the list of them, what one contains, pulling one, removing one.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(remove))
        .routes(routes!(profile))
        .routes(routes!(pull))
}

/// Which images to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// `base` for registered base images, `built` for those that builds made; both unless said.
    #[param(example = "base")]
    kind: Option<String>,
    /// Part of the name or of the tag.
    name: Option<String>,
    /// Rows per page, 1 to 200; 50 by default.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists images page by page, newest first.
///
/// Base images that people choose from, and images that builds made.
#[utoipa::path(
    get,
    path = "/api/v1/images",
    tag = "v1 images",
    params(Wanted),
    responses((status = 200, body = ImagePage), Problems)
)]
async fn list(
    State(state): State<AppState>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<ImagePage>, Error> {
    let mut errors = ErrorCollector::default();
    let kind = match wanted.kind.as_deref() {
        None | Some("") => None,
        Some("base") => Some(ImageKind::Base),
        Some("built") => Some(ImageKind::Customized),
        Some(other) => {
            errors.reject("kind", other, "应为 base 或 built", "must be base or built");
            None
        }
    };
    let piece = CursorPage::read(wanted.limit, wanted.cursor.as_deref(), &mut errors);
    errors.finish()?;
    let filter = ImageFilter {
        keyword: wanted.name,
        kind,
    };
    let images = state
        .store()
        .search_images(&filter, piece.before, piece.asked())
        .await?;
    let (images, next_cursor) = piece.cut(images, |image| image.id);
    Ok(Json(ImagePage {
        images: images.into_iter().map(Image::from).collect(),
        next_cursor,
    }))
}

/// Removes an image from the engine and from the list.
///
/// The registry keeps it. Rejected while a build or a container uses it.
#[utoipa::path(
    delete,
    path = "/api/v1/images/{id}",
    tag = "v1 images",
    params(("id" = i64, Path, description = "The image's number.")),
    responses((status = 200, body = ImageRemoved, description = "It is removed."), Problems)
)]
async fn remove(
    State(state): State<AppState>,
    InLanguage(language): InLanguage,
    Path(id): Path<i64>,
) -> Result<Json<ImageRemoved>, Error> {
    let image = state
        .store()
        .image(id)
        .await?
        .ok_or_else(|| no_such_image(id))?;
    let name = format!("{}:{}", image.name, image.tag);
    let removed = state.builder.images().delete(&name).await?;
    Ok(Json(ImageRemoved {
        image: removed.image.to_string(),
        detail: removed.said.in_language(language).to_owned(),
    }))
}

/// Selects an image.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// `[registry[:port]/]repository[:tag]`.
    #[schema(example = "registry.example:5000/base/debian:12")]
    image: String,
}

impl Named {
    /// The name with its tag, or the refusal of what is none.
    fn reference(&self) -> Result<String, Failure> {
        Ok(parse_image("/image", &self.image)?.to_string())
    }
}

/// Pulls an image and returns what it contains.
///
/// The profile is stored per image; an image with a stored profile is not inspected again.
#[utoipa::path(
    post,
    path = "/api/v1/images:profile",
    tag = "v1 images",
    request_body = Named,
    responses((status = 200, body = ProfiledImage), Problems)
)]
async fn profile(
    State(state): State<AppState>,
    JsonBody(named): JsonBody<Named>,
) -> Result<Json<ProfiledImage>, Error> {
    let checked = state.builder.images().check(&named.reference()?).await?;
    Ok(Json(checked.into()))
}

/// Pulls an image.
#[utoipa::path(
    post,
    path = "/api/v1/images:pull",
    tag = "v1 images",
    request_body = Named,
    responses((status = 200, body = ImagePulled), Problems)
)]
async fn pull(
    State(state): State<AppState>,
    JsonBody(named): JsonBody<Named>,
) -> Result<Json<ImagePulled>, Error> {
    let pulled = state.builder.images().pull(&named.reference()?).await?;
    Ok(Json(pulled.into()))
}

fn no_such_image(id: i64) -> Failure {
    Failure::new(
        ReasonCode::NotFound,
        format!("没有编号为 {id} 的镜像。"),
        format!("There is no image {id}."),
    )
    .with_culprit(id.to_string())
    .with_hint(
        "请使用 GET /api/v1/images 返回的 id。",
        "Use an id that GET /api/v1/images returns.",
    )
}
