//! A Docker Engine by script: it speaks the part of the Engine API (1.39, the classic builder) that a
//! build needs, pretends to have every base image, takes as long over a build as it is told, and
//! pushes a real, small image to the real registry. It stands for engines of which there cannot be
//! many on one machine, and it remembers what was asked of it.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;

/// What the probe of any base image finds here.
const PROFILE: &str = "@@begin 1\n@@kernel Linux scripted 6.1.0 #1 SMP x86_64 GNU/Linux\n\
    @@os NAME=\"Debian GNU/Linux\"\n@@os VERSION=\"12 (bookworm)\"\n@@os ID=debian\n\
    @@os VERSION_ID=\"12\"\n@@os VERSION_CODENAME=bookworm\n@@apt apt 2.6.1 (amd64)\n@@end 1\n";
/// Bytes an image takes here.
const SIZE: u64 = 100_000_000;
/// Steps that every build here has.
const STEPS: u32 = 4;

/// The label that names the build something was made for.
const BUILD_LABEL: &str = "org.fastbuild.build";

/// How a scripted engine behaves.
#[derive(Debug, Clone)]
pub struct Script {
    /// How long each of a build's steps takes.
    pub step: Duration,
    /// The authority that signed the registry's certificate, PEM.
    pub registry_ca: Vec<u8>,
}

/// What lies on a scripted engine and runs there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Containers, by the build they were made for.
    pub containers: Vec<String>,
    /// Names of images that builds made.
    pub images: Vec<String>,
    /// Builds that run.
    pub building: usize,
}

