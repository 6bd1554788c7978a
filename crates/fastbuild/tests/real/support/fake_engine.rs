//! Services on a fake engine.

use std::time::Duration;

use fastbuild_testkit::{
    client::ConfigFields,
    env::TestEnv,
    fake_engine::{Behaviour, FakeEngine},
    request::Request,
};

use super::installation::{EngineKind, Installation};

/// Starts one whose steps take so long.
pub(crate) async fn start(env: &TestEnv, step: Duration) -> FakeEngine {
    let script = Behaviour::new(env, step).unwrap();
    FakeEngine::start(script).await.unwrap()
}

/// Starts one on which no build ends by itself.
pub(crate) async fn endless(env: &TestEnv) -> FakeEngine {
    start(env, Duration::from_hours(1)).await
}

/// The fields that configure a site on it.
pub(crate) fn fields(installation: &Installation, engine: &FakeEngine) -> ConfigFields {
    installation
        .fields(EngineKind::PlainEngine)
        .with("docker_host", "127.0.0.1")
        .with("docker_port", engine.address.port().to_string())
}

/// A request for a target of a site, whose build has steps there.
pub(crate) fn request(installation: &Installation, tag: &str) -> Request {
    Request::new(
        &installation.base(&installation.env.images.debian),
        &installation.target(tag),
    )
    .system("apt", &["less"])
}
