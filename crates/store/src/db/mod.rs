//! Opening the database, and the one way transactions begin.

pub(crate) mod dialect;
pub(crate) mod paging;
pub(crate) mod seal;
pub(crate) mod time;

use std::{os::unix::fs::OpenOptionsExt as _, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait as _,
    sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use sea_orm_migration::MigratorTrait as _;

use crate::{
    Seal, StoreError,
    cluster::{notify::Notifier, notify_postgres::PgNotifyBridge},
    db::time::micros,
    entity::seal_check,
    migration::Migrator,
};

/// Connections that read beside the one that writes.
const READERS: u32 = 4;
/// How long a statement waits for another process that holds the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a verb waits for its turn at a connection.
const TURN_TIMEOUT: Duration = Duration::from_mins(1);
/// Connections to a PostgreSQL server, for reading and writing.
const SERVER_CONNECTIONS: u32 = 16;
/// How long a verb waits for a connection to a PostgreSQL server, a new one included.
const SERVER_TIMEOUT: Duration = Duration::from_secs(10);
/// What the canary says once it is open.
const CANARY: &[u8] = b"FastBuild";
/// Its place, for the seal.
const CANARY_PURPOSE: &str = "seal_checks.canary";

/// What is remembered. Cheap to clone; clones share connections and wake-ups.
#[derive(Debug, Clone)]
pub struct Store {
    /// SQLite has one writer at a time. One connection makes writers queue here, in order and
    /// without a busy loop, instead of failing with `database is locked`. On PostgreSQL readers
    /// and writers share their connections.
    writer: DatabaseConnection,
    readers: DatabaseConnection,
    pub(crate) seal: Seal,
    pub(crate) notifier: Notifier,
    installation: String,
    /// Whether leases go by the caller's clock even where the database has one of its own.
    callers_clock: bool,
    /// Forwards notifications between the processes on one database.
    bridge: Option<Arc<PgNotifyBridge>>,
}

/// Where the database is.
enum Place {
    File(PathBuf),
    Memory,
    /// A PostgreSQL server.
    Server(String),
}

/// A database URL as people may see it: what stands before an @ may be a user name and password.
fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        _ => url.to_owned(),
    }
}

impl Place {
    fn parse(url: &str) -> Result<Self, StoreError> {
        let unsupported = || StoreError::UnsupportedUrl { url: shown(url) };
        if url == "sqlite::memory:" {
            return Ok(Self::Memory);
        }
        if dialect::parse_postgres(url).is_some() {
            return Ok(Self::Server(url.to_owned()));
        }
        let path = url.strip_prefix("sqlite://").ok_or_else(unsupported)?;
        // SQLite would take what follows a question mark as options; a path with one is a slip.
        if path.len() < 2 || !path.starts_with('/') || path.contains('?') {
            return Err(unsupported());
        }
        Ok(Self::File(PathBuf::from(path)))
    }
}

impl Store {
    /// Opens the database at `url` (`sqlite:///absolute/path.db`, `sqlite::memory:` or
    /// `postgres://user:password@host:port/database`), brings its tables up to date and checks
    /// that `seal` is the one its secrets were sealed with. A file is made (mode 0600) where there
    /// is none. Several processes may open one PostgreSQL database, also at once.
    ///
    /// # Errors
    /// [`StoreError::UnsupportedUrl`], [`StoreError::OpenFile`], [`StoreError::Unreachable`],
    /// [`StoreError::WrongKey`] and what the database says.
    pub async fn open(url: &str, seal: Seal) -> Result<Self, StoreError> {
        let place = Place::parse(url)?;
        let writer = match &place {
            Place::Server(url) => connect_to_server(url).await?,
            _ => connect(&place, 1, false).await?,
        };
        let held = dialect::hold(&writer, "schema").await?;
        Migrator::up(&writer, None).await?;
        let server = match &place {
            Place::Server(url) => Some(url.clone()),
            _ => None,
        };
        let readers = match place {
            // Each connection to memory would be a database of its own.
            Place::Memory | Place::Server(_) => writer.clone(),
            Place::File(_) => connect(&place, READERS, true).await?,
        };
        let mut store = Self {
            writer,
            readers,
            seal,
            notifier: Notifier::default(),
            installation: String::new(),
            callers_clock: false,
            bridge: None,
        };
        let canary = store.check_seal().await?;
        if let Some(held) = held {
            held.commit().await?;
        }
        store.installation = name_of(&canary);
        if let Some(url) = server {
            let sender = name_of(&store.seal.seal(CANARY_PURPOSE, CANARY)?);
            let bridge = PgNotifyBridge::new(url, &store.writer, &store.notifier, &sender).await;
            store.bridge = Some(Arc::new(bridge));
        }
        Ok(store)
    }

