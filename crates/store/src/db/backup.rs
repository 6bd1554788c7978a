//! Backups of a SQLite database: made while the service runs, checked, and put back.
//!
//! `VACUUM INTO` (<https://sqlite.org/lang_vacuum.html#vacuuminto>) reads one moment of the database
//! and writes it as one complete file. A PostgreSQL database has `pg_dump`.

use std::{
    fs::OpenOptions,
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use fastbuild_spec::failure::{Failure, ReasonCode};
use jiff::Timestamp;
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend,
    EntityTrait as _, PaginatorTrait as _, QueryOrder as _, QuerySelect as _, Statement,
    sqlx::sqlite::SqliteConnectOptions,
};

use super::{connect::Place, seal::sync_folder, start, time::maybe_timestamp};
use crate::{
    Seal, StoreError,
    entity::{build, seal_check},
};

/// How long a backup waits for another process that has locked the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupContents {
    /// Bytes of the file.
    pub bytes: u64,
    /// Builds in it.
    pub builds: u64,
    /// When the newest of them was queued.
    pub newest_build: Option<Timestamp>,
}

/// A refusal of this room, in both languages.
pub(crate) fn refused(zh: impl Into<String>, en: impl Into<String>) -> StoreError {
    let failure = Failure::new(ReasonCode::Internal, zh, en).with_hint("", "");
    StoreError::Copy(Box::new(failure))
}

