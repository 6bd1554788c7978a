//! The greetings at the protocol's root and at each of its modules.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{Controller, Surface},
    state::AppState,
};

inventory::submit! {
    Controller {
        surface: Surface::Legacy,
        name: "welcome",
        purpose: "Greetings by which callers see that they reached FastBuild.",
        routes,
    }
}

/// A greeting; these are the only answers without an envelope.
#[derive(Debug, Serialize, ToSchema)]
struct Welcome {
    #[schema(example = "Welcome To FastBuild")]
    message: &'static str,
}

/// A handler for each path, and the routes of them all.
macro_rules! greetings {
    ($($name:ident $path:literal $message:literal)*) => {
        fn routes() -> OpenApiRouter<AppState> {
            OpenApiRouter::new()$(.routes(routes!($name)))*
        }

        $(
            #[utoipa::path(
                get,
                path = $path,
                tag = "welcome",
                summary = "Greets, without an envelope.",
                responses((status = 200, description = "The greeting.", body = Welcome))
            )]
            async fn $name() -> Json<Welcome> {
                Json(Welcome { message: $message })
            }
        )*
    };
}

greetings! {
    root "/api/fast-build/" "Welcome To FastBuild"
    check_result "/api/fast-build/check-result/welcome" "Welcome To FastBuild Check Result"
    config "/api/fast-build/config/welcome" "Welcome To FastBuild Config"
    file "/api/fast-build/file/welcome" "Welcome To FastBuild File"
    image "/api/fast-build/image/welcome" "Welcome To FastBuild Image"
    image_life "/api/fast-build/image-life/welcome" "Welcome To FastBuild Image Life"
    progress "/api/fast-build/progress/welcome" "Welcome To FastBuild Progress"
    system "/api/fast-build/system/welcome" "Welcome To FastBuild System"
    task "/api/fast-build/task/welcome" "Welcome To FastBuild Task"
}
