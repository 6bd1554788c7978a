//! Settings of the old protocol. Rows are only ever added and the newest is in force; passwords and keys
//! are never returned.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use fastbuild_spec::settings::{
    parse_docker_server_form, parse_host_form, parse_registry_form, parse_site_form,
};
use fastbuild_store::Page;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    envelope::{Envelope, FailedReply, Failures, MessageOnly, Reply},
    parameters::NEWEST,
    settings_form::{DockerServerFields, HarborFields, HostFields, SiteFields},
    view::{CallbackRow, CallbackSigning, DockerServerRow, HarborRow, HostRow},
};
use crate::{
    api::{Controller, Surface, view::TriedCallback},
    error::Error,
    extract::{Form, Json, Query},
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::Legacy,
        name: "config",
        purpose: "Settings: the service's address, the registry, the Docker server and callbacks.",
        routes,
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(config_fastbuild))
        .routes(routes!(update_host))
        .routes(routes!(update_harbor))
        .routes(routes!(update_docker_server))
        .routes(routes!(update_headers))
        .routes(routes!(update_callback_secret))
        .routes(routes!(query_host))
        .routes(routes!(query_host_all))
        .routes(routes!(query_harbor))
        .routes(routes!(query_harbor_all))
        .routes(routes!(query_docker_server))
        .routes(routes!(query_docker_server_all))
        .routes(routes!(query_callback))
        .routes(routes!(query_callback_all))
        .routes(routes!(query_callback_secret))
        .routes(routes!(test_callback))
}

/// Configures everything that a build needs in one call.
///
/// Before anything is stored, the Docker server must answer and must be able to log in to the
/// registry, by `harbor_registry_dns` as well where it is given. If a check fails, nothing is
/// stored.
#[utoipa::path(
    post,
    path = "/api/fast-build/config/config-fastbuild",
    tag = "config",
    request_body(content = SiteFields, content_type = "multipart/form-data"),
    responses((status = 200, body = Envelope<String>), Failures)
)]
async fn config_fastbuild(State(state): State<AppState>, form: Form) -> Result<MessageOnly, Error> {
    let site = parse_site_form(&form.parts)?;
    state.builder.settings().configure(site).await?;
    Ok(MessageOnly::new(
        "FastBuild 配置成功，可以开始构建镜像。",
        "FastBuild is configured and ready to build images.",
    ))
}

/// Changes the address under which callers reach this service.
///
/// It is part of every log link.
#[utoipa::path(
    post,
    path = "/api/fast-build/config/update-host",
    tag = "config",
    request_body(content = HostFields, content_type = "multipart/form-data"),
    responses((status = 200, body = Envelope<String>), Failures)
)]
async fn update_host(State(state): State<AppState>, form: Form) -> Result<MessageOnly, Error> {
    let host = parse_host_form(&form.parts)?;
    state.builder.settings().update_host(host).await?;
    Ok(MessageOnly::new(
        "服务地址更新成功。",
        "The service's address has been updated.",
    ))
}

/// Changes the registry.
///
/// The Docker server, if one is configured, must be able to log in to it.
#[utoipa::path(
    post,
    path = "/api/fast-build/config/update-harbor",
    tag = "config",
    request_body(content = HarborFields, content_type = "multipart/form-data"),
    responses((status = 200, body = Envelope<String>), Failures)
)]
async fn update_harbor(State(state): State<AppState>, form: Form) -> Result<MessageOnly, Error> {
    let registry = parse_registry_form(&form.parts)?;
    state.builder.settings().update_registry(registry).await?;
    Ok(MessageOnly::new(
        "Harbor 仓库配置更新成功。",
        "The registry has been updated.",
    ))
}

/// Changes the Docker server.
///
/// It must answer, and must be able to log in to the registry if one is configured.
#[utoipa::path(
    post,
    path = "/api/fast-build/config/update-docker-server",
    tag = "config",
    request_body(content = DockerServerFields, content_type = "multipart/form-data"),
    responses((status = 200, body = Envelope<String>), Failures)
)]
async fn update_docker_server(
    State(state): State<AppState>,
    form: Form,
) -> Result<MessageOnly, Error> {
    let server = parse_docker_server_form(&form.parts)?;
    state
        .builder
        .settings()
        .update_docker_server(server)
        .await?;
    Ok(MessageOnly::new(
        "Docker 服务器配置更新成功。",
        "The Docker server has been updated.",
    ))
}

