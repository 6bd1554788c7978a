//! Why the store did not do what it was asked: one enum for faults, and small typed answers for
//! refusals a caller can act on.

use std::path::{Path, PathBuf};

use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    state::BuildState,
};

use crate::{
    BuildId,
    db::{dialect::Conflict, error::Fault},
};

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
    /// The file is no SQLite database, or a damaged one.
    #[error(
        "the database file {} is damaged: {detail}; move it aside and keep it, check the disk, and \
         restore the newest backup with `fastbuild restore FILE`", path.display()
    )]
    CorruptFile {
        /// The file.
        path: PathBuf,
        /// What the check found.
        detail: String,
    },
    /// The file was deleted or replaced while the service has it open.
    #[error(
        "the database file {} was deleted or replaced while the service runs: nothing more is written, \
         since it would be lost; stop the service, put the file back or restore the newest backup with \
         `fastbuild restore FILE`, and start it again", path.display()
    )]
    FileMoved {
        /// The file.
        path: PathBuf,
    },
    /// A newer version has worked with the database.
    #[error(
        "the database {database} was made by a newer version of FastBuild (schema {version}), which \
         this one does not know; run the newer version, or restore the backup from before the upgrade"
    )]
    NewerSchema {
        /// The database, without user name and password.
        database: String,
        /// The newest step of its schema.
        version: String,
    },
    /// There is a key and no database that it belongs to.
    #[error(
        "the key file {} is there, but the database {database} is missing or empty: starting would begin \
         with nothing; put the database back or restore the newest backup with `fastbuild restore FILE`. \
         To begin anew, move the key file away", key_file.display()
    )]
    DatabaseMissing {
        /// The database, without user name and password.
        database: String,
        /// The key file.
        key_file: PathBuf,
    },
    /// There is a database, and the key that its secrets are sealed with is missing.
    #[error(
        "the database {database} is there, but its key file {} is missing: stored passwords could not be \
         opened; put the original key file back (mode 0600)", key_file.display()
    )]
    KeyMissing {
        /// The database, without user name and password.
        database: String,
        /// The key file.
        key_file: PathBuf,
    },
    /// A trial write did not come to an end.
    #[error("a trial write to the database did not end within {seconds} seconds")]
    WriteTimeout {
        /// The limit.
        seconds: u64,
        /// Whether the database is a server.
        shared: bool,
    },
    /// A backup, restore or move cannot be done.
    #[error("{0}")]
    Copy(Box<Failure>),
    /// Everything else the database says.
    #[error("the database refused: {0}")]
    Database(#[from] sea_orm::DbErr),
}

impl StoreError {
    /// What a person is told, in both languages. Says nothing of the database's own text, which is
    /// for the log, but for a server's reason not to take a connection.
    pub fn failure(&self) -> Failure {
        let internal = |zh: String, en: String| Failure::new(ReasonCode::Internal, zh, en);
        let unavailable =
            |zh: String, en: String| Failure::new(ReasonCode::DatabaseUnavailable, zh, en);
        match self {
            Self::WrongKey { .. } => internal(
                "服务的密钥无法解开已保存的密码。".to_owned(),
                "The service's key does not open the stored passwords.".to_owned(),
            )
            .with_hint(
                "请管理员恢复原来的密钥文件后重启服务。",
                "Ask the operator to restore the original key file and to restart the service.",
            ),
            Self::Database(error) => Fault::of(error).failure(),
            Self::Unreachable { url, source } => {
                Fault::of(source).failure().with_culprit(url.clone())
            }
            Self::CorruptFile { path, .. } => Fault::Corrupt
                .failure()
                .with_culprit(path.display().to_string()),
            Self::FileMoved { path } => unavailable(
                format!("服务运行期间，数据库文件 {} 被删除或替换，服务已停止写入以免丢失数据。", path.display()),
                format!("The database file {} was deleted or replaced while the service runs; nothing more is written, since it would be lost.", path.display()),
            )
            .with_hint(
                "请管理员停止服务，放回原文件或用 fastbuild restore 恢复最近的备份，再启动服务。",
                "Ask the operator to stop the service, to put the file back or to restore the newest backup with fastbuild restore, and to start it again.",
            ),
            Self::NewerSchema { database, version } => internal(
                format!("数据库 {database} 由更新版本的 FastBuild 创建（结构 {version}），本版本无法识别。"),
                format!("The database {database} was made by a newer version of FastBuild (schema {version}), which this one does not know."),
            )
            .with_hint(
                "请运行新版本，或恢复升级前的备份。",
                "Run the newer version, or restore the backup from before the upgrade.",
            ),
            Self::DatabaseMissing { database, key_file } => internal(
                format!("密钥文件 {} 存在，但数据库 {database} 不存在或为空；继续启动将丢弃原有数据，因此停止。", key_file.display()),
                format!("The key file {} is there, but the database {database} is missing or empty; starting would begin with nothing.", key_file.display()),
            )
            .with_hint(
                "请放回数据库，或用 fastbuild restore 恢复最近的备份；如确要重新开始，请先移走密钥文件。",
                "Put the database back, or restore the newest backup with fastbuild restore; to begin anew, move the key file away first.",
            ),
            Self::KeyMissing { database, key_file } => internal(
                format!("数据库 {database} 存在，但密钥文件 {} 不存在，已保存的密码无法解开。", key_file.display()),
                format!("The database {database} is there, but its key file {} is missing: stored passwords could not be opened.", key_file.display()),
            )
            .with_hint(
                "请放回原来的密钥文件（权限 0600）后再启动。",
                "Put the original key file back (mode 0600), then start again.",
            ),
            Self::WriteTimeout { seconds, shared: false } => unavailable(
                format!("向数据库试写在 {seconds} 秒内没有完成。"),
                format!("A trial write to the database did not end within {seconds} seconds."),
            )
            .with_hint(
                "可能有另一个进程锁定了数据库文件（请用 fuser 或 lsof 查看），或磁盘没有响应。",
                "Another process may have locked the database file (fuser or lsof shows which), or the disk does not answer.",
            ),
            Self::WriteTimeout { seconds, shared: true } => unavailable(
                format!("向数据库试写在 {seconds} 秒内没有完成。"),
                format!("A trial write to the database did not end within {seconds} seconds."),
            )
            .with_hint(
                "请检查 PostgreSQL 服务器是否运行、是否可达，以及是否有长时间持锁的会话。",
                "Check that the PostgreSQL server runs and can be reached, and whether a session holds locks for long.",
            ),
            Self::Copy(failure) => (**failure).clone(),
            Self::UnsupportedUrl { .. }
            | Self::OpenFile { .. }
            | Self::KeyFile { .. }
            | Self::KeyFileOpenToOthers { .. }
            | Self::KeyLength { .. }
            | Self::Corrupt { .. } => internal(
                "服务无法读写其数据库。".to_owned(),
                "The service could not read or write its database.".to_owned(),
            ),
        }
    }

    /// What opening a file came to: one that is damaged or no database is named.
    pub(crate) fn of_file(error: sea_orm::DbErr, path: &Path) -> Self {
        if Fault::of(&error) == Fault::Corrupt {
            return Self::CorruptFile {
                path: path.to_owned(),
                detail: error.to_string(),
            };
        }
        error.into()
    }

    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Database(error) => Self::of_file(error, path),
            other => other,
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
