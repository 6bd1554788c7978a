//! Uploads files into the catalog: which name may go where, and how a file gets there so that it
//! is there whole or not at all.
//!
//! A file is written beside its place under a name that no listing shows, and renamed once all files
//! of its request have arrived: a build that reads the catalog meanwhile finds the old file or the
//! new one. A request whose process dies between two renames has replaced some of its files; it
//! was not answered, and sending it again replaces them all. What an upload leaves behind when it is
//! given up is removed at once; what a process that died left is swept at the next start.
//!
//! `place.rs` says which name may go where; `disk.rs` writes, renames and sweeps.

mod disk;
mod place;

use fastbuild_spec::{
    failure::{Failure, FieldError, ReasonCode, Sentence},
    names::parse_file_name,
};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

pub use disk::temporary_in;
pub(super) use disk::{is_arriving, sweep};
pub(super) use place::find as find_place;
pub use place::{FileType, UploadPlace};

use super::blocking;

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

    /// Renames the files that arrived into place, each in one step.
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
