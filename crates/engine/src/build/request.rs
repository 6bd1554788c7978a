//! Input and result of a build.

use std::{fs::File, io, path::PathBuf};

use bytes::Bytes;
use fastbuild_spec::{plan::Dialect, reference::ImageReference, settings::RegistrySettings};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

/// Everything an engine needs to make an image.
#[derive(Debug, Clone)]
pub struct ImageBuild {
    /// The Dockerfile's text; without a `# syntax=` line, so that the engine's own frontend reads it.
    pub dockerfile: String,
    /// The files of its context.
    pub files: Vec<BuildFile>,
    /// The secrets it mounts: id and value. Only BuildKit takes them.
    pub secrets: Vec<(String, SecretString)>,
    /// The base image, as the Dockerfile's `FROM` names it; `scratch` is none.
    pub base: ImageReference,
    /// The name the image gets on the engine.
    pub tag: ImageReference,
    /// The registry a private base image lies in; its account is offered under both its names
    /// and to no other host.
    pub registry: Option<RegistrySettings>,
    /// Which builder makes it.
    pub dialect: Dialect,
    /// How its layers are packed while it is built, on an engine that can ([`crate::EngineInfo::packs`]);
    /// `None` leaves packing to the push.
    pub packing: Option<Compression>,
    /// Whether every step runs anew, whatever the engine has of earlier builds.
    pub no_cache: bool,
    /// The build's id: the value of [`crate::BUILD_LABEL`] on the image.
    pub build_id: String,
}

/// How the layers of an image are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// What every registry and every engine takes; at its fastest, which costs one byte in twenty.
    #[default]
    Gzip,
    /// Smaller and much faster; engines before 20.10 and old registries do not take it.
    Zstd,
}

impl Compression {
    /// Its name in `BuildKit`'s exporters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The exporter's level, where its own choice is not the best: packing is the longest part of many a
    /// build, and at the usual level gzip takes half as long again.
    pub(crate) fn level(self) -> Option<&'static str> {
        match self {
            Self::Gzip => Some("1"),
            Self::Zstd => None,
        }
    }
}

/// A file of a build context.
#[derive(Debug, Clone)]
pub struct BuildFile {
    /// Path in the context, with `/` between its parts, neither absolute nor with `..`.
    pub path: String,
    /// Unix permission bits.
    pub mode: u32,
    /// Where its bytes come from.
    pub source: FileSource,
}

/// Where a context file's bytes come from.
#[derive(Debug, Clone)]
pub enum FileSource {
    /// Held in memory.
    Memory(Bytes),
    /// A file on this machine's disk; streamed, never loaded as a whole.
    Disk(DiskFile),
}

/// A file on disk with what it holds. Its content decides whether an engine takes it for one that
/// it has already, never its time: copies, archives and scripts give different files the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes it had when it was read.
    pub size: u64,
    /// SHA-256 of its content.
    pub digest: [u8; 32],
}

impl FileSource {
    /// SHA-256 of its content.
    pub fn digest(&self) -> [u8; 32] {
        match self {
            Self::Memory(bytes) => Sha256::digest(bytes).into(),
            Self::Disk(file) => file.digest,
        }
    }
}

impl DiskFile {
    /// Reads a file to its end. Blocks.
    ///
    /// # Errors
    /// What the operating system says; `InvalidInput` for what is not a regular file.
    pub fn read(path: PathBuf) -> io::Result<Self> {
        let mut file = File::open(&path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not a regular file",
            ));
        }
        let mut hash = Sha256::new();
        let size = io::copy(&mut file, &mut hash)?;
        Ok(Self {
            path,
            size,
            digest: hash.finalize().into(),
        })
    }
}

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The engine's id of it, `sha256:...`.
    pub image_id: String,
    /// Bytes it takes on the engine.
    pub size: u64,
}