/// Replaces the headers that are sent with every callback.
#[utoipa::path(
    post,
    path = "/api/fast-build/config/update-headers",
    tag = "config",
    request_body(
        content = BTreeMap<String, String>,
        content_type = "application/json",
        example = json!({"X-BizType": "DROS", "X-Login-UserId": "1", "Content-Type": "application/json"})
    ),
    responses((status = 200, body = Envelope<String>), Failures)
)]
async fn update_headers(
    State(state): State<AppState>,
    Json(headers): Json<BTreeMap<String, String>>,
) -> Result<MessageOnly, Error> {
    state.builder.settings().update_headers(headers).await?;
    Ok(MessageOnly::new(
        "回调请求头更新成功。",
        "The callback headers have been updated.",
    ))
}

/// Returns the address of this service that is in force.
///
/// Null before it is configured.
#[utoipa::path(
    get,
    path = "/api/fast-build/config/query-host",
    tag = "config",
    responses((status = 200, body = Envelope<Option<HostRow>>), Failures)
)]
async fn query_host(State(state): State<AppState>) -> Result<Reply<Option<HostRow>>, Error> {
    let rows = state.store().host_history().await?;
    Ok(Reply::success(rows.into_iter().next().map(HostRow::from)))
}

/// Lists all addresses of this service that were configured, newest first.
#[utoipa::path(
    get,
    path = "/api/fast-build/config/query-host-all",
    tag = "config",
    responses((status = 200, body = Envelope<Vec<HostRow>>), Failures)
)]
async fn query_host_all(State(state): State<AppState>) -> Result<Reply<Vec<HostRow>>, Error> {
    let rows = state.store().host_history().await?;
    Ok(Reply::success(
        rows.into_iter().map(HostRow::from).collect(),
    ))
}

/// Returns the registry in force.
///
/// The password is never returned. Null before it is configured.
#[utoipa::path(
    get,
    path = "/api/fast-build/config/query-harbor",
    tag = "config",
    responses((status = 200, body = Envelope<Option<HarborRow>>), Failures)
)]
async fn query_harbor(State(state): State<AppState>) -> Result<Reply<Option<HarborRow>>, Error> {
    let rows = state.store().registry_history().await?;
    Ok(Reply::success(rows.into_iter().next().map(HarborRow::from)))
}

/// Lists all registries that were configured, newest first.
///
/// Passwords are never returned.
#[utoipa::path(
    get,
    path = "/api/fast-build/config/query-harbor-all",
    tag = "config",
    responses((status = 200, body = Envelope<Vec<HarborRow>>), Failures)
)]
async fn query_harbor_all(State(state): State<AppState>) -> Result<Reply<Vec<HarborRow>>, Error> {
    let rows = state.store().registry_history().await?;
    Ok(Reply::success(
        rows.into_iter().map(HarborRow::from).collect(),
    ))
}

/// Returns the Docker server in force.
///
/// Certificates and keys are never returned. Null before it is configured.
#[utoipa::path(
    get,
    path = "/api/fast-build/config/query-docker-server",
    tag = "config",
    responses((status = 200, body = Envelope<Option<DockerServerRow>>), Failures)
)]
async fn query_docker_server(
    State(state): State<AppState>,
) -> Result<Reply<Option<DockerServerRow>>, Error> {
    let rows = state.store().docker_server_history().await?;
    Ok(Reply::success(
        rows.into_iter().next().map(DockerServerRow::from),
    ))
}

/// Lists all Docker servers that were configured, newest first.
///
/// Certificates and keys are never returned.
#[utoipa::path(
    get,
    path = "/api/fast-build/config/query-docker-server-all",
    tag = "config",
    responses((status = 200, body = Envelope<Vec<DockerServerRow>>), Failures)
)]
async fn query_docker_server_all(
    State(state): State<AppState>,
) -> Result<Reply<Vec<DockerServerRow>>, Error> {
    let rows = state.store().docker_server_history().await?;
    Ok(Reply::success(
        rows.into_iter().map(DockerServerRow::from).collect(),
    ))
}

