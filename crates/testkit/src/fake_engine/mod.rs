//! A fake Docker Engine in this process: it speaks the part of the Engine API (1.40, the classic
//! builder) that a build needs, has almost every base image, takes as long over a build as it is told,
//! and pushes a small image to a registry: that of the test environment or a [`FakeRegistry`]. It
//! remembers what was asked of it.

mod behaviour;
mod http;
mod push;
mod registry;
mod routes;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;

use self::http::{lines, missing};
pub use self::{behaviour::Behaviour, push::Push, registry::FakeRegistry};
use crate::chaos::real_engine::EngineObject;

/// A base image with this in its name is in no registry.
pub const NO_SUCH_IMAGE: &str = "no-such-image";
/// What the probe of any base image finds here.
const PROFILE: &str = "@@begin 1\n@@kernel Linux fake 6.1.0 #1 SMP x86_64 GNU/Linux\n\
    @@os NAME=\"Debian GNU/Linux\"\n@@os VERSION=\"12 (bookworm)\"\n@@os ID=debian\n\
    @@os VERSION_ID=\"12\"\n@@os VERSION_CODENAME=bookworm\n@@apt apt 2.6.1 (amd64)\n@@end 1\n";
/// Bytes an image takes here.
const SIZE: u64 = 100_000_000;
/// Steps that every build here has.
pub const STEPS: u32 = 4;

/// The label that names the build something was made for, and which of its attempts made it.
pub const BUILD_LABEL: &str = "org.fastbuild.build";

/// What lies on a fake engine and runs there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Containers, by the build they were made for.
    pub containers: Vec<String>,
    /// Names of images that builds made.
    pub images: Vec<String>,
    /// Builds that run.
    pub building: usize,
}

