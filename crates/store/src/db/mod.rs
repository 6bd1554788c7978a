//! The database: opening and closing it, transactions, and what is asked of it as a whole.

pub mod backup;
pub(crate) mod connect;
pub(crate) mod copy;
pub(crate) mod dialect;
pub(crate) mod error;
pub(crate) mod paging;
pub(crate) mod seal;
pub(crate) mod start;
pub(crate) mod time;

use std::{path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbErr,
    EntityTrait as _, sea_query::OnConflict,
};
use sea_orm_migration::MigratorTrait as _;

use crate::{
    Seal, StoreError,
    cluster::{notify::Notifier, notify_postgres::PgNotifyBridge},
    db::{
        connect::{OpenFile, Place, ServerUrl, connect, connect_to_server, server_reason},
        seal::KeyFile,
        start::Expected,
        time::micros,
    },
    entity::counter,
    migration::Migrator,
};

/// Connections that read beside the one that writes.
const READERS: u32 = 4;
/// How long a trial write may take. Shorter than SQLite's wait for another process that has locked
/// the file.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The counter that a trial write sets.
const PROBE: &str = "write_probe";

/// What is remembered. Cheap to clone; clones share connections and notifications.
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
    /// The SQLite file.
    file: Option<OpenFile>,
    /// The PostgreSQL server.
    server: Option<ServerUrl>,
}

impl Store {
    /// Opens the database at `url` (`sqlite:///absolute/path.db`, `sqlite::memory:` or
    /// `postgres://user:password@host:port/database`), brings its tables up to date and checks
    /// that `seal` is the one its secrets were sealed with. A file is created (mode 0600) where
    /// there is none. Several processes may open one PostgreSQL database, also at once.
    ///
    /// # Errors
    /// [`StoreError::UnsupportedUrl`], [`StoreError::OpenFile`], [`StoreError::Unreachable`],
    /// [`StoreError::CorruptFile`], [`StoreError::NewerSchema`], [`StoreError::WrongKey`] and what
    /// the database says.
    pub async fn open(url: &str, seal: Seal) -> Result<Self, StoreError> {
        Self::open_expected(Place::parse(url)?, seal, Expected::Either).await
    }

    /// Opens the database of an installation, as [`Store::open`] does, with the key in `key_file`.
    /// Both are created on the first start. A start with one of them alone is refused: it would
    /// begin with nothing where something was, or could not open what is stored.
    ///
    /// # Errors
    /// Those of [`Store::open`]; [`StoreError::DatabaseMissing`], [`StoreError::KeyMissing`], and
    /// those of the key file.
    pub async fn open_installation(url: &str, key_file: &Path) -> Result<Self, StoreError> {
        let place = Place::parse(url)?;
        let key = KeyFile::load_or_draft(key_file)?;
        let expected = match (&place, key.is_draft()) {
            (Place::Memory, _) => Expected::Either,
            (_, true) => Expected::New(key_file),
            (_, false) => Expected::InUse(key_file),
        };
        let store = Self::open_expected(place, key.seal(), expected).await;
        // In place only now: a start that is killed before this one is the first start once more.
        match &store {
            Ok(_) => key.keep()?,
            Err(StoreError::KeyMissing { .. }) => key.discard(),
            Err(_) => {}
        }
        store
    }