    /// The same store with leases by the time that callers give, as on SQLite, also where the
    /// database has a clock of its own. For those who set the time.
    #[must_use]
    pub fn with_callers_clock(mut self) -> Self {
        self.callers_clock = true;
        self
    }

    /// Whether a database URL is one that [`Store::open`] takes; opens nothing.
    ///
    /// # Errors
    /// [`StoreError::UnsupportedUrl`].
    pub fn check_url(url: &str) -> Result<(), StoreError> {
        Place::parse(url).map(drop)
    }

    /// Closes every connection, after the verbs under way. A store that is merely dropped loses
    /// nothing either.
    pub async fn close(&self) -> Result<(), StoreError> {
        if let Some(bridge) = &self.bridge {
            bridge.stop();
        }
        self.readers.close_by_ref().await?;
        self.writer.close_by_ref().await?;
        Ok(())
    }

    /// A name of this database that no other has: what is made on an engine is marked with it,
    /// so that several installations can share one engine.
    pub fn installation(&self) -> &str {
        &self.installation
    }

    /// Whether other processes may work on the same database: on PostgreSQL. A SQLite file
    /// belongs to one process.
    pub fn is_shared(&self) -> bool {
        dialect::is_postgres(&self.writer)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.readers.ping().await?)
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        dialect::begin_write(&self.writer).await
    }

    /// Begins a transaction that only reads: it sees one moment throughout.
    pub(crate) async fn begin_read(&self) -> Result<DatabaseTransaction, DbErr> {
        dialect::begin_read(&self.readers).await
    }

    /// The time by which leases are given and end: the database's where it has a clock, since
    /// those who share it may have clocks that differ.
    pub(crate) async fn lease_time(
        &self,
        tx: &DatabaseTransaction,
        now: Timestamp,
    ) -> Result<i64, DbErr> {
        if self.callers_clock {
            return Ok(micros(now));
        }
        Ok(dialect::database_time(tx).await?.unwrap_or(micros(now)))
    }

    /// Where reads go that need no transaction.
    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.readers
    }

    /// Compares the seal with the one that sealed the canary, or makes the canary; the sealed
    /// canary.
    async fn check_seal(&self) -> Result<Vec<u8>, StoreError> {
        let tx = self.begin().await?;
        let canary = if let Some(row) = seal_check::Entity::find_by_id(1).one(&tx).await? {
            self.seal.open(CANARY_PURPOSE, &row.canary)?;
            row.canary
        } else {
            let canary = self.seal.seal(CANARY_PURPOSE, CANARY)?;
            seal_check::Entity::insert(seal_check::ActiveModel {
                id: Set(1),
                canary: Set(canary.clone()),
            })
            .exec_without_returning(&tx)
            .await?;
            canary
        };
        tx.commit().await?;
        Ok(canary)
    }
}

/// A name that no other has: behind its version byte a sealed canary has a random nonce. That of
/// the stored one was made once for each database.
fn name_of(canary: &[u8]) -> String {
    use std::fmt::Write as _;
    canary
        .iter()
        .skip(1)
        .take(8)
        .fold(String::new(), |mut name, byte| {
            // Writing to a string cannot fail.
            write!(name, "{byte:02x}").ok();
            name
        })
}

/// Opens a pool. The file is made here, before SQLite could make it readable by others; SQLite
/// gives its `-wal` and `-shm` files the same mode.
async fn connect(
    place: &Place,
    connections: u32,
    read_only: bool,
) -> Result<DatabaseConnection, StoreError> {
    let path = match place {
        Place::File(path) => {
            std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(path)
                .map_err(|source| StoreError::OpenFile {
                    path: path.clone(),
                    source,
                })?;
            Some(path.clone())
        }
        Place::Memory | Place::Server(_) => None,
    };
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
        .map_sqlx_sqlite_opts(move |defaults| {
            let options = match &path {
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
    Ok(Database::connect(options).await?)
}

/// Opens the connections to a PostgreSQL server.
async fn connect_to_server(url: &str) -> Result<DatabaseConnection, StoreError> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(SERVER_CONNECTIONS)
        .min_connections(0)
        .connect_timeout(SERVER_TIMEOUT)
        .acquire_timeout(SERVER_TIMEOUT)
        // A connection that the server or something between closed must not fail a verb.
        .test_before_acquire(true)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_postgres_opts(dialect::postgres_session);
    Database::connect(options)
        .await
        .map_err(|source| StoreError::Unreachable {
            url: shown(url),
            source,
        })
}