/// A running fake engine; ends when dropped.
#[derive(Debug)]
pub struct FakeEngine {
    /// Where it listens.
    pub address: SocketAddr,
    engine: Arc<FakeEngineState>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct FakeEngineState {
    behaviour: Behaviour,
    registry: reqwest::Client,
    state: Mutex<Holding>,
    hurried: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Holding {
    images: BTreeMap<String, Image>,
    containers: BTreeMap<String, Value>,
    building: usize,
    made: u64,
    /// Images of builds whose callers went away, by name.
    stopped: Vec<(String, Image)>,
    pushes: Vec<Push>,
}

#[derive(Debug, Clone)]
struct Image {
    /// The image's configuration (OCI image specification); its digest is the image's id.
    config: Value,
    built: bool,
}

impl Image {
    fn new(labels: &Value, number: u64, built: bool) -> Self {
        Self {
            config: json!({
                "architecture": "amd64", "os": "linux", "created": "2000-01-01T00:00:00Z",
                "config": {"Labels": labels, "Env": [format!("NUMBER={number}")]},
                "rootfs": {"type": "layers", "diff_ids": []},
                "history": [],
            }),
            built,
        }
    }

    fn id(&self) -> String {
        digest(self.config.to_string().as_bytes())
    }

    fn label(&self, name: &str) -> String {
        let label = &self.config["config"]["Labels"][name];
        label.as_str().unwrap_or_default().to_owned()
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

impl FakeEngine {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had or the authority's certificate does not parse.
    pub async fn start(behaviour: Behaviour) -> Result<Self> {
        let mut registry = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .no_proxy();
        if let Some(authority) = &behaviour.registry_ca {
            registry = registry.tls_certs_only([reqwest::Certificate::from_pem(authority)?]);
        }
        let registry = registry.build()?;
        let engine = Arc::new(FakeEngineState {
            behaviour,
            registry,
            state: Mutex::default(),
            hurried: watch::Sender::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .fallback(routes::answer)
            .with_state(engine.clone());
        let serving = tokio::spawn(async move {
            // Ends with the task alone.
            let _: std::io::Result<()> = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            engine,
            serving,
        })
    }

    /// What lies and runs there now.
    pub fn holdings(&self) -> Holdings {
        let state = self.engine.state();
        Holdings {
            containers: state
                .containers
                .values()
                .map(|labels| labels[BUILD_LABEL].as_str().unwrap_or_default().to_owned())
                .collect(),
            images: state
                .images
                .iter()
                .filter(|(_, image)| image.built)
                .map(|(name, _)| name.clone())
                .collect(),
            building: state.building,
        }
    }

    /// The containers and built images there, each with its label.
    pub fn objects(&self) -> Vec<EngineObject> {
        let state = self.engine.state();
        let containers = state.containers.iter().map(|(id, labels)| EngineObject {
            kind: "container",
            name: id.clone(),
            label: labels[BUILD_LABEL].as_str().unwrap_or_default().to_owned(),
        });
        let built = state.images.iter().filter(|(_, image)| image.built);
        let images = built.map(|(name, image)| EngineObject {
            kind: "image",
            name: name.clone(),
            label: image.label(BUILD_LABEL),
        });
        containers.chain(images).collect()
    }

    /// Lets every step take no time from now on, also those under way.
    pub fn hurry(&self) {
        self.engine.hurried.send_replace(true);
    }

    /// Finishes the images of builds that were stopped, as an engine does that was about to when it
    /// was told.
    pub fn finish_stopped(&self) {
        let mut state = self.engine.state();
        let stopped = std::mem::take(&mut state.stopped);
        state.images.extend(stopped);
    }

    /// Every push it was asked for, oldest first.
    pub fn pushes(&self) -> Vec<Push> {
        self.engine.state().pushes.clone()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Counts a running build; also one whose caller went away.
struct Building(Arc<FakeEngineState>);

impl Building {
    fn begin(engine: &Arc<FakeEngineState>) -> Self {
        engine.state().building += 1;
        Self(engine.clone())
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        self.0.state().building -= 1;
    }
}

impl FakeEngineState {
    fn state(&self) -> MutexGuard<'_, Holding> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The networks whose registries may lack TLS.
    fn insecure_networks(&self) -> &'static [&'static str] {
        match self.behaviour.registry_ca {
            Some(_) => &[],
            None => &["127.0.0.0/8"],
        }
    }

    fn number(&self) -> u64 {
        let mut state = self.state();
        state.made += 1;
        state.made
    }

    fn inspect(&self, name: &str) -> Response {
        let state = self.state();
        let found = state
            .images
            .get(name)
            .or_else(|| state.images.values().find(|image| image.id() == name));
        match found {
            None => missing("image", name),
            Some(image) => Json(json!({
                "Id": image.id(), "Size": SIZE, "Architecture": "amd64", "Os": "linux",
                "Config": image.config["config"], "RepoTags": [name], "RepoDigests": [],
            }))
            .into_response(),
        }
    }

    fn images(&self, query: &HashMap<String, String>) -> Response {
        let dangling = query
            .get("filters")
            .is_some_and(|filters| filters.contains("dangling"));
        let state = self.state();
        let listed: Vec<Value> = state
            .images
            .iter()
            .filter(|_| !dangling)
            .map(|(name, image)| {
                json!({
                    "Id": image.id(), "ParentId": "", "RepoTags": [name], "RepoDigests": [],
                    "Created": 946_684_800, "Size": SIZE, "SharedSize": 0, "VirtualSize": SIZE,
                    "Labels": image.config["config"]["Labels"], "Containers": 0,
                })
            })
            .collect();
        Json(listed).into_response()
    }

    fn remove_image(&self, name: &str) -> Response {
        let mut state = self.state();
        let by_id = state
            .images
            .iter()
            .find(|(_, image)| image.id() == name)
            .map(|(name, _)| name.clone());
        let name = by_id.as_deref().unwrap_or(name);
        match state.images.remove(name) {
            None => missing("image", name),
            Some(_) => Json(json!([{"Untagged": name}])).into_response(),
        }
    }

    fn pull(&self, query: &HashMap<String, String>) -> Response {
        let part = |key: &str| query.get(key).map(String::as_str).unwrap_or_default();
        let (image, tag) = (part("fromImage"), part("tag"));
        let separator = if tag.starts_with("sha256:") { '@' } else { ':' };
        let name = format!("{image}{separator}{tag}");
        if image.contains(NO_SUCH_IMAGE) {
            let message =
                format!("manifest for {name} not found: manifest unknown: manifest unknown");
            return (StatusCode::NOT_FOUND, Json(json!({"message": message}))).into_response();
        }
        self.state()
            .images
            .entry(name.clone())
            // The same everywhere, as the same image is on two engines.
            .or_insert_with(|| Image::new(&json!({"base": name}), 0, false));
        lines(&[json!({"status": format!("Status: Downloaded newer image for {name}")})])
    }

    fn create_container(&self, body: &Bytes) -> Response {
        let labels = serde_json::from_slice::<Value>(body)
            .map(|body| body["Labels"].clone())
            .unwrap_or_default();
        let id = digest(self.number().to_string().as_bytes())["sha256:".len()..].to_owned();
        self.state().containers.insert(id.clone(), labels);
        (StatusCode::CREATED, Json(json!({"Id": id, "Warnings": []}))).into_response()
    }

    fn containers(&self) -> Response {
        let state = self.state();
        let listed: Vec<Value> = state
            .containers
            .iter()
            .map(|(id, labels)| json!({"Id": id, "Labels": labels, "State": "exited"}))
            .collect();
        Json(listed).into_response()
    }

    fn remove_container(&self, id: &str) -> Response {
        match self.state().containers.remove(id) {
            None => missing("container", id),
            Some(_) => StatusCode::NO_CONTENT.into_response(),
        }
    }

    /// Builds: says its steps one by one, each after its time. A caller that goes away stops it.
    fn build(self: &Arc<Self>, query: &HashMap<String, String>, body: Body) -> Response {
        let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(1);
        let engine = self.clone();
        let name = query.get("t").cloned().unwrap_or_default();
        let labels = query
            .get("labels")
            .and_then(|labels| serde_json::from_str::<Value>(labels).ok())
            .unwrap_or_default();
        let running = Building::begin(&engine);
        let mut hurried = engine.hurried.subscribe();
        tokio::spawn(async move {
            let _running = running;
            let say = async |message: Value| sender.send(Ok(format!("{message}\r\n").into())).await;
            let built = async {
                // The context travels before the builder begins.
                if axum::body::to_bytes(body, 64 << 20).await.is_err() {
                    return Ok(());
                }
                for step in 1..=STEPS {
                    say(json!({"stream": format!("Step {step}/{STEPS} : RUN step-{step}\n")}))
                        .await?;
                    let Behaviour {
                        step: time, lines, ..
                    } = engine.behaviour;
                    for line in 1..=lines {
                        tokio::select! {
                            () = tokio::time::sleep(time / lines) => {}
                            _ = hurried.wait_for(|hurried| *hurried) => {}
                            () = sender.closed() => {
                                let image = Image::new(&labels, engine.number(), true);
                                engine.state().stopped.push((name, image));
                                return Ok(());
                            }
                        }
                        let text = format!("said by step {step}: {line} of {lines}\n");
                        say(json!({"stream": text})).await?;
                    }
                }
                let image = Image::new(&labels, engine.number(), true);
                let id = image.id();
                engine.state().images.insert(name, image);
                say(json!({"aux": {"ID": id}})).await
            };
            // Nobody listens any more.
            let _: Result<(), mpsc::error::SendError<_>> = built.await;
        });
        Body::from_stream(ReceiverStream::new(receiver)).into_response()
    }
}
