//! The API by surface: `legacy` is the protocol of existing callers, `v1` the API for everybody else, `ops` what
//! load balancers, service managers and Prometheus ask.

pub(crate) mod legacy;
pub(crate) mod ops;
pub(crate) mod v1;
mod view;

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// A part of the API, with a shape of its own for failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// The old protocol: `{code, msg, data}`.
    Legacy,
    /// Version 1: problem details (RFC 9457).
    V1,
    /// Health, version and metrics; their failures have the old protocol's shape.
    Ops,
}

/// A controller: a group of routes in one file, which submits itself with `inventory::submit!`. The
/// router and the OpenAPI document are gathered from what was submitted.
pub(crate) struct Controller {
    /// The surface it belongs to.
    pub(crate) surface: Surface,
    /// Its tag in the OpenAPI document, by which controllers are ordered: its file's name, with `v1 `
    /// before it in version 1.
    pub(crate) name: &'static str,
    /// What its routes are for, in one sentence.
    pub(crate) purpose: &'static str,
    /// Its routes, with their full paths.
    pub(crate) routes: fn() -> OpenApiRouter<AppState>,
}

inventory::collect!(Controller);