/// Returns the newest callback and its result.
///
/// Null before the first callback.
#[utoipa::path(
    get,
    path = "/api/fast-build/config/query-callback",
    tag = "config",
    responses((status = 200, body = Envelope<Option<CallbackRow>>), Failures)
)]
async fn query_callback(
    State(state): State<AppState>,
) -> Result<Reply<Option<CallbackRow>>, Error> {
    let (rows, _total) = state
        .store()
        .deliveries(Page { number: 1, size: 1 })
        .await?;
    Ok(Reply::success(
        rows.into_iter().next().map(CallbackRow::from),
    ))
}

/// Lists callbacks and their results, newest first.
///
/// The newest 1,000 are listed; `msg` says so where there are more.
#[utoipa::path(
    get,
    path = "/api/fast-build/config/query-callback-all",
    tag = "config",
    responses((status = 200, body = Envelope<Vec<CallbackRow>>), Failures)
)]
async fn query_callback_all(
    State(state): State<AppState>,
) -> Result<Reply<Vec<CallbackRow>>, Error> {
    let (rows, total) = state.store().deliveries(NEWEST).await?;
    let is_cut = total > rows.len() as u64;
    let rows = rows.into_iter().map(CallbackRow::from).collect();
    Ok(Reply::newest(is_cut, rows))
}

/// Whom to try.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TestCallback {
    /// Where to send it instead of the last callback's own address; `/` and `:` need no encoding.
    #[param(example = "http://192.0.2.7:8080/callback")]
    callback_url: Option<String>,
}

/// Sends the last callback once more as a test and returns the answer.
///
/// It has the real body and headers, and goes to `callback_url` or, without it, to its own address.
/// Before the first callback, a test body is sent to `callback_url`.
/// If the receiver does not take it, `code` is -1: `msg` says why and what to do, and `data` holds
/// what came back.
#[utoipa::path(
    post,
    path = "/api/fast-build/config/test-callback",
    tag = "config",
    params(TestCallback),
    responses((status = 200, body = Envelope<TriedCallback>), Failures)
)]
async fn test_callback(
    State(state): State<AppState>,
    Query(TestCallback { callback_url }): Query<TestCallback>,
) -> Result<Response, Error> {
    let callbacks = state.builder.callbacks();
    let mut tried = callbacks.test(callback_url.as_deref()).await?;
    let failure = tried.failure.take();
    let tried = TriedCallback::from(tried);
    Ok(match failure {
        None => Reply::success(tried).into_response(),
        Some(failure) => FailedReply::new(failure, tried).into_response(),
    })
}

/// The secret callbacks are signed with. Not printable: it is a secret.
#[derive(Deserialize, ToSchema)]
struct CallbackSecret {
    /// `whsec_` and the base64 of 24 to 64 random bytes; empty turns signing off.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
}

/// Changes the secret that callbacks are signed with.
///
/// Signatures follow Standard Webhooks. The secret is stored encrypted and never returned. An empty
/// one turns signing off, whatever the configuration file says.
#[utoipa::path(
    post,
    path = "/api/fast-build/config/update-callback-secret",
    tag = "config",
    request_body(content = CallbackSecret, content_type = "application/json"),
    responses((status = 200, body = Envelope<String>), Failures)
)]
async fn update_callback_secret(
    State(state): State<AppState>,
    Json(CallbackSecret { secret }): Json<CallbackSecret>,
) -> Result<MessageOnly, Error> {
    state.builder.callbacks().set_secret(&secret).await?;
    Ok(if secret.trim().is_empty() {
        MessageOnly::new("回调签名已关闭。", "Callbacks are no longer signed.")
    } else {
        MessageOnly::new(
            "回调签名密钥更新成功。",
            "The secret of callbacks has been updated.",
        )
    })
}

/// Says whether callbacks are signed.
///
/// The secret itself is never returned.
#[utoipa::path(
    get,
    path = "/api/fast-build/config/query-callback-secret",
    tag = "config",
    responses((status = 200, body = Envelope<CallbackSigning>), Failures)
)]
async fn query_callback_secret(
    State(state): State<AppState>,
) -> Result<Reply<CallbackSigning>, Error> {
    Ok(Reply::success(
        state.builder.callbacks().signing_origin().await?.into(),
    ))
}
