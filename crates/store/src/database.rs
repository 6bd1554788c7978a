//! Opening the database, and the one way transactions begin.

use std::{os::unix::fs::OpenOptionsExt as _, path::PathBuf, time::Duration};

use sea_orm::{
    ActiveValue::Set,
    ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait as _,
    SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
    sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use sea_orm_migration::MigratorTrait as _;

use crate::{Seal, StoreError, entity::seal_check, migration::Migrator, wake::Wake};

/// Connections that read beside the one that writes.
const READERS: u32 = 4;
/// How long a statement waits for another process that holds the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a verb waits for its turn at a connection.
const TURN_TIMEOUT: Duration = Duration::from_mins(1);
/// What the canary says once it is open.
const CANARY: &[u8] = b"FastBuild";
/// Its place, for the seal.
const CANARY_PURPOSE: &str = "seal_checks.canary";

/// What is remembered. Cheap to clone; clones share connections and wake-ups.
#[derive(Debug, Clone)]
pub struct Store {
    /// SQLite has one writer at a time. One connection makes writers queue here, in order and
    /// without a busy loop, instead of failing with `database is locked`.
    writer: DatabaseConnection,
    readers: DatabaseConnection,
    pub(crate) seal: Seal,
    pub(crate) wake: Wake,
    installation: String,
}

/// Where the database is.
enum Place {
    File(PathBuf),
    Memory,
}

impl Place {
    fn parse(url: &str) -> Result<Self, StoreError> {
        let unsupported = || {
            // What stands before an @ may be a user name and password.
            let shown = match (url.split_once("://"), url.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
                _ => url.to_owned(),
            };
            StoreError::UnsupportedUrl { url: shown }
        };
        if url == "sqlite::memory:" {
            return Ok(Self::Memory);
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
    /// Opens the database at `url` (`sqlite:///absolute/path.db` or `sqlite::memory:`), makes it
    /// (mode 0600) where there is none, brings its tables up to date and checks that `seal` is
    /// the one its secrets were sealed with.
    ///
    /// # Errors
    /// [`StoreError::UnsupportedUrl`], [`StoreError::OpenFile`], [`StoreError::WrongKey`] and
    /// what the database says.
    pub async fn open(url: &str, seal: Seal) -> Result<Self, StoreError> {
        let place = Place::parse(url)?;
        let writer = connect(&place, 1, false).await?;
        Migrator::up(&writer, None).await?;
        let readers = match place {
            // Each connection to memory would be a database of its own.
            Place::Memory => writer.clone(),
            Place::File(_) => connect(&place, READERS, true).await?,
        };
        let mut store = Self {
            writer,
            readers,
            seal,
            wake: Wake::default(),
            installation: String::new(),
        };
        let canary = store.check_seal().await?;
        store.installation = installation(&canary);
        Ok(store)
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
        self.readers.close_by_ref().await?;
        self.writer.close_by_ref().await?;
        Ok(())
    }

    /// A name of this database that no other has: what is made on an engine is marked with it,
    /// so that several installations can share one engine.
    pub fn installation(&self) -> &str {
        &self.installation
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.readers.ping().await?)
    }

    /// Begins a transaction that writes. The lock is taken now: a transaction that reads first
    /// and writes later cannot find that somebody wrote in between.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.writer
            .begin_with_options(TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            })
            .await
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

/// Behind its version byte the sealed canary has a random nonce, made once for each database.
fn installation(canary: &[u8]) -> String {
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
        Place::Memory => None,
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
