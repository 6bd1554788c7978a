//! The OpenAPI document, its pages, and the routes it lists.

use http::Method;
use insta::assert_snapshot;
use serde_json::Value;

use crate::service::Service;

fn document() -> Value {
    serde_json::to_value(fastbuild_server::openapi()).unwrap()
}

/// `METHOD path` of every operation.
fn operations() -> Vec<(Method, String)> {
    let mut operations = Vec::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            operations.push((method.to_uppercase().parse().unwrap(), path.clone()));
        }
    }
    operations
}

#[test]
fn every_route_is_listed() {
    let lines: Vec<String> = operations()
        .iter()
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    GET /
    GET /api/fast-build/
    GET /api/fast-build/callback/history
    POST /api/fast-build/callback/redeliver
    POST /api/fast-build/callback/redeliver-failed
    GET /api/fast-build/check-result/all-check-result
    DELETE /api/fast-build/check-result/delete-all-check-result
    GET /api/fast-build/check-result/welcome
    POST /api/fast-build/config/config-fastbuild
    GET /api/fast-build/config/query-callback
    GET /api/fast-build/config/query-callback-all
    GET /api/fast-build/config/query-callback-secret
    GET /api/fast-build/config/query-docker-server
    GET /api/fast-build/config/query-docker-server-all
    GET /api/fast-build/config/query-harbor
    GET /api/fast-build/config/query-harbor-all
    GET /api/fast-build/config/query-host
    GET /api/fast-build/config/query-host-all
    POST /api/fast-build/config/test-callback
    POST /api/fast-build/config/update-callback-secret
    POST /api/fast-build/config/update-docker-server
    POST /api/fast-build/config/update-harbor
    POST /api/fast-build/config/update-headers
    POST /api/fast-build/config/update-host
    GET /api/fast-build/config/welcome
    GET /api/fast-build/file/list-software
    GET /api/fast-build/file/list-source
    POST /api/fast-build/file/upload
    GET /api/fast-build/file/welcome
    GET /api/fast-build/image-life/all
    GET /api/fast-build/image-life/welcome
    DELETE /api/fast-build/image/delete-image-by-image-name
    GET /api/fast-build/image/list-all
    GET /api/fast-build/image/list-image
    POST /api/fast-build/image/register-base-image
    GET /api/fast-build/image/welcome
    GET /api/fast-build/progress/details
    GET /api/fast-build/progress/running-tasks-progress
    GET /api/fast-build/progress/status
    GET /api/fast-build/progress/welcome
    POST /api/fast-build/system/auto_clean_image
    GET /api/fast-build/system/welcome
    GET /api/fast-build/task/all-tasks
    POST /api/fast-build/task/build-image
    POST /api/fast-build/task/cancel-task-by-task-id
    POST /api/fast-build/task/check-image
    DELETE /api/fast-build/task/delete-image-by-task-id
    DELETE /api/fast-build/task/delete-task-by-task-id
    GET /api/fast-build/task/list-task
    POST /api/fast-build/task/pull-image
    GET /api/fast-build/task/queued-tasks
    GET /api/fast-build/task/running-tasks
    GET /api/fast-build/task/task-detail-by-image-name
    GET /api/fast-build/task/task-details_by_task_id
    GET /api/fast-build/task/welcome
    GET /api/v1/builds
    POST /api/v1/builds
    GET /api/v1/builds/{id}
    POST /api/v1/builds/{id}/cancel
    GET /api/v1/builds/{id}/dockerfile
    GET /api/v1/builds/{id}/events
    GET /api/v1/builds/{id}/log
    POST /api/v1/builds/{id}/retry
    POST /api/v1/builds:render
    GET /api/v1/callbacks
    GET /api/v1/callbacks/{id}
    POST /api/v1/callbacks/{id}/redeliver
    POST /api/v1/callbacks:redeliver-failed
    POST /api/v1/callbacks:test
    GET /api/v1/engines
    POST /api/v1/engines
    DELETE /api/v1/engines/{name}
    GET /api/v1/engines/{name}
    PATCH /api/v1/engines/{name}
    POST /api/v1/engines/{name}/drain
    GET /api/v1/engines/{name}/history
    POST /api/v1/engines/{name}/prove
    POST /api/v1/engines/{name}/undrain
    GET /api/v1/images
    DELETE /api/v1/images/{id}
    POST /api/v1/images:profile
    POST /api/v1/images:pull
    GET /api/v1/settings
    GET /api/v1/settings/{kind}/history
    POST /api/v1/settings/{kind}/rollback
    POST /api/v1/settings:prove
    GET /healthz
    GET /metrics
    GET /readyz
    GET /task/{work_dir_name}/{file}
    GET /version
    "#);
}

#[tokio::test]
async fn every_listed_route_is_served() {
    let service = Service::start().await;
    for (method, path) in operations() {
        let answer = service.send(method.clone(), &path, "en").await;
        // The example names of a file are those of no build.
        let expected = match path.as_str() {
            path if path.starts_with("/task/") => 404,
            "/readyz" => 503,
            _ => 200,
        };
        if path.starts_with("/api/v1/") {
            // Its answers have statuses of their own, but for a path that nothing serves.
            assert_ne!(answer.status, 405, "{method} {path}: {}", answer.text);
            assert!(
                !answer.text.contains(&format!("There is no {method}")),
                "{method} {path}: {}",
                answer.text
            );
            continue;
        }
        assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text);
        assert!(
            !answer.text.contains("There is no GET"),
            "{method} {path}: {}",
            answer.text
        );
    }
}

