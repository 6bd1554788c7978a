//! What builds may leave on an engine that others share: their images, and nothing else.

use fastbuild_testkit::{
    engine_api::EngineApi,
    env::EnginePart,
    wait::{eventually, when},
};

use crate::support::installation::TIMEOUT;

/// Waits until an engine has an image and nothing else of the installation that made it. A test says
/// what it was `at` when that does not come.
pub(crate) async fn wait_for_nothing_beside(engine: &EnginePart, image: &str, at: &str) {
    let engine = EngineApi::of(engine).unwrap();
    let label = engine.label_of(image).await.unwrap();
    let installation = format!("{}/", label.split_once('/').unwrap().0);
    eventually(format!("{at}: nothing is left"), TIMEOUT, || async {
        let mut left = engine.labels_of_containers().await.unwrap();
        left.extend(engine.labels_of_nameless_images().await.unwrap());
        left.retain(|label| label.starts_with(&installation));
        Ok(when(left.is_empty(), left))
    })
    .await
    .unwrap();
}
