//! The description of the real parts that `cargo xtask env up` started: where they listen, who may log
//! in, and where the fixtures lie. The task runner writes it, tests read it, so the shape is here once.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Name of the description file inside the home folder of the parts.
pub const FILE_NAME: &str = "env.json";

/// Everything a test needs to know about the running parts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TestEnv {
    /// Six hexadecimal digits that tell this set of parts from others on the same machine.
    pub id: String,
    /// Folder under which everything of the parts lies.
    pub home: PathBuf,
    /// The Docker command line and its own configuration folder.
    pub docker: DockerCli,
    /// The engine that listens on plain TCP.
    pub engine_plain: EnginePart,
    /// The engine that listens with mutual TLS.
    pub engine_tls: EnginePart,
    /// The engine of a newer version that keeps images in containerd's store, on plain TCP; see
    /// [`Parts::engine_store`]. A description made before there was one lacks it.
    #[serde(default)]
    pub engine_store: Option<EnginePart>,
    /// The registry, with TLS and logins.
    pub registry: RegistryPart,
    /// Certificate files and the archives that `config-fastbuild` takes.
    pub certificates: CertificateFiles,
    /// The receiver of callbacks.
    pub callback: CallbackPart,
    /// The PostgreSQL server; none in a description that an earlier version wrote.
    #[serde(default)]
    pub postgres: Option<PostgresPart>,
    /// Names of the base images, without a registry in front; [`Parts::image`] adds it.
    pub images: ImageNames,
    /// A `base_dir` for the service with mirrors under `source/` and tools under `tools/`.
    pub base_dir: PathBuf,
}

/// The Docker command line as the parts use it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DockerCli {
    /// The program.
    pub binary: PathBuf,
    /// Its configuration folder (`DOCKER_CONFIG`), already logged in to the registry under both names.
    pub config_dir: PathBuf,
}

/// One Docker Engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnginePart {
    /// Its name in `cargo xtask env start NAME` and `stop NAME`.
    pub name: String,
    /// Host it listens on.
    pub host: String,
    /// TCP port it listens on.
    pub port: u16,
    /// `tcp://HOST:PORT`, as `DOCKER_HOST` wants it.
    pub docker_host: String,
    /// Its unix socket, without TLS.
    pub socket: PathBuf,
    /// Folder with `ca.pem`, `cert.pem` and `key.pem` (`DOCKER_CERT_PATH`); none on the plain engine.
    pub tls_dir: Option<PathBuf>,
    /// The bridge its containers are on.
    pub bridge: String,
    /// First three numbers of the bridge's /24 network, for example `172.30.7`.
    pub network: String,
}

/// The registry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistryPart {
    /// `127.0.0.1:PORT`, the address that a site configures as `registry`.
    pub registry: String,
    /// `localhost:PORT`, the same registry by host name, `registry_dns`.
    pub registry_dns: String,
    /// TCP port.
    pub port: u16,
    /// The user whom the service logs in as.
    pub user: Login,
    /// Another user with the same rights.
    pub second_user: Login,
    /// Folder of the registry's storage.
    pub storage: PathBuf,
}

/// A user name and password; printing it for debugging hides the password.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// User name.
    pub username: String,
    /// Password, made at random when the parts were first started.
    pub password: String,
}

impl Login {
    /// A user with a random password.
    pub fn random(username: &str) -> Self {
        Self {
            username: username.to_owned(),
            password: format!("{:032x}", rand::random::<u128>()),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Login")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Certificates of the parts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CertificateFiles {
    /// The authority that signed the engine's, the registry's and the client's certificate.
    pub ca: PathBuf,
    /// Client side of the TLS engine: `ca-jenkins.pem`, `cert-jenkins.pem`, `key-jenkins.pem`.
    pub client_tar: PathBuf,
    /// The same with the certificate of an unrelated authority as `ca-jenkins.pem`.
    pub wrong_ca_tar: PathBuf,
    /// The same with a client certificate that expired the day before it was made.
    pub expired_client_tar: PathBuf,
}

/// The receiver of callbacks: a POST to `URL/cb/TOKEN/...` is recorded under TOKEN; `GET URL/_received/TOKEN`
/// lists what came, `PUT URL/_mode/TOKEN` makes it fail.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CallbackPart {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// TCP port.
    pub port: u16,
    /// File with one JSON object per received request.
    pub log: PathBuf,
}

/// The PostgreSQL server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostgresPart {
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// The user, who may do everything there.
    pub user: Login,
    /// Folder of its programs: `psql`, `initdb`, `postgres`, `pg_isready`.
    pub programs: PathBuf,
    /// Folder of its data.
    pub folder: PathBuf,
}

