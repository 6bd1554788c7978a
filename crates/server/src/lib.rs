//! The HTTP API. Handlers call verbs of the builder and read the store; this crate knows no Docker and
//! holds no rule of the product.
//!
//! A map, in the order in which a request passes through it:
//!
//! | file | what it is |
//! |---|---|
//! | `router.rs` | [`router`]: gathers the controllers' routes and puts the layers around them |
//! | `http/` | the layers: request log, language of the answer, draining of refused bodies |
//! | `options.rs`, `state.rs` | what the server is given at start, and what every handler can reach |
//! | `extract/` | what a handler takes from a request; a rejection names the field |
//! | `api/mod.rs` | what a controller is, and how it submits itself |
//! | `api/legacy/` | the old protocol, one file per controller; its envelope and its answers (`view/`) |
//! | `api/v1/` | version 1, one file per resource; problem details, pagination and its answers (`view/`) |
//! | `api/ops/` | health, readiness, version and metrics |
//! | `streams/` | event streams of builds: few reads for any number of clients |
//! | `error.rs` | a failure on its way to the caller |
//! | `openapi.rs` | the OpenAPI document and the pages that show it |
//!
//! Answers that hold a sentence stay in both languages until the layer in `http/localize.rs` writes them:
//! handlers, extractors, the fallback for unknown routes and the panic handler all leave a failure or a
//! sentence, and one place chooses the language. So no failure leaves as a bare 500.

mod api;
mod error;
mod extract;
mod http;
mod openapi;
mod options;
mod readiness_cache;
mod router;
mod state;
mod streams;

pub use http::serve::serve;
pub use options::{AllowedOrigins, BuildInfo, ConnectionLimits, InvalidOrigin, ServerOptions};
pub use router::{openapi, router};
pub use state::AppState;
