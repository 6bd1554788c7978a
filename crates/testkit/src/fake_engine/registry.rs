//! A registry in this process, without TLS and logins: as much of the OCI distribution specification
//! as pushing an image and giving it another name need, and failures on demand.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{digest, http::query};

/// Bytes of a request that are taken.
const LONGEST_BODY: usize = 16 << 20;
/// What identifies a manifest in answers.
const DIGEST_HEADER: &str = "docker-content-digest";

/// A running registry; ends when dropped.
#[derive(Debug)]
pub struct FakeRegistry {
    /// Where it listens; `127.0.0.1:PORT` in front of image names.
    pub address: SocketAddr,
    shared: Arc<Mutex<Contents>>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Contents {
    /// Digests by repository.
    blobs: HashSet<(String, String)>,
    /// Media type and text by repository and digest.
    manifests: HashMap<(String, String), (String, Bytes)>,
    /// Digests by repository and tag.
    tags: BTreeMap<(String, String), String>,
    /// Manifests that are refused with 503 before the next is taken.
    refusals: usize,
}

impl FakeRegistry {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::<Mutex<Contents>>::default();
        let routes = Router::new().fallback(answer).with_state(shared.clone());
        let serving = tokio::spawn(async move {
            // Ends with the task alone.
            let _: std::io::Result<()> = axum::serve(listener, routes).await;
        });
        Ok(Self {
            address,
            shared,
            serving,
        })
    }

    /// The full name of an image here, from `repository:tag`.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// The digest that an image's full name has here.
    pub fn digest_of(&self, image: &str) -> Option<String> {
        let key = self.key_of(image)?;
        locked(&self.shared).tags.get(&key).cloned()
    }

    /// Forgets an image, as an operator does who deletes it.
    pub fn delete(&self, image: &str) {
        let Some((repository, tag)) = self.key_of(image) else {
            return;
        };
        let mut contents = locked(&self.shared);
        if let Some(digest) = contents.tags.remove(&(repository.clone(), tag)) {
            contents.manifests.remove(&(repository, digest));
        }
    }

    /// Refuses so many of the next manifests with 503.
    pub fn refuse_manifests(&self, count: usize) {
        locked(&self.shared).refusals = count;
    }

    fn key_of(&self, image: &str) -> Option<(String, String)> {
        let name = image.strip_prefix(&format!("{}/", self.address))?;
        let (repository, tag) = name.rsplit_once(':')?;
        Some((repository.to_owned(), tag.to_owned()))
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked(shared: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(shared): State<Arc<Mutex<Contents>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let query = query(&head.uri);
    let path = head.uri.path();
    let mut contents = locked(&shared);
    if path == "/v2/" {
        return StatusCode::OK.into_response();
    }
    let Some(path) = path.strip_prefix("/v2/") else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if let Some((repository, reference)) = path.rsplit_once("/manifests/") {
        return match head.method {
            Method::PUT => contents.put_manifest(repository, reference, &head.headers, body),
            _ => contents.get_manifest(repository, reference),
        };
    }
    match path.rsplit_once("/blobs/uploads/") {
        Some((repository, "")) => contents.begin_upload(repository, &query),
        Some((repository, _)) => contents.end_upload(repository, &query, &body),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Contents {
    /// Begins an upload, or mounts a blob of another repository.
    fn begin_upload(&mut self, repository: &str, query: &HashMap<String, String>) -> Response {
        if let (Some(digest), Some(from)) = (query.get("mount"), query.get("from"))
            && self.blobs.contains(&(from.clone(), digest.clone()))
        {
            self.blobs.insert((repository.to_owned(), digest.clone()));
            return StatusCode::CREATED.into_response();
        }
        let place = format!("/v2/{repository}/blobs/uploads/1");
        (StatusCode::ACCEPTED, [(header::LOCATION, place)]).into_response()
    }

    fn end_upload(
        &mut self,
        repository: &str,
        query: &HashMap<String, String>,
        body: &Bytes,
    ) -> Response {
        let id = digest(body);
        if query.get("digest") != Some(&id) {
            return StatusCode::BAD_REQUEST.into_response();
        }
        self.blobs.insert((repository.to_owned(), id));
        StatusCode::CREATED.into_response()
    }

    fn put_manifest(
        &mut self,
        repository: &str,
        tag: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response {
        if self.refusals > 0 {
            self.refusals -= 1;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let media_type = headers.get(header::CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok());
        let id = digest(&body);
        let repository = repository.to_owned();
        self.manifests.insert(
            (repository.clone(), id.clone()),
            (media_type.unwrap_or_default().to_owned(), body),
        );
        self.tags.insert((repository, tag.to_owned()), id.clone());
        (StatusCode::CREATED, [(DIGEST_HEADER, id)]).into_response()
    }

    fn get_manifest(&self, repository: &str, reference: &str) -> Response {
        let repository = repository.to_owned();
        let tagged = self.tags.get(&(repository.clone(), reference.to_owned()));
        let id = tagged.cloned().unwrap_or_else(|| reference.to_owned());
        match self.manifests.get(&(repository, id.clone())) {
            None => StatusCode::NOT_FOUND.into_response(),
            Some((media_type, body)) => {
                let headers = [
                    (header::CONTENT_TYPE.as_str(), media_type.clone()),
                    (DIGEST_HEADER, id),
                ];
                (headers, body.clone()).into_response()
            }
        }
    }
}
