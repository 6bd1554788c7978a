//! Building with BuildKit: the engine's built-in Dockerfile frontend, with secrets, files on demand and
//! progress. The engine's API has no single call that gives all three; speaking to its BuildKit
//! directly (`POST /session`, `POST /grpc`) does.

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
    session::{Offer, Session},
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

/// How long the rest of the progress may take to arrive once the result is there.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The largest message read; long logs come in large ones.
const LARGEST_MESSAGE: usize = 64 * 1024 * 1024;

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
    let offer = Offer {
        context: Tree::of(&request.files)
            .await
            .map_err(|why| engine.internal(why))?,
        dockerfile: Tree::of(&[dockerfile])
            .await
            .map_err(|why| engine.internal(why))?,
        secrets: request.secrets,
        registry: request.registry.clone(),
    };
    let _session = Session::open(engine.transport(), &id, key, offer).await?;
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
        // Answered once the build exists; until then this waits.
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
                let rest = tokio::time::timeout(LAST_WORDS, &mut watch).await;
                tracing::trace!(?rest, "the build's progress ended");
                solved
            }
            // The progress ends with the build, or because the connection broke: the result knows.
            _ = &mut watch => solve.await,
        }
    };
    let failed = tracker.finish();
    match solved {
        Ok(answer) => {
            let digests = answer.into_inner().exporter_response;
            finished(
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
                .blame_login(error, registry, request.registry.as_ref())
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
    Ok(ControlClient::new(channel).max_decoding_message_size(LARGEST_MESSAGE))
}

/// What a build leaves behind.
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
            // Nobody runs the image on this engine before it is pushed; running it unpacks it.
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

/// Looks the image up that was built: by its digest, which no other build can take over, or by its name.
async fn finished(engine: &Engine, tag: &str, digest: Option<&str>) -> Result<Built, EngineError> {
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

/// Whether a build ended for no reason of its own: an error made on our side of the connection because it
/// broke, or an engine that shuts down and cancels what runs.
fn is_lost(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
        || status.code() == Code::Unavailable && status.message().contains("connection")
        || status.code() == Code::Cancelled
        || status.message().ends_with("context canceled")
}
