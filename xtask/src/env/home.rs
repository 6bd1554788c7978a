//! The home folder of the parts: its layout, the description file in it, and one writer at a time.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fastbuild_testkit::env::{
    self, CallbackPart, CertificateFiles, DockerCli, EnginePart, ImageNames, Login, RegistryPart,
    TestEnv,
};
use fastbuild_testkit::ports::free_ports;

use super::certificates::Certificates;
use super::daemon::Daemon;
use super::{network, packages, postgres};

/// The folder under which everything of the parts lies.
pub(super) struct Home {
    root: PathBuf,
}

impl Home {
    pub(super) fn find() -> Result<Self> {
        Ok(Self {
            root: env::home_dir()?,
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes the folders.
    pub(super) fn create(&self) -> Result<()> {
        for folder in [
            "run",
            "logs",
            "cache",
            "cache/stamps",
            "certs",
            "docker-config",
            "work",
            "base_dir",
        ] {
            let path = self.path(folder);
            fs::create_dir_all(&path)
                .with_context(|| format!("the folder {} cannot be made", path.display()))?;
        }
        Ok(())
    }

    /// Waits until no other `env` command works on this folder; the lock ends with the returned file.
    pub(super) fn lock(&self) -> Result<File> {
        fs::create_dir_all(&self.root)
            .with_context(|| format!("the folder {} cannot be made", self.root.display()))?;
        let file = File::create(self.path("lock"))?;
        file.lock()?;
        Ok(file)
    }

    pub(super) fn certificates(&self) -> Certificates {
        Certificates::new(self.path("certs"))
    }

    pub(super) fn daemon(&self, name: &str) -> Daemon {
        Daemon::new(&self.path("run"), &self.path("logs"), name)
    }

    /// The description file, if `env up` wrote one.
    pub(super) fn env(&self) -> Result<Option<TestEnv>> {
        if !self.path(env::FILE_NAME).exists() {
            return Ok(None);
        }
        let env = TestEnv::load_from(&self.root)?;
        if env.home != self.root {
            bail!(
                "{} describes parts in {}: the folder was moved; remove it and run `cargo xtask env up`",
                self.path(env::FILE_NAME).display(),
                env.home.display()
            );
        }
        Ok(Some(env))
    }

    /// The description as it is, or a new one with free ports, free networks and random passwords.
    pub(super) fn parts_or_new(&self) -> Result<TestEnv> {
        let mut env = match self.env()? {
            Some(env) => env,
            None => self.new_parts()?,
        };
        if env.engine_store.is_none() {
            let [port] = free_ports()?;
            let [network] = network::free_networks()?;
            env.engine_store = Some(engine_part(&env.id, "engine-c", port, network, None));
        }
        if env.postgres.is_none() {
            env.postgres = Some(postgres::new_part(self)?);
        }
        Ok(env)
    }

    fn new_parts(&self) -> Result<TestEnv> {
        let id = format!("{:06x}", rand::random::<u32>() & 0x00ff_ffff);
        let [plain, tls, registry, callback] = free_ports()?;
        let [plain_network, tls_network] = network::free_networks()?;
        let certificates = self.certificates();
        Ok(TestEnv {
            home: self.root.clone(),
            docker: DockerCli {
                binary: packages::docker()?,
                config_dir: self.path("docker-config"),
            },
            engine_plain: engine_part(&id, "engine-a", plain, plain_network, None),
            engine_tls: engine_part(
                &id,
                "engine-b",
                tls,
                tls_network,
                Some(certificates.docker_client()),
            ),
            engine_store: None,
            registry: RegistryPart {
                registry: format!("127.0.0.1:{registry}"),
                registry_dns: format!("localhost:{registry}"),
                port: registry,
                user: Login::random("fastbuild"),
                second_user: Login::random("second"),
                storage: self.path("registry-data"),
            },
            certificates: CertificateFiles {
                ca: certificates.ca(),
                client_tar: certificates.client_tar(),
                wrong_ca_tar: certificates.wrong_ca_tar(),
                expired_client_tar: certificates.expired_client_tar(),
            },
            callback: CallbackPart {
                url: format!("http://127.0.0.1:{callback}"),
                port: callback,
                log: self.path("logs/callbacks.jsonl"),
            },
            postgres: None,
            images: ImageNames {
                debian: "base/debian:12".to_owned(),
                python: "base/python:3.11".to_owned(),
                app: "base/app:1".to_owned(),
                centos: "base/centos:7.9.2009".to_owned(),
                private_debian: "private/debian:12".to_owned(),
            },
            base_dir: self.path("base_dir"),
            id,
        })
    }

    /// Writes the description; only its owner may read it.
    pub(super) fn write_parts(&self, env: &TestEnv) -> Result<()> {
        write_private(
            &self.path(env::FILE_NAME),
            &serde_json::to_string_pretty(env)?,
        )
    }

    /// Makes the short way to this folder: a socket's path may have 107 bytes, and the clone may lie deep.
    pub(super) fn link_short_path(&self, env: &TestEnv) -> Result<()> {
        let link = short_path(&env.id);
        if fs::read_link(&link).is_ok_and(|target| target == self.root) {
            return Ok(());
        }
        symlink(&self.root, &link).with_context(|| {
            format!(
                "the link {} to {} cannot be made",
                link.display(),
                self.root.display()
            )
        })
    }
}

/// An engine of this name, reached by this port.
fn engine_part(
    id: &str,
    name: &str,
    port: u16,
    network: String,
    tls_dir: Option<PathBuf>,
) -> EnginePart {
    EnginePart {
        name: name.to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        docker_host: format!("tcp://127.0.0.1:{port}"),
        socket: short_path(id).join(format!("run/{name}.sock")),
        tls_dir,
        bridge: format!("fb{id}{}", name.trim_start_matches("engine-")),
        network,
    }
}

/// The short way to the home folder.
pub(super) fn short_path(id: &str) -> PathBuf {
    PathBuf::from(format!("/run/fastbuild-env-{id}"))
}

/// Writes a file that only its owner may read, whole or not at all.
pub(super) fn write_private(file: &Path, content: &str) -> Result<()> {
    let draft = file.with_extension("draft");
    // A draft left by an interrupted run may have another mode.
    let _ = fs::remove_file(&draft);
    let mut opened = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .with_context(|| format!("{} cannot be written", draft.display()))?;
    opened.write_all(content.as_bytes())?;
    Ok(fs::rename(&draft, file)?)
}
