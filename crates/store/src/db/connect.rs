//! Database URLs, the SQLite file, and the connection pools.
//!
//! POSIX takes all locks of a process on a file away when the process closes *any* descriptor of
//! it (SQLite, "How To Corrupt An SQLite Database File", 2.2). So nothing here or elsewhere in the
//! service opens the database file by hand once SQLite has it: a second process would find no lock,
//! take itself for the last user, and delete the write-ahead log under the service.

use std::{
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr,
    sqlx::{
        self, Connection as _, PgConnection,
        pool::PoolOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};
use secrecy::{ExposeSecret as _, SecretString};

use super::dialect;
use crate::StoreError;

/// How long a statement waits for another process that holds the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a verb waits for its turn at a connection.
const TURN_TIMEOUT: Duration = Duration::from_mins(1);
/// Connections to a PostgreSQL server, for reading and writing.
const SERVER_CONNECTIONS: u32 = 16;
/// How long a verb waits for a connection to a PostgreSQL server, a new one included.
const SERVER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may take to say why it takes no connection.
const REASON_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the database is.
pub(crate) enum Place {
    File(PathBuf),
    Memory,
    /// A PostgreSQL server.
    Server(ServerUrl),
}

/// A PostgreSQL URL. It may hold a password, so printing it shows none of it.
#[derive(Debug, Clone)]
pub(crate) struct ServerUrl(SecretString);

impl ServerUrl {
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The URL as people may see it.
    pub(crate) fn shown(&self) -> String {
        shown(self.expose())
    }
}

/// A database URL as people may see it: what stands before an @ may be a user name and password.
fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        _ => url.to_owned(),
    }
}

impl Place {
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let unsupported = || StoreError::UnsupportedUrl { url: shown(url) };
        if url == "sqlite::memory:" {
            return Ok(Self::Memory);
        }
        if dialect::parse_postgres(url).is_some() {
            return Ok(Self::Server(ServerUrl(url.into())));
        }
        let path = url.strip_prefix("sqlite://").ok_or_else(unsupported)?;
        // SQLite would take what follows a question mark as options; a path with one is a slip.
        if path.len() < 2 || !path.starts_with('/') || path.contains('?') {
            return Err(unsupported());
        }
        Ok(Self::File(PathBuf::from(path)))
    }

    /// The place as people may see it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory => "sqlite::memory:".to_owned(),
            Self::Server(url) => url.shown(),
        }
    }
}

/// The database file as it was when it was opened: one that is deleted or replaced meanwhile takes
/// every later write with it.
#[derive(Debug, Clone)]
pub(crate) struct OpenFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl OpenFile {
    /// Creates the file with mode 0600 where there is none, before SQLite could make it readable by
    /// others; SQLite gives its `-wal` and `-shm` files the same mode. Call it before the first
    /// connection.
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::OpenFile {
            path: path.to_owned(),
            source,
        };
        match std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
        {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        // `stat`, not `open`: see the module.
        let metadata = std::fs::metadata(path).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    /// # Errors
    /// [`StoreError::FileMoved`] when the path names another file by now, or none.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) if (metadata.dev(), metadata.ino()) == (self.device, self.inode) => Ok(()),
            _ => Err(StoreError::FileMoved {
                path: self.path.clone(),
            }),
        }
    }
}

/// Opens a pool of connections to a SQLite file (`None` for memory).
pub(crate) async fn connect(
    file: Option<&Path>,
    connections: u32,
    read_only: bool,
) -> Result<DatabaseConnection, DbErr> {
    let file = file.map(Path::to_owned);
    let mut options = ConnectOptions::new("sqlite::memory:");
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(TURN_TIMEOUT)
        // A database in memory lives as long as its connection.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_sqlite_pool_opts(discard_open_transactions)
        .map_sqlx_sqlite_opts(move |defaults| {
            let options = match &file {
                // Set as a path: in a URL, characters such as % would mean something else.
                Some(path) => SqliteConnectOptions::new().filename(path),
                None => defaults,
            };
            options
                .journal_mode(SqliteJournalMode::Wal)
                // In WAL mode a commit survives the end of the process with NORMAL as well;
                // only a power cut can take the last commits, and never the file's integrity.
                .synchronous(SqliteSynchronous::Normal)
                .busy_timeout(BUSY_TIMEOUT)
                .foreign_keys(true)
                .pragma("query_only", if read_only { "ON" } else { "OFF" })
        });
    Database::connect(options).await
}

/// Closes a connection that is still in a transaction when it comes back to its pool. SQLite may
/// roll back by itself (`SQLITE_FULL`, `SQLITE_IOERR`); the ROLLBACK that follows fails then, and sqlx
/// goes on counting an open transaction. On such a connection the next BEGIN would be a savepoint,
/// and everything from then on part of a transaction that nobody commits.
fn discard_open_transactions(options: PoolOptions<sqlx::Sqlite>) -> PoolOptions<sqlx::Sqlite> {
    options.after_release(|connection, _| {
        Box::pin(async move {
            // A rollback may still be on its way to the connection's thread; this comes after it.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

/// Opens the connections to a PostgreSQL server.
pub(crate) async fn connect_to_server(url: &ServerUrl) -> Result<DatabaseConnection, StoreError> {
    let mut options = ConnectOptions::new(url.expose());
    options
        .max_connections(SERVER_CONNECTIONS)
        .min_connections(0)
        .connect_timeout(SERVER_TIMEOUT)
        .acquire_timeout(SERVER_TIMEOUT)
        // A connection that the server or something between closed must not fail a verb.
        .test_before_acquire(true)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_postgres_pool_opts(|options| {
            options.after_release(|connection, _| {
                Box::pin(async move { Ok(!connection.is_in_transaction()) })
            })
        })
        .map_sqlx_postgres_opts(dialect::postgres_session);
    match Database::connect(options).await {
        Ok(connection) => Ok(connection),
        Err(error) => Err(StoreError::Unreachable {
            url: url.shown(),
            source: server_reason(url, error).await,
        }),
    }
}

/// Why a server takes no connection, in its own words. A pool that waits for a connection tells of
/// a timeout alone: it tries again and again, also after "too many connections", and drops what it
/// was told. So where `error` is such a timeout the server is asked once more, directly.
pub(crate) async fn server_reason(url: &ServerUrl, error: DbErr) -> DbErr {
    let timed_out = match &error {
        DbErr::ConnectionAcquire(_) => true,
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            matches!(&**error, sqlx::Error::PoolTimedOut)
        }
        _ => false,
    };
    let Some(options) = dialect::parse_postgres(url.expose()).filter(|_| timed_out) else {
        return error;
    };
    let asked = tokio::time::timeout(REASON_TIMEOUT, PgConnection::connect_with(&options)).await;
    match asked {
        Ok(Err(reason)) => DbErr::Conn(RuntimeErr::SqlxError(reason.into())),
        Ok(Ok(connection)) => {
            connection.close().await.ok();
            error
        }
        Err(_) => error,
    }
}