#[test]
fn controllers_are_in_alphabetic_order_and_every_route_has_one() {
    let document = document();
    let names: Vec<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    assert!(names.is_sorted() && names.len() > 4, "{names:?}");
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let tags = operation["tags"].as_array().unwrap();
            assert_eq!(tags.len(), 1, "{method} {path}");
            assert!(
                names.contains(&tags[0].as_str().unwrap()),
                "{method} {path}: {tags:?}"
            );
            for (status, answer) in operation["responses"].as_object().unwrap() {
                assert!(
                    answer["description"].is_string(),
                    "{method} {path} {status}"
                );
            }
            assert!(
                operation["summary"].is_string(),
                "{method} {path} says nothing of itself"
            );
        }
    }
}

#[test]
fn the_form_of_the_whole_site_lists_the_fields_of_its_parts() {
    let schemas = document()["components"]["schemas"].clone();
    let mut fields: Vec<String> = Vec::new();
    collect_fields(&schemas["SiteFields"], &schemas, &mut fields);
    assert_snapshot!(fields.join(" "), @"fastbuild_host fastbuild_port harbor_password harbor_registry harbor_registry_dns harbor_username docker_host docker_port docker_tls_tar_file");
}

/// The names of an object's fields, those of the objects it is made of included.
fn collect_fields(schema: &Value, schemas: &Value, fields: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return collect_fields(&schemas[name], schemas, fields);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        collect_fields(part, schemas, fields);
    }
    if let Some(properties) = schema["properties"].as_object() {
        fields.extend(properties.keys().cloned());
    }
}

#[tokio::test]
async fn the_document_and_its_pages_come_from_the_binary() {
    let service = Service::start().await;
    for path in ["/openapi.json", "/api-docs/openapi.json"] {
        let answer = service.get(path).await;
        assert_eq!((answer.status, answer.json()), (200, document()), "{path}");
    }
    let page = service.get("/docs/").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html")
    );
    assert!(
        !page.text.contains("https://"),
        "the page reaches out: {}",
        page.text
    );
    let script = service.get("/docs/swagger-initializer.js").await;
    assert!(
        script.text.contains("/api-docs/openapi.json"),
        "{}",
        script.text
    );
    assert_eq!(service.get("/docs").await.header("location"), "/docs/");
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let served = fastbuild_server::openapi().to_pretty_json().unwrap() + "\n";
    assert!(
        committed == served,
        "docs/openapi.json is not what the service serves; run: cargo xtask openapi"
    );
}

#[tokio::test]
async fn the_root_points_to_the_documentation() {
    let service = Service::start().await;
    let answer = service.get("/").await;
    assert_eq!(answer.status, 200);
    assert_snapshot!(answer.text, @r#"{"service":"FastBuild","version":"0.1.0","docs":"/docs","openapi":"/openapi.json"}"#);
    assert_eq!(service.get("/nothing").await.status, 404);
}

#[tokio::test]
async fn the_greeting_has_no_envelope() {
    let service = Service::start().await;
    let answer = service.get("/api/fast-build/").await;
    assert_eq!(answer.text, r#"{"message":"Welcome To FastBuild"}"#);
}

#[test]
fn summaries_are_one_plain_line() {
    for (path, item) in document()["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let summary = operation["summary"].as_str().unwrap();
            // Pages show a summary as it is, without markup.
            let is_plain = !summary.contains(['`', '\n']) && summary.ends_with('.');
            assert!(is_plain && summary.len() < 100, "{path}: {summary}");
        }
    }
}

#[test]
fn examples_use_addresses_for_documentation() {
    let text = document().to_string();
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c)));
    let mut addresses = 0;
    for word in words {
        if let Ok(address) = word.parse::<std::net::Ipv4Addr>() {
            // RFC 5737.
            let is_example = ["192.0.2.", "198.51.100.", "203.0.113."]
                .iter()
                .any(|network| word.starts_with(network));
            assert!(is_example, "{address}");
            addresses += 1;
        }
    }
    assert!(addresses > 5, "{addresses}");
}

#[test]
fn the_form_of_the_whole_site_is_filled_with_examples() {
    let schemas = document()["components"]["schemas"].clone();
    for form in ["HostFields", "HarborFields", "DockerServerFields"] {
        for (name, field) in schemas[form]["properties"].as_object().unwrap() {
            let is_file = field["format"] == "binary";
            assert!(is_file || field["example"].is_string(), "{name}: {field}");
        }
    }
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = document();
    let mut names = Vec::new();
    for item in document["paths"].as_object().unwrap().values() {
        let operations = item.as_object().unwrap().values();
        names.extend(operations.map(|one| one["operationId"].as_str().unwrap().to_owned()));
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(
        names.iter().any(|name| name == "v1_images_list"),
        "{names:?}"
    );
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    let mut references = 0;
    for rest in text.split("\"$ref\":\"#").skip(1) {
        let pointer = rest.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        references += 1;
    }
    assert!(references > 50, "{references}");
}
