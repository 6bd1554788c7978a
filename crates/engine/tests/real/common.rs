//! What the tests share: handles to the parts, names of their own, and waiting on conditions.

use std::{io::Read as _, path::Path, time::Duration};

use bytes::Bytes;
use fastbuild_engine::{
    BuildFile, Endpoint, Engine, EngineLimits, FileSource, ImageBuild, ProgressReceiver,
    ProgressSender, progress_channel,
};
use fastbuild_spec::{
    event::{Progress, StageStatus},
    plan::Dialect,
    reference::ImageReference,
    settings::{RegistrySettings, TlsMaterial},
};
use fastbuild_testkit::env::{EnginePart, Login, TestEnv};
use tokio::time::{Instant, sleep};

pub(crate) fn env() -> TestEnv {
    TestEnv::load().unwrap()
}

pub(crate) fn plain(env: &TestEnv) -> Endpoint {
    of(&env.engine_plain)
}

/// One that listens on plain TCP.
pub(crate) fn of(part: &EnginePart) -> Endpoint {
    Endpoint::Tcp {
        host: part.host.clone(),
        port: part.port,
    }
}

pub(crate) fn tls(env: &TestEnv, tar: &Path) -> Endpoint {
    Endpoint::Tls {
        host: env.engine_tls.host.clone(),
        port: env.engine_tls.port,
        material: material(tar),
    }
}

pub(crate) fn engine(endpoint: &Endpoint) -> Engine {
    Engine::new(endpoint, EngineLimits::default()).unwrap()
}

pub(crate) fn plain_engine(env: &TestEnv) -> Engine {
    engine(&plain(env))
}

pub(crate) fn tls_engine(env: &TestEnv) -> Engine {
    engine(&tls(env, &env.certificates.client_tar))
}

/// The client side of TLS as `config-fastbuild` takes it.
pub(crate) fn material(tar: &Path) -> TlsMaterial {
    let mut found = [const { String::new() }; 3];
    for entry in tar::Archive::new(std::fs::File::open(tar).unwrap())
        .entries()
        .unwrap()
    {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let place = ["ca-", "cert-", "key-"]
            .iter()
            .position(|start| name.starts_with(start))
            .unwrap();
        entry.read_to_string(&mut found[place]).unwrap();
    }
    let [ca_pem, cert_pem, key] = found;
    TlsMaterial {
        ca_pem,
        cert_pem,
        key_pem: key.into(),
    }
}

pub(crate) fn account(env: &TestEnv, login: &Login) -> RegistrySettings {
    RegistrySettings {
        username: login.username.clone(),
        password: login.password.clone().into(),
        registry: env.registry.registry.clone(),
        registry_dns: Some(env.registry.registry_dns.clone()),
    }
}

pub(crate) fn registry(env: &TestEnv) -> RegistrySettings {
    account(env, &env.registry.user)
}

pub(crate) fn image(name: &str) -> ImageReference {
    name.parse().unwrap()
}

pub(crate) fn unique(what: &str) -> String {
    format!("{what}-{:012x}", rand::random::<u64>() & 0xffff_ffff_ffff)
}

/// A build with nothing but a Dockerfile, on the given base, with a tag of its own.
pub(crate) fn request(env: &TestEnv, base: &ImageReference, instructions: &str) -> ImageBuild {
    let name = unique("engine-test");
    ImageBuild {
        dockerfile: format!("FROM {base}\n{instructions}\n"),
        files: vec![],
        secrets: vec![],
        base: base.clone(),
        tag: image(&env.image(&format!("tests/{name}:1"))),
        registry: Some(registry(env)),
        dialect: Dialect::BuildKit,
        packing: None,
        no_cache: false,
        build_id: name,
    }
}

pub(crate) fn memory(path: &str, content: &str) -> BuildFile {
    BuildFile {
        path: path.into(),
        mode: 0o644,
        source: FileSource::Memory(Bytes::from(content.to_owned())),
    }
}

/// Everything that was reported, once the sender is gone.
pub(crate) async fn drain(sender: ProgressSender, mut receiver: ProgressReceiver) -> Vec<Progress> {
    drop(sender);
    let mut all = Vec::new();
    while let Some(progress) = receiver.recv().await {
        all.push(progress);
    }
    all
}

pub(crate) fn channel() -> (ProgressSender, ProgressReceiver) {
    progress_channel()
}

pub(crate) fn log_of(all: &[Progress]) -> String {
    all.iter()
        .filter_map(|progress| match progress {
            Progress::Log { text } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// The stages that reached a status, by name.
pub(crate) fn stages(all: &[Progress], wanted: StageStatus) -> Vec<&str> {
    all.iter()
        .filter_map(|progress| match progress {
            Progress::Stage { name, status, .. } if *status == wanted => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

/// Waits until `holds`; returns how long it took, or fails after `limit`.
pub(crate) async fn until(
    limit: Duration,
    what: &str,
    mut holds: impl AsyncFnMut() -> bool,
) -> Duration {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < limit, "{what}: not within {limit:?}");
        sleep(Duration::from_millis(20)).await;
    }
    since.elapsed()
}

/// Whether a process on this machine, in a container or not, has `marker` in its command line.
pub(crate) fn runs(marker: &str) -> bool {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .any(|process| {
            process.file_name().to_string_lossy() != own
                && std::fs::read(process.path().join("cmdline"))
                    .is_ok_and(|line| String::from_utf8_lossy(&line).contains(marker))
        })
}