/// The base images in the registry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageNames {
    /// Plain Debian 12.
    pub debian: String,
    /// Debian 12 with Python 3.11, pip and venv.
    pub python: String,
    /// Debian 12 with a non-root user, an entrypoint and a command.
    pub app: String,
    /// Looks like CentOS 7 and has a working yum with a small repository of its own at `/srv/repo`.
    pub centos: String,
    /// The same content as `debian`, in another project of the registry.
    pub private_debian: String,
}

impl ImageNames {
    /// All names.
    pub fn all(&self) -> [&str; 5] {
        [
            &self.debian,
            &self.python,
            &self.app,
            &self.centos,
            &self.private_debian,
        ]
    }
}

impl TestEnv {
    /// Reads the description that `cargo xtask env up` wrote.
    pub fn load() -> Result<Self> {
        Self::load_from(&home_dir()?)
    }

    /// Reads the description in the given home folder.
    pub fn load_from(home: &Path) -> Result<Self> {
        let file = home.join(FILE_NAME);
        let text = std::fs::read_to_string(&file).with_context(|| {
            format!(
                "the engines and the registry for the tests are not described in {}; start them with `cargo xtask env up`",
                file.display()
            )
        })?;
        serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is not a description this version reads; make it anew with `cargo xtask env down --purge` and `cargo xtask env up`",
                file.display()
            )
        })
    }

    /// The engine with containerd's image store.
    pub fn engine_store(&self) -> Result<&EnginePart> {
        self.engine_store.as_ref().with_context(|| {
            format!(
                "the parts in {} were started before there was an engine with containerd's image store; `cargo xtask env up` adds it",
                self.home.display()
            )
        })
    }

    /// All engines.
    pub fn engines(&self) -> impl Iterator<Item = &EnginePart> {
        [&self.engine_plain, &self.engine_tls]
            .into_iter()
            .chain(&self.engine_store)
    }

    /// The full name of an image in the registry by address, for example `127.0.0.1:25000/base/debian:12`.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.registry)
    }

    /// The full name of an image in the registry by host name, for example `localhost:25000/base/debian:12`.
    pub fn image_dns(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.registry_dns)
    }

    /// The program `uv`, in a folder `uv/` of its own as among the service's tools.
    pub fn uv(&self) -> PathBuf {
        self.uv_folder().join("uv")
    }

    /// That folder.
    pub fn uv_folder(&self) -> PathBuf {
        self.home.join("tools-beside/uv")
    }

    /// The PostgreSQL server.
    ///
    /// # Errors
    /// When `cargo xtask env up` of an earlier version wrote the description.
    pub fn postgres(&self) -> Result<&PostgresPart> {
        self.postgres
            .as_ref()
            .context("no PostgreSQL server was started yet; `cargo xtask env up` does it")
    }

    /// The Docker command line, pointed at one engine and at nothing of the user's own.
    pub fn docker(&self, engine: &EnginePart) -> Command {
        let mut command = Command::new(&self.docker.binary);
        for variable in [
            "DOCKER_CONTEXT",
            "DOCKER_TLS",
            "DOCKER_TLS_VERIFY",
            "DOCKER_CERT_PATH",
        ] {
            command.env_remove(variable);
        }
        command
            .env("DOCKER_CONFIG", &self.docker.config_dir)
            .env("DOCKER_HOST", &engine.docker_host);
        if let Some(tls_dir) = &engine.tls_dir {
            command
                .env("DOCKER_TLS_VERIFY", "1")
                .env("DOCKER_CERT_PATH", tls_dir);
        }
        command
    }
}

/// Home folder of the parts: `FASTBUILD_ENV_DIR`, or `.fastbuild-env` in the workspace's root, which is
/// looked for upwards from the package that is running.
pub fn home_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("FASTBUILD_ENV_DIR").filter(|dir| !dir.is_empty()) {
        return Ok(std::path::absolute(dir)?);
    }
    let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => std::env::current_dir()?,
    };
    for folder in start.ancestors() {
        if folder.join("Cargo.lock").exists() && folder.join("xtask").is_dir() {
            return Ok(folder.join(".fastbuild-env"));
        }
    }
    bail!(
        "no workspace root was found above {}; name the folder of the parts in FASTBUILD_ENV_DIR",
        start.display()
    )
}
