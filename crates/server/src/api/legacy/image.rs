//! Images that people choose from: registered base images, and images that builds made.

use axum::extract::State;
use fastbuild_spec::failure::{Failure, FieldError, Sentence};
use fastbuild_store::{Image, ImageFilter, ImageKind};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    envelope::{Envelope, Failures, Reply},
    parameters::{ImageName, NEWEST, is_cut, page},
    view::{ImageList, ImageRow, PageInfo},
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
        name: "image",
        purpose: "Base images and the images that builds made.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_image))
        .routes(routes!(list_all))
        .routes(routes!(register_base_image))
        .routes(routes!(delete_image_by_image_name))
}

/// Which images to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListImage {
    /// From 1; less counts as 1.
    #[param(example = 1)]
    page: i64,
    /// Rows per page, 1,000 at most; negative for the newest 1,000.
    #[param(example = 10)]
    page_size: i64,
    /// Part of the name or of the tag.
    keyword: Option<String>,
    /// `Base` or `Customized`; empty is both.
    #[param(example = "Base")]
    image_type: Option<String>,
}

/// Lists images page by page, newest first.
#[utoipa::path(
    get,
    path = "/api/fast-build/image/list-image",
    tag = "image",
    params(ListImage),
    responses((status = 200, body = Envelope<ImageList>), Failures)
)]
async fn list_image(
    State(state): State<AppState>,
    Query(wanted): Query<ListImage>,
) -> Result<Reply<ImageList>, Error> {
    let page = page(wanted.page, wanted.page_size);
    let kind = kind(wanted.image_type.as_deref().unwrap_or_default())?;
    let filter = ImageFilter {
        keyword: wanted.keyword,
        kind,
    };
    let (images, total) = state.store().images(page, &filter).await?;
    let list = ImageList {
        page: PageInfo::new(wanted.page, wanted.page_size, total),
        image_list: rows(&state, images).await?,
    };
    Ok(Reply::newest(is_cut(wanted.page_size, total), list))
}

fn kind(text: &str) -> Result<Option<ImageKind>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let allowed = || Sentence::new("应为 Base 或 Customized", "must be Base or Customized");
    text.parse().map(Some).map_err(|_unknown| {
        Failure::invalid_fields(&[FieldError::new("image_type", text, allowed())]).into()
    })
}

/// Lists all images, newest first.
///
/// The newest 1,000 are listed; `msg` says so where there are more.
#[utoipa::path(
    get,
    path = "/api/fast-build/image/list-all",
    tag = "image",
    responses((status = 200, body = Envelope<Vec<ImageRow>>), Failures)
)]
async fn list_all(State(state): State<AppState>) -> Result<Reply<Vec<ImageRow>>, Error> {
    let (images, total) = state
        .store()
        .images(NEWEST, &ImageFilter::default())
        .await?;
    let is_cut = total > images.len() as u64;
    Ok(Reply::newest(is_cut, rows(&state, images).await?))
}

/// The rows of images, each with a name of its own.
async fn rows(state: &AppState, images: Vec<Image>) -> Result<Vec<ImageRow>, Error> {
    let ids = images.iter().map(|image| image.image_id.as_str());
    let oldest = state.store().oldest_rows_of_images(ids).await?;
    let row = |image: Image| {
        let oldest = oldest.get(&image.image_id).copied();
        ImageRow::new(image, oldest)
    };
    Ok(images.into_iter().map(row).collect())
}

/// The base image to register.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct BaseImage {
    /// `[registry[:port]/]repository[:tag]`; `/` and `:` need no encoding.
    #[param(example = "registry.example:5000/base/ubuntu:v3")]
    image_name: String,
    /// What it is for; `预置镜像` when nothing is said.
    description: Option<String>,
}

/// Registers a base image, or updates what is known of it.
///
/// An image that is not on the engine is pulled first. `delete-image-by-image-name` takes it off
/// the list.
#[utoipa::path(
    post,
    path = "/api/fast-build/image/register-base-image",
    tag = "image",
    params(BaseImage),
    responses((status = 200, body = Envelope<ImageRow>), Failures)
)]
async fn register_base_image(
    State(state): State<AppState>,
    Query(wanted): Query<BaseImage>,
) -> Result<Reply<ImageRow>, Error> {
    let description = wanted.description.unwrap_or_default();
    let image = state
        .builder
        .images()
        .register_base(&wanted.image_name, &description)
        .await?;
    let name = format!("{}:{}", image.name, image.tag);
    let oldest = state
        .store()
        .oldest_rows_of_images([image.image_id.as_str()])
        .await?;
    let row = ImageRow::new(image, oldest.values().next().copied());
    Ok(Reply::with_message(
        format!("基础镜像 {name} 注册成功。"),
        format!("The base image {name} has been registered."),
        row,
    ))
}

/// Removes an image from the engine and from the list.
///
/// The registry keeps it. Rejected while a build or a container uses it.
#[utoipa::path(
    delete,
    path = "/api/fast-build/image/delete-image-by-image-name",
    tag = "image",
    params(ImageName),
    responses((status = 200, body = Envelope<String>), Failures)
)]
async fn delete_image_by_image_name(
    State(state): State<AppState>,
    Query(ImageName { image_name }): Query<ImageName>,
) -> Result<Reply<&'static str>, Error> {
    let deleted = state.builder.images().delete(&image_name).await?;
    Ok(Reply::with_message(
        deleted.said.zh,
        deleted.said.en,
        "Image deleted successfully",
    ))
}
