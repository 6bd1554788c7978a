//! Bringing files into the catalog: which name may go where, and how a file gets there so that it
//! is there whole or not at all.
//!
//! A file is written beside the place it will have, under a name that no listing shows, and moved
//! there once all files of its request have arrived: the move is one step, so a build that reads
//! the catalog meanwhile finds the old file or the new one. What an upload leaves behind when it is
//! given up is removed at once; what a process that died left is swept at the next start.
//!
//! `place.rs` says which name may go where, `disk.rs` writes, moves and sweeps, `undo.rs` takes back
//! the files of a request of which not all could be moved.

mod disk;
mod place;
mod undo;

use fastbuild_spec::{
    failure::{Failure, FieldError, ReasonCode, Sentence},
    names::parse_file_name,
};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::{io::AsyncWriteExt as _, task::spawn_blocking};

pub(crate) use disk::is_arriving;
pub use disk::temporary_in;
pub use place::{FileType, UploadPlace};

use crate::builder::{Builder, internal};

/// Files of one request; each holds a descriptor until the last has arrived.
const FILES_AT_ONCE: usize = 64;

/// Why a part of a file was not taken.
#[derive(Debug)]
pub enum PartError {
    /// The upload is larger than its limit.
    TooLarge(Failure),
    /// It cannot be written.
    Unwritable(Failure),
}

/// Files on their way into the catalog. Dropped before [`Upload::finish`], they are gone.
#[derive(Debug)]
pub struct Upload {
    place: UploadPlace,
    arrived: Vec<Arrived>,
    left: u64,
}

#[derive(Debug)]
struct Arrived {
    name: String,
    file: NamedTempFile,
    sha256: String,
    size: u64,
}

/// One file on its way.
#[derive(Debug)]
pub struct IncomingFile<'a> {
    upload: &'a mut Upload,
    name: String,
    file: NamedTempFile,
    writer: tokio::fs::File,
    digest: Sha256,
    size: u64,
}

/// A file that is in the catalog now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedFile {
    /// Its name.
    pub name: String,
    /// SHA-256 of its content, as lower-case hexadecimal digits.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it took the place of another of that name.
    pub replaced: bool,
}

impl Builder {
    /// Where files of this type go. `installer` and `group` are for mirrors; for `get-pip.py` the
    /// group may be `pip2` or `pip3`, which it is unless given.
    ///
    /// # Errors
    /// `SpecInvalid` with every parameter that is missing or wrong.
    pub fn upload_place(
        &self,
        file_type: FileType,
        installer: Option<&str>,
        group: Option<&str>,
    ) -> Result<UploadPlace, Failure> {
        let options = self.options();
        place::find(
            &options.folders,
            options.limits.upload_bytes,
            file_type,
            installer,
            group,
        )
    }

    /// Removes what uploads to this catalog left behind whose process died, and takes back those
    /// of which only a part was in place. An upload that another
    /// process is receiving right now is let be.
    pub async fn sweep_uploads(&self) {
        let folders = self.options().folders.clone();
        let swept = spawn_blocking(move || disk::sweep(&folders)).await;
        if let Err(error) = swept {
            internal(&error);
        }
    }
}

impl Upload {
    /// Begins a file of this name.
    ///
    /// # Errors
    /// `SpecInvalid` for a name that may not go there, that was sent before, or beyond the number
    /// of files; `Internal` when nothing can be written there.
    pub async fn file(&mut self, name: &str) -> Result<IncomingFile<'_>, Failure> {
        let name = self.checked(name)?;
        let place = self.place.clone();
        let (file, writer) = blocking(move || disk::open(&place)).await?;
        Ok(IncomingFile {
            upload: self,
            name,
            file,
            writer: tokio::fs::File::from_std(writer),
            digest: Sha256::new(),
            size: 0,
        })
    }

    fn checked(&self, name: &str) -> Result<String, Failure> {
        let expected = self.place.kind.expected();
        let refused = |allowed| Failure::invalid_fields(&[FieldError::new("files", name, allowed)]);
        let name = match parse_file_name(name) {
            Ok(parsed) if self.place.kind.takes(&parsed) => parsed,
            _ => return Err(refused(expected)),
        };
        if self.arrived.iter().any(|arrived| arrived.name == name) {
            return Err(refused(Sentence::new("重复出现", "was sent twice")));
        }
        if self.arrived.len() == FILES_AT_ONCE {
            return Err(refused(Sentence::new(
                format!("超出一次最多 {FILES_AT_ONCE} 个文件的限制"),
                format!("is beyond the {FILES_AT_ONCE} files of one request"),
            )));
        }
        Ok(name)
    }

    /// Moves the files that arrived into place: all of them, or none, also when the process dies
    /// half way and starts again.
    ///
    /// # Errors
    /// `SpecInvalid` when none arrived, `Internal` when the folder cannot be written to.
    pub async fn finish(self) -> Result<Vec<UploadedFile>, Failure> {
        if self.arrived.is_empty() {
            let allowed = Sentence::new(
                "是必填项，应至少包含一个带文件名的文件",
                "is required: at least one file with its name",
            );
            return Err(Failure::invalid_fields(&[FieldError::without_value(
                "files", allowed,
            )]));
        }
        let uploaded = blocking(move || disk::install(self)).await?;
        for UploadedFile {
            name,
            sha256,
            size,
            replaced,
        } in &uploaded
        {
            tracing::info!(
                file = name,
                sha256,
                size_bytes = size,
                replaced,
                "file uploaded"
            );
        }
        Ok(uploaded)
    }
}

impl IncomingFile<'_> {
    /// Appends a part of its content.
    ///
    /// # Errors
    /// [`PartError`] beyond the size limit, or when the disk takes no more.
    pub async fn write(&mut self, part: &[u8]) -> Result<(), PartError> {
        let more = part.len() as u64;
        if more > self.upload.left {
            return Err(PartError::TooLarge(too_large(self.upload.place.size_limit)));
        }
        self.upload.left -= more;
        self.size += more;
        self.digest.update(part);
        self.writer.write_all(part).await.map_err(|error| {
            PartError::Unwritable(disk::unwritable(&self.upload.place.folder, &error))
        })
    }

    /// Has what arrived on disk; it is in the catalog once the whole upload is.
    ///
    /// # Errors
    /// `Internal` when the disk takes no more.
    pub async fn end(self) -> Result<(), Failure> {
        let Self {
            upload,
            name,
            file,
            mut writer,
            digest,
            size,
        } = self;
        let written = async {
            writer.flush().await?;
            writer.sync_all().await
        };
        written
            .await
            .map_err(|error| disk::unwritable(&upload.place.folder, &error))?;
        upload.arrived.push(Arrived {
            name,
            file,
            sha256: format!("{:x}", digest.finalize()),
            size,
        });
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(internal(&error)))
}

/// The refusal of an upload beyond its limit.
pub fn too_large(limit: u64) -> Failure {
    Failure::new(
        ReasonCode::SpecInvalid,
        format!("上传内容超过 {limit} 字节的上限。"),
        format!("The upload is larger than the limit of {limit} bytes."),
    )
    .with_culprit("files")
    .with_hint(
        "请分次上传较小的文件，或请管理员调高配置项 uploads.size_limit。",
        "Upload less at a time, or ask the operator to raise uploads.size_limit.",
    )
}

#[cfg(test)]
mod tests;
