//! The application's life: open what it needs, say how it stands, serve until told to end.

use std::{fs::File, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use fastbuild_builder::{
    Builder,
    clock::{Clock as _, SystemClock},
    options::Options,
};
use fastbuild_server::{AllowedOrigins, AppState, BuildInfo, ConnectionLimits, ServerOptions};
use fastbuild_spec::settings::HostSettings;
use fastbuild_store::Store;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use crate::{config::Config, open_files, skeleton};

/// Connections that may wait to be accepted; the system's own bound (`net.core.somaxconn`) applies
/// as well. A thousand clients that follow builds may all come back in the same moment.
const WAITING_CONNECTIONS: u32 = 4096;
/// How long requests under way may go on after the service was told to end.
const GRACE: Duration = Duration::from_secs(10);

/// Of what this program was built, as `build.rs` found it.
const BUILD_INFO: BuildInfo = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    commit: option_env!("BUILT_FROM_COMMIT"),
    rustc: option_env!("BUILT_WITH_RUSTC"),
};

/// An application that is ready to serve on a port it has bound.
#[derive(Debug)]
pub struct App {
    /// Held as long as the application lives: builds of a database belong to one process.
    _lock: File,
    builder: Builder,
    listener: TcpListener,
    allowed_origins: AllowedOrigins,
    stream_clients: usize,
    connection_limits: ConnectionLimits,
}

impl App {
    /// Checks the folders, opens the database and binds the port. Nothing runs yet.
    ///
    /// # Errors
    /// A sentence that names the folder, file or port in the way.
    pub async fn prepare(config: Config) -> Result<Self> {
        let open_files = open_files::raise();
        skeleton::check(&config)?;
        let lock = lock(&config.base_dir)?;
        let store = Store::open_installation(&config.database_url, &config.seal_key_file).await?;
        let clock = Arc::new(SystemClock);
        store
            .ensure_defaults(
                HostSettings {
                    host: "127.0.0.1".to_owned(),
                    port: config.port,
                },
                config.callback_headers,
                clock.now(),
            )
            .await?;
        store
            .set_default_capacity(config.limits.builds_per_engine, clock.now())
            .await?;
        // A process id says enough on one machine; on several it may be there twice.
        let worker = if store.is_shared() {
            format!("{}-{:08x}", std::process::id(), rand::random::<u32>())
        } else {
            std::process::id().to_string()
        };
        let builder = Builder::new(
            store,
            Options {
                folders: config.folders,
                limits: config.limits,
                builds: config.builds,
                callbacks: config.callbacks,
                cleaning: config.cleaning,
                base_images: config.base_images,
                wire_key: config.wire_key,
                sources: config.sources,
                worker,
            },
            clock,
        )?;
        builder.catalog().sweep_uploads().await;
        let address = SocketAddr::new(config.address, config.port);
        let listener = listen(address).with_context(|| {
            format!(
                "the address {address} cannot be listened on; is another FastBuild running there?"
            )
        })?;
        Ok(Self {
            _lock: lock,
            builder,
            listener,
            allowed_origins: config.allowed_origins,
            stream_clients: config.stream_clients,
            connection_limits: connection_limits(open_files, config.stream_clients),
        })
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// What the operating system says when the socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`, then ends requests under way, lets running builds go on for their
    /// grace time or until `hurry`, gives what is left back to the queue and returns.
    ///
    /// # Errors
    /// A sentence when the database does not answer or the listener fails.
    pub async fn run(self, shutdown: CancellationToken, hurry: CancellationToken) -> Result<()> {
        let hurried = self.builder.abort_grace().clone();
        tokio::spawn(async move {
            hurry.cancelled().await;
            hurried.cancel();
        });
        let address = self.address()?;
        let missing = self.builder.engines().missing_settings().await?;
        if missing.is_empty() {
            tracing::info!(%address, "FastBuild is ready and configured");
        } else {
            tracing::info!(
                %address,
                "FastBuild is ready and waits for its configuration; missing: {}. \
                 POST /api/fast-build/config/config-fastbuild sets it",
                missing.join(", ")
            );
        }
        let store = self.builder.store().clone();
        let workers = tokio::spawn(self.builder.clone().run(shutdown.clone()));
        let state = AppState::new(self.builder)
            .with_stream_clients(self.stream_clients)
            .with_build_info(BUILD_INFO);
        let router = fastbuild_server::router(
            state.clone(),
            &ServerOptions {
                allowed_origins: self.allowed_origins,
            },
        );
        let told = shutdown.clone();
        tokio::spawn(async move {
            told.cancelled().await;
            state.end_streams();
        });
        let serving = fastbuild_server::serve(
            self.listener,
            router,
            self.connection_limits,
            shutdown.clone(),
        );
        let grace = async {
            shutdown.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = serving => {}
            () = grace => tracing::warn!("requests still under way are dropped"),
        }
        shutdown.cancel();
        workers.await?;
        store
            .close()
            .await
            .context("the database could not be closed in order; nothing in it is lost")?;
        tracing::info!("FastBuild has ended");
        Ok(())
    }
}

/// Runs the service until SIGINT or SIGTERM.
///
/// # Errors
/// A sentence that says what stood in the way.
pub fn serve(config: Config) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the threads of the service cannot be started")?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let hurry = CancellationToken::new();
        tokio::spawn(cancel_on_signals(shutdown.clone(), hurry.clone()));
        App::prepare(config).await?.run(shutdown, hurry).await
    })
}

/// The first signal stops new work, the second ends the grace time of running builds, the third
/// the process.
async fn cancel_on_signals(shutdown: CancellationToken, hurry: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        tracing::warn!("signals cannot be received; end the service with SIGKILL");
        return;
    };
    for stage in 1.. {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        match stage {
            1 => {
                tracing::info!("told to end; running builds may go on for their grace time");
                shutdown.cancel();
            }
            2 => {
                tracing::warn!("told to end again; running builds have no more time");
                hurry.cancel();
            }
            _ => {
                tracing::warn!("told to end a third time; ending at once");
                std::process::exit(1);
            }
        }
    }
}

/// The connections that the descriptors leave room for; says so where that is less than the service is made for.
fn connection_limits(open_files: u64, stream_clients: usize) -> ConnectionLimits {
    let limits = ConnectionLimits::within(open_files, stream_clients);
    let wanted = ConnectionLimits::open_files_wanted(stream_clients);
    if open_files < wanted {
        tracing::warn!(
            open_files,
            connections = limits.total,
            "the limit of open files is low: the service takes {} connections at a time and closes idle \
             ones for new ones. Raise it to {wanted} (LimitNOFILE= of the systemd unit, --ulimit nofile= of \
             the container). 进程可打开的文件数上限过低：最多同时接受 {} 个连接，请将上限提高到 {wanted}。",
            limits.total,
            limits.total,
        );
    }
    limits
}

/// Listens on an address.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A restart takes the port again while connections of the last run are being forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING_CONNECTIONS)
}

/// Takes the base directory for this process alone: a second one would take the first one's
/// running builds for lost.
pub(crate) fn lock(base_dir: &Path) -> Result<File> {
    let path = base_dir.join("fastbuild.lock");
    let file = File::create(&path)
        .with_context(|| format!("the lock file {} cannot be made", path.display()))?;
    file.try_lock().with_context(|| {
        format!(
            "another FastBuild runs on {}: end it, or give this one a base_dir of its own",
            base_dir.display()
        )
    })?;
    Ok(file)
}
