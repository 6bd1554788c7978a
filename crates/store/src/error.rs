//! Why the store did not do what it was asked: one enum for faults, and small typed answers for
//! refusals a caller can act on.

use std::path::PathBuf;

use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    state::BuildState,
};

use crate::{BuildId, db::dialect::Conflict};

/// A fault of the store. Its text is for the log; people get [`StoreError::failure`].
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database URL is of a kind this version cannot open.
    #[error(
        "the database URL {url:?} cannot be used: write sqlite:///absolute/path/to/file.db, \
         sqlite::memory: or postgres://user:password@host:port/database"
    )]
    UnsupportedUrl {
        /// The URL, without user name and password.
        url: String,
    },
    /// The database file cannot be made or opened.
    #[error("the database file {} cannot be opened: {source}; check the folder and its permissions", path.display())]
    OpenFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database server does not take a connection.
    #[error(
        "the database {url} cannot be reached: {source}; check that the server runs, the address, \
         the account and that the database is there"
    )]
    Unreachable {
        /// The URL, without user name and password.
        url: String,
        /// What the server or the system said.
        source: sea_orm::DbErr,
    },
    /// The key file cannot be read or made.
    #[error("the key file {} cannot be used: {source}; check the folder and its permissions", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The key file can be read by other users of this machine.
    #[error(
        "the key file {} can be read by others (mode {mode:04o}): it opens every stored password; \
         run chmod 600 on it", path.display()
    )]
    KeyFileOpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key has the wrong length.
    #[error(
        "{place} holds {length} bytes where a key of exactly 32 bytes is needed; restore the original key"
    )]
    KeyLength {
        /// Where the key came from, in words.
        place: String,
        /// How many bytes it has.
        length: usize,
    },
    /// The key is not the one the stored secrets were sealed with.
    #[error(
        "the key does not open what is stored ({what}): it is not the key this database was made \
         with; restore the original key file, or start with a new database"
    )]
    WrongKey {
        /// Which sealed column.
        what: String,
    },
    /// A stored value cannot be read back.
    #[error("the stored {what} cannot be read: {detail}")]
    Corrupt {
        /// Which value.
        what: &'static str,
        /// Why.
        detail: String,
    },
    /// Everything else the database says.
    #[error("the database refused: {0}")]
    Database(#[from] sea_orm::DbErr),
}

impl StoreError {
    /// What a person is told. Says nothing of the database's own text, which is for the log.
    pub fn failure(&self) -> Failure {
        match self {
            Self::WrongKey { .. } => Failure::new(
                ReasonCode::Internal,
                "服务的密钥无法解开已保存的密码。",
                "The service's key does not open the stored passwords.",
            )
            .with_hint(
                "请管理员恢复原来的密钥文件后重启服务。",
                "Ask the operator to restore the original key file and to restart the service.",
            ),
            Self::Database(_) => Failure::new(
                ReasonCode::DatabaseUnavailable,
                "服务的数据库没有应答或拒绝了操作。",
                "The service's database did not answer, or refused.",
            ),
            _ => Failure::new(
                ReasonCode::Internal,
                "服务无法读写其数据库。",
                "The service could not read or write its database.",
            ),
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand over an error they are done with"
    )]
    pub(crate) fn corrupt(what: &'static str, detail: impl ToString) -> Self {
        Self::Corrupt {
            what,
            detail: detail.to_string(),
        }
    }
}

/// Why a write on behalf of an attempt was refused.
#[derive(Debug, thiserror::Error)]
pub enum FencedError {
    /// The build is no longer this attempt's: it was given to another, handed back or ended.
    /// Whoever gets this stops working on the build and writes nothing more.
    #[error("build {build_id} no longer belongs to attempt {attempt}")]
    Lost {
        /// The build.
        build_id: BuildId,
        /// The attempt that lost it.
        attempt: i64,
    },
    /// The transition table does not allow this step.
    #[error("build {build_id} cannot go from {from} to {to}")]
    NotAllowed {
        /// The build.
        build_id: BuildId,
        /// The state it is in.
        from: BuildState,
        /// The state asked for.
        to: BuildState,
    },
    /// A fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FencedError {
    /// Whether the attempt lost its build, rather than met a fault.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}

impl Conflict for StoreError {
    fn lost_a_conflict(&self) -> bool {
        matches!(self, Self::Database(error) if error.lost_a_conflict())
    }

    fn lost_the_connection(&self) -> bool {
        matches!(self, Self::Database(error) if error.lost_the_connection())
    }
}

impl Conflict for FencedError {
    fn lost_a_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.lost_a_conflict())
    }

    fn lost_the_connection(&self) -> bool {
        matches!(self, Self::Store(error) if error.lost_the_connection())
    }
}

impl Conflict for EnqueueError {
    fn lost_a_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.lost_a_conflict())
    }

    fn lost_the_connection(&self) -> bool {
        matches!(self, Self::Store(error) if error.lost_the_connection())
    }
}

/// What the caller is told. The store's own text goes to the log here, where it is dropped.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "database operation failed");
        error.failure()
    }
}

/// As for [`StoreError`]; a refusal is not logged.
impl From<EnqueueError> for Failure {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Store(error) => error.into(),
            refused @ EnqueueError::TargetTaken { .. } => refused.failure(),
        }
    }
}

impl From<sea_orm::DbErr> for FencedError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// Why a build was not queued.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// The target's name and tag are already an image some build made, or another build is
    /// making them.
    #[error("the target image {target} is taken by build {by}")]
    TargetTaken {
        /// `name:tag`.
        target: String,
        /// The build that has it.
        by: BuildId,
        /// Whether that build is still under way.
        under_way: bool,
    },
    /// A fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EnqueueError {
    /// What the caller is told.
    pub fn failure(&self) -> Failure {
        match self {
            Self::TargetTaken {
                target,
                by,
                under_way: true,
            } => Failure::new(
                ReasonCode::TargetTaken,
                format!("镜像名 {target} 已被使用，请更改名称或版本：任务 {by} 正在构建它。"),
                format!("The image name {target} is in use: task {by} is building it right now."),
            )
            .with_culprit(target.clone())
            .with_hint(
                "可用 task-details_by_task_id 查看该任务。",
                "Change the name or the tag; task-details_by_task_id tells about that task.",
            ),
            Self::TargetTaken {
                target,
                by,
                under_way: false,
            } => Failure::new(
                ReasonCode::TargetTaken,
                format!("镜像名 {target} 已被使用，请更改名称或版本：任务 {by} 已构建它。"),
                format!("The image name {target} is in use: task {by} has built it."),
            )
            .with_culprit(target.clone())
            .with_hint(
                "可用 task-details_by_task_id 查看该任务。",
                "Change the name or the tag; task-details_by_task_id tells about that task.",
            ),
            Self::Store(error) => error.failure(),
        }
    }
}

impl From<sea_orm::DbErr> for EnqueueError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Store(error.into())
    }
}
