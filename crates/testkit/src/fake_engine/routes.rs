//! Which question of the Engine API gets which answer.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::{
    FakeEngineState, PROFILE,
    http::{decoded, framed, lines, query, unversioned},
};

pub(super) async fn answer(
    State(engine): State<Arc<FakeEngineState>>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let query = query(&head.uri);
    let path = unversioned(head.uri.path());
    let pieces: Vec<&str> = path.trim_matches('/').split('/').collect();
    let method = head.method;
    if let (&Method::POST, ["build"]) = (&method, pieces.as_slice()) {
        return engine.build(&query, body);
    }
    let Ok(body) = axum::body::to_bytes(body, 16 << 20).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match (&method, pieces.as_slice()) {
        (_, ["_ping"]) => (
            [("api-version", "1.40"), ("ostype", "linux"), ("builder-version", "1")],
            "OK",
        )
            .into_response(),
        (_, ["version"]) => Json(json!({
            "Version": "19.03.15", "ApiVersion": "1.40", "MinAPIVersion": "1.12",
            "Os": "linux", "Arch": "amd64",
        }))
        .into_response(),
        (_, ["info"]) => Json(json!({
            "ID": format!("fake-{:p}", Arc::as_ptr(&engine)), "NCPU": 2, "MemTotal": 8_u64 << 30,
            "DriverStatus": [],
            "RegistryConfig": {"InsecureRegistryCIDRs": engine.insecure_networks()},
        }))
        .into_response(),
        (_, ["auth"]) => Json(json!({"Status": "Login Succeeded"})).into_response(),
        (_, ["system", "df"]) => {
            Json(json!({"LayersSize": 0, "Images": [], "Containers": [], "Volumes": [], "BuildCache": []}))
                .into_response()
        }
        (_, ["build", "prune"]) => Json(json!({"CachesDeleted": [], "SpaceReclaimed": 0})).into_response(),
        (&Method::POST, ["images", "create"]) => engine.pull(&query),
        (&Method::GET, ["images", "json"]) => engine.images(&query),
        (&Method::GET, ["images", name @ .., "json"]) => engine.inspect(&decoded(&name.join("/"))),
        (&Method::POST, ["images", name @ .., "push"]) => {
            let tag = query.get("tag").map_or("latest", String::as_str);
            let name = format!("{}:{tag}", decoded(&name.join("/")));
            lines(&engine.push(&name, &head.headers).await)
        }
        (&Method::DELETE, ["images", name @ ..]) => engine.remove_image(&decoded(&name.join("/"))),
        (&Method::POST, ["containers", "create"]) => engine.create_container(&body),
        (&Method::GET, ["containers", "json"]) => engine.containers(),
        (&Method::POST, ["containers", _, "start"]) => StatusCode::NO_CONTENT.into_response(),
        (&Method::POST, ["containers", _, "wait"]) => Json(json!({"StatusCode": 0})).into_response(),
        (&Method::GET, ["containers", _, "logs"]) => framed(PROFILE).into_response(),
        (&Method::DELETE, ["containers", id]) => engine.remove_container(id),
        _ => {
            let message = format!("{method} {path} is not faked");
            (StatusCode::NOT_IMPLEMENTED, Json(json!({"message": message}))).into_response()
        }
    }
}