/// A running scripted engine; ends when dropped.
#[derive(Debug)]
pub struct ScriptedEngine {
    /// Where it listens.
    pub address: SocketAddr,
    engine: Arc<Scripted>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Scripted {
    script: Script,
    registry: reqwest::Client,
    state: Mutex<Holding>,
}

#[derive(Debug, Default)]
struct Holding {
    images: BTreeMap<String, Image>,
    containers: BTreeMap<String, Value>,
    building: usize,
    made: u64,
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
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

impl ScriptedEngine {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had or the authority's certificate does not parse.
    pub async fn start(script: Script) -> Result<Self> {
        let ca = reqwest::Certificate::from_pem(&script.registry_ca)?;
        let registry = reqwest::Client::builder()
            .tls_certs_only([ca])
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()?;
        let engine = Arc::new(Scripted {
            script,
            registry,
            state: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(engine.clone());
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
}

impl Drop for ScriptedEngine {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Counts a running build; also one whose caller went away.
struct Building(Arc<Scripted>);

impl Building {
    fn begin(engine: &Arc<Scripted>) -> Self {
        engine.state().building += 1;
        Self(engine.clone())
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        self.0.state().building -= 1;
    }
}

impl Scripted {
    fn state(&self) -> MutexGuard<'_, Holding> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Pushes an image for real: its configuration and a manifest without layers (OCI distribution
    /// specification).
    async fn push(&self, name: &str, headers: &HeaderMap) -> Result<Vec<Value>> {
        let image = self.state().images.get(name).cloned();
        let image = image
            .with_context(|| format!("An image does not exist locally with the tag: {name}"))?;
        let auth = headers.get("x-registry-auth").context("no account")?;
        let auth: Value = serde_json::from_slice(&BASE64_URL_SAFE.decode(auth)?)?;
        let account = |request: reqwest::RequestBuilder| {
            request.basic_auth(
                auth["username"].as_str().unwrap_or_default(),
                auth["password"].as_str(),
            )
        };
        let (repository, tag) = name.rsplit_once(':').context("a name with a tag")?;
        let (registry, path) = repository
            .split_once('/')
            .context("a name with a registry")?;
        let root = format!("https://{registry}");
        let config = image.config.to_string();
        let id = image.id();
        let begun = account(
            self.registry
                .post(format!("{root}/v2/{path}/blobs/uploads/")),
        )
        .send()
        .await?
        .error_for_status()?;
        let place = begun
            .headers()
            .get("location")
            .context("an upload without a place")?
            .to_str()?;
        let place = reqwest::Url::parse(&root)?.join(place)?;
        let mut place = reqwest::Url::parse(&format!(
            "{root}{}?{}",
            place.path(),
            place.query().unwrap_or_default()
        ))?;
        place.query_pairs_mut().append_pair("digest", &id);
        account(self.registry.put(place))
            .header("content-type", "application/octet-stream")
            .body(config.clone())
            .send()
            .await?
            .error_for_status()?;
        let media_type = "application/vnd.docker.distribution.manifest.v2+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": config.len(),
                "digest": id,
            },
            "layers": [],
        })
        .to_string();
        let pushed = account(
            self.registry
                .put(format!("{root}/v2/{path}/manifests/{tag}")),
        )
        .header("content-type", media_type)
        .body(manifest.clone())
        .send()
        .await?;
        let status = pushed.status();
        ensure!(
            status.is_success(),
            "received unexpected HTTP status: {status}"
        );
        let digest = digest(manifest.as_bytes());
        let size = manifest.len();
        Ok(vec![
            json!({"status": format!("{tag}: digest: {digest} size: {size}")}),
            json!({"aux": {"Tag": tag, "Digest": digest, "Size": size}}),
        ])
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
                    tokio::select! {
                        () = tokio::time::sleep(engine.script.step) => {}
                        () = sender.closed() => return Ok(()),
                    }
                    say(json!({"stream": format!("said by step {step}\n")})).await?;
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

fn missing(what: &str, name: &str) -> Response {
    let message = format!("No such {what}: {name}");
    (StatusCode::NOT_FOUND, Json(json!({"message": message}))).into_response()
}

fn lines(messages: &[Value]) -> Response {
    messages
        .iter()
        .map(|message| format!("{message}\r\n"))
        .collect::<Vec<_>>()
        .concat()
        .into_response()
}

/// The output of a container without a terminal (Docker Engine API, "Attach to a container"): frames
/// with the stream's number and the length before them.
fn framed(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut framed = vec![1, 0, 0, 0];
    framed.extend(length.to_be_bytes());
    framed.extend(text.as_bytes());
    framed
}

async fn answer(State(engine): State<Arc<Scripted>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = query(&parts.uri);
    let path = unversioned(parts.uri.path());
    let pieces: Vec<&str> = path.trim_matches('/').split('/').collect();
    let method = parts.method;
    if let (&Method::POST, ["build"]) = (&method, pieces.as_slice()) {
        return engine.build(&query, body);
    }
    let Ok(body) = axum::body::to_bytes(body, 16 << 20).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match (&method, pieces.as_slice()) {
        (_, ["_ping"]) => (
            [("api-version", "1.39"), ("ostype", "linux"), ("builder-version", "1")],
            "OK",
        )
            .into_response(),
        (_, ["version"]) => Json(json!({
            "Version": "18.09.9", "ApiVersion": "1.39", "MinAPIVersion": "1.12",
            "Os": "linux", "Arch": "amd64",
        }))
        .into_response(),
        (_, ["info"]) => Json(json!({
            "ID": format!("scripted-{:p}", Arc::as_ptr(&engine)), "NCPU": 2, "MemTotal": 8_u64 << 30,
            "DriverStatus": [],
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
            match engine.push(&name, &parts.headers).await {
                Ok(messages) => lines(&messages),
                Err(error) => {
                    let error = format!("{error:#}");
                    lines(&[json!({"errorDetail": {"message": error}, "error": error})])
                }
            }
        }
        (&Method::DELETE, ["images", name @ ..]) => engine.remove_image(&decoded(&name.join("/"))),
        (&Method::POST, ["containers", "create"]) => engine.create_container(&body),
        (&Method::GET, ["containers", "json"]) => engine.containers(),
        (&Method::POST, ["containers", _, "start"]) => StatusCode::NO_CONTENT.into_response(),
        (&Method::POST, ["containers", _, "wait"]) => Json(json!({"StatusCode": 0})).into_response(),
        (&Method::GET, ["containers", _, "logs"]) => framed(PROFILE).into_response(),
        (&Method::DELETE, ["containers", id]) => engine.remove_container(id),
        _ => {
            let message = format!("{method} {path} is not in the script");
            (StatusCode::NOT_IMPLEMENTED, Json(json!({"message": message}))).into_response()
        }
    }
}

fn query(uri: &Uri) -> HashMap<String, String> {
    serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default()
}

/// A path without its `/v1.39` in front.
fn unversioned(path: &str) -> &str {
    match path.strip_prefix("/v1.") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => path,
    }
}

/// A path part without its percent signs (RFC 3986, section 2.1).
fn decoded(text: &str) -> String {
    // As the value of a form field whose plus signs are written out, since those mean blanks there.
    let pair = format!("x={}", text.replace('+', "%2B"));
    serde_urlencoded::from_str::<Vec<(String, String)>>(&pair)
        .ok()
        .and_then(|pairs| pairs.into_iter().next())
        .map_or_else(|| text.to_owned(), |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_percent_signs_leave_a_path() {
        assert_eq!(unversioned("/v1.39/images/a/json"), "/images/a/json");
        assert_eq!(unversioned("/_ping"), "/_ping");
        assert_eq!(decoded("127.0.0.1%3A5000/a+b:1"), "127.0.0.1:5000/a+b:1");
    }

    #[test]
    fn output_is_framed_as_the_engine_frames_it() {
        assert_eq!(framed("ab"), [1, 0, 0, 0, 0, 0, 0, 2, b'a', b'b']);
    }
}
