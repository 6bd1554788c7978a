//! The catalog: lists mirrors and installers, and receives uploads.

use axum::extract::{Request, State};
use fastbuild_builder::catalog::upload::FileType;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    envelope::{Envelope, Failures, Reply},
    view::{SoftwareList, SourceList, Uploaded},
};
use crate::{
    api::{Controller, Surface},
    error::Error,
    extract::{Query, receive_files},
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::Legacy,
        name: "file",
        purpose: "The catalog: mirrors and installers for build requests.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_source))
        .routes(routes!(list_software))
        .routes(routes!(upload))
}

/// Lists the mirror files in the catalog, by installer and group.
#[utoipa::path(
    get,
    path = "/api/fast-build/file/list-source",
    tag = "file",
    responses((status = 200, body = Envelope<SourceList>), Failures)
)]
async fn list_source(State(state): State<AppState>) -> Result<Reply<SourceList>, Error> {
    Ok(Reply::success(state.builder.catalog().list().await?.into()))
}

/// Lists the installers in the catalog.
#[utoipa::path(
    get,
    path = "/api/fast-build/file/list-software",
    tag = "file",
    responses((status = 200, body = Envelope<SoftwareList>), Failures)
)]
async fn list_software(State(state): State<AppState>) -> Result<Reply<SoftwareList>, Error> {
    Ok(Reply::success(state.builder.catalog().list().await?.into()))
}

/// Says where the files of an upload go.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UploadParameters {
    /// `source`, `python`, `pip` or `conda`.
    #[param(example = "source")]
    file_type: String,
    /// For `source`: `apt`, `yum`, `pip` or `conda`. It may be a text field before the files instead.
    #[param(example = "apt")]
    installer: Option<String>,
    /// For `source`: the group, such as `ali`. For `pip`: `pip3`, unless `pip2` is given. It may be a
    /// text field before the files instead.
    #[serde(rename = "type")]
    #[param(example = "ali")]
    group: Option<String>,
}

/// The form of an upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a form to the OpenAPI document")]
struct UploadForm {
    /// One or more files, each with its name.
    #[schema(value_type = Vec<String>, format = Binary)]
    files: Vec<String>,
}

/// Uploads files into the catalog.
///
/// They take effect once the last one has arrived whole.
#[utoipa::path(
    post,
    path = "/api/fast-build/file/upload",
    tag = "file",
    params(UploadParameters),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 200, body = Envelope<Uploaded>), Failures)
)]
async fn upload(
    State(state): State<AppState>,
    Query(parameters): Query<UploadParameters>,
    request: Request,
) -> Result<Reply<Uploaded>, Error> {
    let file_type = FileType::parse(&parameters.file_type)
        .map_err(|failure| Error::from(failure).with_data("file_type error"))?;
    let limit = state.builder.options().limits.upload_bytes;
    let upload = receive_files(request, limit, |form| {
        let installer = parameters.installer.as_ref().or(form.installer.as_ref());
        let group = parameters.group.as_ref().or(form.group.as_ref());
        let place = state.builder.catalog().upload_place(
            file_type,
            installer.map(String::as_str),
            group.map(String::as_str),
        )?;
        Ok(place.begin())
    })
    .await?;
    Ok(Reply::success(upload.finish().await?.into()))
}