    async fn open_expected(
        place: Place,
        seal: Seal,
        expected: Expected<'_>,
    ) -> Result<Self, StoreError> {
        let database = place.shown();
        let (writer, file) = match &place {
            Place::Server(url) => (connect_to_server(url).await?, None),
            Place::Memory => (connect(None, 1, false).await?, None),
            Place::File(path) => {
                if let Expected::InUse(key_file) = expected
                    && !path.exists()
                {
                    return Err(StoreError::DatabaseMissing {
                        database,
                        key_file: key_file.to_owned(),
                    });
                }
                let file = OpenFile::create(path)?;
                let writer = connect(Some(path), 1, false)
                    .await
                    .map_err(|error| StoreError::of_file(error, path))?;
                start::check_integrity(&writer, path)
                    .await
                    .map_err(|error| error.in_file(path))?;
                (writer, Some(file))
            }
        };
        let lock = dialect::hold(&writer, "schema").await?;
        start::check_schema(&writer, &database).await?;
        start::check_expected(&writer, &database, expected, &seal).await?;
        Migrator::up(&writer, None).await?;
        let readers = match &place {
            // Each connection to memory would be a database of its own.
            Place::Memory | Place::Server(_) => writer.clone(),
            Place::File(path) => connect(Some(path), READERS, true).await?,
        };
        let canary = start::check_seal(&writer, &seal).await?;
        if let Some(lock) = lock {
            lock.commit().await?;
        }
        let notifier = Notifier::default();
        let (bridge, server) = match place {
            Place::Server(url) => {
                let sender = start::fresh_name(&seal)?;
                let bridge =
                    PgNotifyBridge::new(url.expose().to_owned(), &writer, &notifier, &sender).await;
                (Some(Arc::new(bridge)), Some(url))
            }
            Place::File(_) | Place::Memory => (None, None),
        };
        Ok(Self {
            writer,
            readers,
            seal,
            notifier,
            installation: start::name_of(&canary),
            callers_clock: false,
            bridge,
            file,
            server,
        })
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

    /// Closes every connection, after the verbs under way, and leaves a SQLite database as one
    /// complete file without a write-ahead log. A store that is merely dropped loses nothing
    /// either, but its file is complete with its log only.
    ///
    /// # Errors
    /// What the database says.
    pub async fn close(&self) -> Result<(), StoreError> {
        if let Some(bridge) = &self.bridge {
            bridge.stop();
        }
        if self.file.is_none() {
            self.readers.close_by_ref().await?;
            return Ok(self.writer.close_by_ref().await?);
        }
        // A reader would hold the log open.
        self.readers.close_by_ref().await?;
        let checkpoint = self
            .writer
            .execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)")
            .await;
        self.writer.close_by_ref().await?;
        checkpoint?;
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
    ///
    /// # Errors
    /// What the database says.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.readers.ping().await?)
    }

    /// Whether the database can be written: a row is written and committed. For readiness; cheap
    /// enough for every few seconds.
    ///
    /// # Errors
    /// [`StoreError::FileMoved`], [`StoreError::WriteTimeout`] and what the database says: that its
    /// disk is full, that it is read-only, that it takes no connection.
    pub async fn write_probe(&self, now: Timestamp) -> Result<(), StoreError> {
        let write = async {
            let tx = self.begin().await?;
            counter::Entity::insert(counter::ActiveModel {
                name: Set(PROBE.to_owned()),
                value: Set(micros(now)),
            })
            .on_conflict(
                OnConflict::column(counter::Column::Name)
                    .update_column(counter::Column::Value)
                    .to_owned(),
            )
            .exec_without_returning(&tx)
            .await?;
            tx.commit().await?;
            Ok(())
        };
        match tokio::time::timeout(PROBE_TIMEOUT, write).await {
            Ok(written) => written,
            Err(_) => Err(self.timeout_reason().await),
        }
    }

    /// Why a trial write did not come to an end in its time.
    async fn timeout_reason(&self) -> StoreError {
        let timeout = StoreError::WriteTimeout {
            seconds: PROBE_TIMEOUT.as_secs(),
            shared: self.is_shared(),
        };
        let Some(url) = &self.server else {
            return timeout;
        };
        let unknown = DbErr::ConnectionAcquire(sea_orm::error::ConnAcquireErr::Timeout);
        match server_reason(url, unknown).await {
            DbErr::ConnectionAcquire(_) => timeout,
            source => StoreError::Unreachable {
                url: url.shown(),
                source,
            },
        }
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        if let Some(file) = &self.file {
            file.check()?;
        }
        let begun = dialect::begin_write(&self.writer).await;
        self.with_reason(begun).await
    }

    /// Begins a transaction that only reads: it sees one moment throughout.
    pub(crate) async fn begin_read(&self) -> Result<DatabaseTransaction, StoreError> {
        let begun = dialect::begin_read(&self.readers).await;
        self.with_reason(begun).await
    }

    /// Puts the server's own reason in the place of "timed out".
    async fn with_reason<T>(&self, result: Result<T, DbErr>) -> Result<T, StoreError> {
        match (result, &self.server) {
            (Ok(value), _) => Ok(value),
            (Err(error), None) => Err(error.into()),
            (Err(error), Some(url)) => Err(server_reason(url, error).await.into()),
        }
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
}