fn file_error(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::OpenFile {
        path: path.to_owned(),
        source,
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The SQLite file that a database URL names.
///
/// # Errors
/// [`StoreError::UnsupportedUrl`]; [`StoreError::Copy`] for a database that is no file.
pub fn database_file(url: &str) -> Result<PathBuf, StoreError> {
    match Place::parse(url)? {
        Place::File(path) => Ok(path),
        Place::Memory | Place::Server(_) => Err(refused(
            "数据库不是 SQLite 文件。PostgreSQL 请用 pg_dump 备份、pg_restore 恢复，并另行保存密钥文件。",
            "The database is no SQLite file. Back up PostgreSQL with pg_dump and restore it with pg_restore, and keep the key file apart.",
        )),
    }
}

/// Opens a file for reading only. `immutable` for one that nobody writes: no lock is taken and no
/// file made beside it.
pub(crate) async fn open_for_reading(
    path: &Path,
    immutable: bool,
) -> Result<DatabaseConnection, StoreError> {
    let file = path.to_owned();
    let mut options = ConnectOptions::new("sqlite::memory:");
    options
        .max_connections(2)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |_| {
            SqliteConnectOptions::new()
                .filename(&file)
                .read_only(true)
                .immutable(immutable)
                .busy_timeout(BUSY_TIMEOUT)
        });
    Database::connect(options)
        .await
        .map_err(|error| StoreError::of_file(error, path))
}

/// Writes one moment of the database at `url` into the new file `target` (mode 0600), also while
/// the service runs, and reads it back.
///
/// # Errors
/// [`StoreError::Copy`] when `target` is there already or the database is no file;
/// [`StoreError::OpenFile`], [`StoreError::CorruptFile`] and what the database says.
pub async fn backup(url: &str, target: &Path) -> Result<BackupContents, StoreError> {
    let source = database_file(url)?;
    if target.exists() {
        return Err(refused(
            format!(
                "文件 {} 已存在，不会被覆盖；请换一个文件名。",
                target.display()
            ),
            format!(
                "The file {} is there already and is not overwritten; name another one.",
                target.display()
            ),
        ));
    }
    let metadata = std::fs::metadata(&source).map_err(|error| file_error(&source, error))?;
    if metadata.len() == 0 {
        return Err(refused(
            format!("数据库 {} 是空文件。", source.display()),
            format!("The database {} is an empty file.", source.display()),
        ));
    }
    let draft = with_suffix(target, ".part");
    // Created here, so that nobody else can read it at any time.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(|error| file_error(&draft, error))?;
    let written = write_draft(&source, &draft).await;
    let contents = match written {
        Ok(contents) => contents,
        Err(error) => {
            std::fs::remove_file(&draft).ok();
            return Err(error);
        }
    };
    std::fs::File::open(&draft)
        .and_then(|file| file.sync_all())
        // Unlike a rename, a hard link never replaces what got there first.
        .and_then(|()| std::fs::hard_link(&draft, target))
        .and_then(|()| std::fs::remove_file(&draft))
        .and_then(|()| sync_folder(target))
        .map_err(|error| file_error(target, error))?;
    Ok(contents)
}

async fn write_draft(source: &Path, draft: &Path) -> Result<BackupContents, StoreError> {
    let connection = open_for_reading(source, false).await?;
    let statement = Statement::from_sql_and_values(
        DbBackend::Sqlite,
        "VACUUM INTO ?",
        [draft.to_string_lossy().into_owned().into()],
    );
    connection
        .execute_raw(statement)
        .await
        .map_err(|error| StoreError::of_file(error, source))?;
    connection.close().await?;
    inspect(draft, None).await
}

/// Reads a backup: that it is whole, of a schema this version knows, and where `seal` is given,
/// sealed with that key.
///
/// # Errors
/// [`StoreError::OpenFile`], [`StoreError::CorruptFile`], [`StoreError::NewerSchema`],
/// [`StoreError::WrongKey`].
pub async fn inspect(file: &Path, seal: Option<&Seal>) -> Result<BackupContents, StoreError> {
    let bytes = std::fs::metadata(file)
        .map_err(|error| file_error(file, error))?
        .len();
    let connection = open_for_reading(file, true).await?;
    start::check_integrity(&connection, file)
        .await
        .map_err(|error| error.in_file(file))?;
    start::check_schema(&connection, &file.display().to_string()).await?;
    let not_ours = |_| StoreError::CorruptFile {
        path: file.to_owned(),
        detail: "it holds no FastBuild database".to_owned(),
    };
    let canary = seal_check::Entity::find_by_id(1)
        .one(&connection)
        .await
        .map_err(not_ours)?;
    if let Some(seal) = seal {
        start::open_canary(canary, seal, file)?;
    }
    let builds = build::Entity::find().count(&connection).await?;
    let newest: Option<i64> = build::Entity::find()
        .select_only()
        .column(build::Column::CreatedAt)
        .order_by_desc(build::Column::Id)
        .into_tuple()
        .one(&connection)
        .await?;
    connection.close().await?;
    Ok(BackupContents {
        bytes,
        builds,
        newest_build: maybe_timestamp(newest)?,
    })
}

/// Puts a backup in the place of the database at `url`, which no process may have open. A database
/// that is there is moved aside, with its log, to the returned name.
///
/// # Errors
/// Those of [`inspect`]; nothing is changed then.
pub async fn restore(
    backup: &Path,
    url: &str,
    seal: &Seal,
    now: Timestamp,
) -> Result<(BackupContents, Option<PathBuf>), StoreError> {
    let database = database_file(url)?;
    let contents = inspect(backup, Some(seal)).await?;
    let draft = with_suffix(&database, ".part");
    copy_file(backup, &draft).map_err(|error| file_error(&draft, error))?;
    let aside = database
        .exists()
        .then(|| with_suffix(&database, &format!(".before-restore-{}", now.as_second())));
    let place = || {
        if let Some(aside) = &aside {
            for suffix in ["-wal", "-shm", ""] {
                let moved =
                    std::fs::rename(with_suffix(&database, suffix), with_suffix(aside, suffix));
                match moved {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        std::fs::rename(&draft, &database)?;
        sync_folder(&database)
    };
    place().map_err(|error| file_error(&database, error))?;
    Ok((contents, aside))
}

/// Copies a file to a new one that its owner alone can read, whole on the disk when it returns.
///
/// # Errors
/// What the system says.
pub fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut source = std::fs::File::open(from)?;
    let mut target = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(to)?;
    std::io::copy(&mut source, &mut target)?;
    target.sync_all()
}
