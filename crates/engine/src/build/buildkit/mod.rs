//! Builds with the BuildKit inside an engine, with secrets, files on demand and progress. No single call of
//! the Engine API gives all three, so this talks to BuildKit directly (`POST /session`, `POST /grpc`).

mod context;
mod session;
mod status;

use std::{collections::HashMap, io, time::Duration};

use bollard_buildkit_proto::moby::buildkit::v1::{
    CacheOptions, SolveRequest, StatusRequest, control_client::ControlClient,
};
use bytes::Bytes;
use tonic::{Code, Status, transport::Channel};

use self::{
    context::Tree,
    session::{Session, SessionResources},
    status::Tracker,
};
use crate::{
    BuildFile, Built, Compression, Engine, EngineError, FileSource, ImageBuild, ProgressSender,
    crash::{self, CrashPoint},
    error::classify::{self, Subject},
    error::source::chain,
    orphans::labels,
    registry::registry_of,
};

/// How long to wait for the rest of the progress once the result has arrived.
const PROGRESS_DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Long logs arrive in large messages.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

pub(crate) async fn build(
    engine: &Engine,
    request: ImageBuild,
    progress: &ProgressSender,
) -> Result<Built, EngineError> {
    let id = format!("{:032x}", rand::random::<u128>());
    let key = Tree::key(&request.files);
    let dockerfile = BuildFile {
        path: "Dockerfile".into(),
        mode: 0o644,
        source: FileSource::Memory(Bytes::from(request.dockerfile)),
    };
    let mut tracker = Tracker::new(progress.clone(), request.secrets.clone());
    let resources = SessionResources {
        context: Tree::of(&request.files).map_err(|why| engine.internal(why))?,
        dockerfile: Tree::of(&[dockerfile]).map_err(|why| engine.internal(why))?,
        secrets: request.secrets,
        registry: request.registry.clone(),
    };
    let _session = Session::open(engine.transport(), &id, key, resources).await?;
    let mut control = control(engine, &id).await?;
    let mut watching = control.clone();

    let tag = request.tag.to_string();
    let output = Output {
        tag: &tag,
        packing: request.packing,
        no_cache: request.no_cache,
    };
    let solve = control.solve(solve_request(&id, &output, &request.build_id));
    let watch = async {
        // The engine answers once the build exists.
        let mut updates = watching
            .status(StatusRequest { r#ref: id.clone() })
            .await?
            .into_inner();
        while let Some(update) = updates.message().await? {
            tracker.update(update);
            crash::pass(CrashPoint::Building);
        }
        Ok::<_, Status>(())
    };
    let solved = {
        tokio::pin!(solve, watch);
        tokio::select! {
            solved = &mut solve => {
                let rest = tokio::time::timeout(PROGRESS_DRAIN_TIMEOUT, &mut watch).await;
                tracing::trace!(?rest, "build progress stream ended");
                solved
            }
            // Progress ends with the build or with the connection; the solve call says which.
            _ = &mut watch => solve.await,
        }
    };
    let failed = tracker.finish();
    match solved {
        Ok(answer) => {
            let digests = answer.into_inner().exporter_response;
            inspect_result(
                engine,
                &tag,
                digests.get("containerimage.digest").map(String::as_str),
            )
            .await
        }
        Err(status) if is_lost(&status) => Err(EngineError::Lost {
            address: engine.address().to_owned(),
            detail: chain(&status),
        }),
        Err(status) => {
            let base = request.base.to_string();
            let registry = registry_of(&request.base);
            let subject = Subject {
                address: engine.address(),
                image: &base,
                registry,
            };
            let error = classify::build_error(subject, failed, status.message());
            Err(engine
                .check_login(error, registry, request.registry.as_ref())
                .await)
        }
    }
}

/// A client of the engine's BuildKit on one connection of its own.
async fn control(engine: &Engine, session: &str) -> Result<ControlClient<Channel>, EngineError> {
    let headers = [("x-docker-expose-session-uuid", session.to_owned())];
    let mut connection = Some(engine.transport().upgrade("/grpc", &headers).await?);
    let connector = tower::service_fn(move |_| {
        let connection = connection
            .take()
            .ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted));
        async move { connection }
    });
    let channel = tonic::transport::Endpoint::from_static("http://docker")
        .connect_with_connector(connector)
        .await
        .map_err(|error| EngineError::Lost {
            address: engine.address().to_owned(),
            detail: chain(&error),
        })?;
    Ok(ControlClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES))
}

/// Where and how the result is exported.
struct Output<'a> {
    tag: &'a str,
    packing: Option<Compression>,
    no_cache: bool,
}

impl Output<'_> {
    /// The exporter and its attributes. `moby` is the one that every Docker Engine has, and leaves packing to the
    /// push, which packs one layer after the other. `image` packs all layers at once as a part of the build,
    /// and keeps what it packed with the layers, so that neither the next build nor the push packs them again.
    fn exporter(&self) -> (&'static str, HashMap<String, String>) {
        let mut attributes = HashMap::from([("name".to_owned(), self.tag.to_owned())]);
        let Some(compression) = self.packing else {
            return ("moby", attributes);
        };
        for (name, value) in [
            ("compression", compression.name()),
            // The image is not run on this engine before the push; an engine unpacks on first run.
            ("unpack", "false"),
        ] {
            attributes.insert(name.to_owned(), value.to_owned());
        }
        if let Some(level) = compression.level() {
            attributes.insert("compression-level".to_owned(), level.to_owned());
        }
        if compression == Compression::Zstd {
            // Docker's own media types have none for zstd.
            attributes.insert("oci-mediatypes".to_owned(), "true".to_owned());
        }
        ("image", attributes)
    }
}

fn solve_request(id: &str, output: &Output<'_>, build_id: &str) -> SolveRequest {
    let mut frontend = HashMap::from([
        ("filename".to_owned(), "Dockerfile".to_owned()),
        // The base image was brought to the engine before.
        ("image-resolve-mode".to_owned(), "local".to_owned()),
    ]);
    for (name, value) in labels(build_id) {
        frontend.insert(format!("label:{name}"), value);
    }
    if output.no_cache {
        // Empty means: no step at all.
        frontend.insert("no-cache".to_owned(), String::new());
    }
    let (exporter, attributes) = output.exporter();
    SolveRequest {
        r#ref: id.to_owned(),
        session: id.to_owned(),
        frontend: "dockerfile.v0".into(),
        frontend_attrs: frontend,
        // Newer engines have newer fields and read these as before.
        exporter_deprecated: exporter.into(),
        exporter_attrs_deprecated: attributes,
        cache: Some(CacheOptions::default()),
        ..SolveRequest::default()
    }
}

/// Inspects the built image: by digest if known, because another build may move the tag, else by tag.
async fn inspect_result(
    engine: &Engine,
    tag: &str,
    digest: Option<&str>,
) -> Result<Built, EngineError> {
    let by_digest = match digest {
        Some(digest) => engine.inspect(digest).await?,
        None => None,
    };
    let found = match by_digest {
        Some(found) => Some(found),
        None => engine.inspect(tag).await?,
    };
    let found = found
        .ok_or_else(|| engine.internal(format!("the image {tag} was built and is not there")))?;
    Ok(Built {
        image_id: found.id,
        size: found.size,
    })
}

/// Whether the build was interrupted rather than failed: the connection broke, or the engine is shutting
/// down and cancels running builds.
fn is_lost(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
        || status.code() == Code::Unavailable && status.message().contains("connection")
        || status.code() == Code::Cancelled
        || status.message().ends_with("context canceled")
}
