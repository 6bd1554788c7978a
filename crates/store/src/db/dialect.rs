//! What SQLite and PostgreSQL do not say alike, in one room. Everything else goes through
//! sea-orm's builder, which writes it for either.
//!
//! - SQLite has one writer: a transaction that writes takes the lock as it begins, and needs no
//!   other. On PostgreSQL writers run side by side; what several of them must not do at once is
//!   guarded by a locked row, or by [`one_at_a_time`] where there is no row yet.
//! - On SQLite all users of a database share one clock, the machine's. On PostgreSQL they may be
//!   on several machines: leases go by the database's own clock ([`database_time`]).

use std::{str::FromStr as _, time::Duration};

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    IsolationLevel, RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait as _,
    sqlx::{self, postgres::PgConnectOptions},
};

/// How long a connection may stand in the middle of a transaction before the server ends it: a
/// process that was cut off must not keep its locks.
const IDLE_IN_TRANSACTION: &str = "30s";
/// How long a statement waits for a lock before it fails and is tried again or reported.
const LOCK_TIMEOUT: &str = "20s";
/// The first wait before a transaction that lost a conflict is tried again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(5);
/// How often a transaction is tried that loses conflicts.
const TRIES: u32 = 8;
/// How often a transaction is tried whose connection is lost: some twenty seconds in all.
const CONNECTION_TRIES: u32 = 22;

/// Whether this is PostgreSQL.
pub(crate) fn is_postgres(connection: &impl ConnectionTrait) -> bool {
    connection.get_database_backend() == DbBackend::Postgres
}

/// Begins a transaction that writes. SQLite's lock is taken now: a transaction that reads first
/// and writes later cannot find that somebody wrote in between.
pub(crate) async fn begin_write(
    connection: &DatabaseConnection,
) -> Result<DatabaseTransaction, DbErr> {
    let mut options = TransactionOptions::default();
    if !is_postgres(connection) {
        options.sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
    }
    connection.begin_with_options(options).await
}

/// Begins a transaction that only reads and sees one moment throughout.
pub(crate) async fn begin_read(
    connection: &DatabaseConnection,
) -> Result<DatabaseTransaction, DbErr> {
    let mut options = TransactionOptions::default();
    if is_postgres(connection) {
        options.isolation_level = Some(IsolationLevel::RepeatableRead);
        options.access_mode = Some(AccessMode::ReadOnly);
    }
    connection.begin_with_options(options).await
}

/// Waits until no other transaction is in the part of this name, and keeps others out of it until
/// this one ends. SQLite's transactions that write are alone anyway.
pub(crate) async fn one_at_a_time(tx: &DatabaseTransaction, part: &str) -> Result<(), DbErr> {
    if is_postgres(tx) {
        tx.execute_raw(Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
            [format!("fastbuild/{part}").into()],
        ))
        .await?;
    }
    Ok(())
}

/// Like [`one_at_a_time`] for work that other connections do, and that may take long: held by the
/// returned transaction. `None` on SQLite, where one process owns the file's folder.
pub(crate) async fn hold(
    connection: &DatabaseConnection,
    part: &str,
) -> Result<Option<DatabaseTransaction>, DbErr> {
    if !is_postgres(connection) {
        return Ok(None);
    }
    let tx = connection.begin().await?;
    // Another process may be at it for as long as a migration takes.
    tx.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = 0")
        .await?;
    tx.execute_unprepared("SET LOCAL lock_timeout = 0").await?;
    one_at_a_time(&tx, part).await?;
    Ok(Some(tx))
}

/// The database's own time in microseconds since the epoch, as it passes; `None` on SQLite, whose
/// only clock is the caller's.
pub(crate) async fn database_time(connection: &impl ConnectionTrait) -> Result<Option<i64>, DbErr> {
    if !is_postgres(connection) {
        return Ok(None);
    }
    let row = connection
        .query_one_raw(Statement::from_string(
            DbBackend::Postgres,
            "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint",
        ))
        .await?
        .ok_or_else(|| DbErr::RecordNotFound("the database's time".to_owned()))?;
    row.try_get_by_index(0).map(Some)
}

/// Whether a whole transaction is done again: where it lost a conflict with another one (a
/// deadlock, a lock that did not come, a row that others changed), a few times. Nothing of a
/// transaction that lost is in the database.
///
/// ```ignore
/// let mut retry = Retry::default();
/// loop {
///     match self.try_claim(worker, lease_for, now).await {
///         Err(error) if retry.after(&error).await => {}
///         other => return other,
///     }
/// }
/// ```
#[derive(Debug, Default)]
pub(crate) struct Retry {
    tries: u32,
    over_lost_connections: bool,
}

impl Retry {
    /// For what an attempt writes while its build runs: a connection that was lost, or a server
    /// that starts anew, is outwaited as well, so that no build ends for it. Where the connection
    /// went with the answer, what was written is written once more: the fence keeps out who lost
    /// the build meanwhile, and a line too many in a log harms nobody.
    pub(crate) fn while_a_build_runs() -> Self {
        Self {
            tries: 0,
            over_lost_connections: true,
        }
    }

    /// Whether to try again after this error; waits a little before it says so.
    pub(crate) async fn after(&mut self, error: &(impl Conflict + Sync)) -> bool {
        self.tries += 1;
        let conflict = error.lost_a_conflict() && self.tries < TRIES;
        let lost = self.over_lost_connections
            && error.lost_the_connection()
            && self.tries < CONNECTION_TRIES;
        if !conflict && !lost {
            return false;
        }
        tracing::debug!(tries = self.tries, "a transaction is tried again");
        let wait = FIRST_WAIT * 2_u32.pow(self.tries.min(8));
        tokio::time::sleep(wait).await;
        true
    }
}

/// Errors that can tell whether trying again may help.
pub(crate) trait Conflict {
    /// Whether the transaction lost a conflict with another.
    fn lost_a_conflict(&self) -> bool;
    /// Whether the connection went, or the server is not there.
    fn lost_the_connection(&self) -> bool;
}

impl Conflict for DbErr {
    fn lost_a_conflict(&self) -> bool {
        matches!(
            code(self).as_deref(),
            // serialization_failure, deadlock_detected, lock_not_available
            Some("40001" | "40P01" | "55P03")
        )
    }

    fn lost_the_connection(&self) -> bool {
        match self {
            Self::Conn(_) | Self::ConnectionAcquire(_) => true,
            Self::Exec(RuntimeErr::SqlxError(error))
            | Self::Query(RuntimeErr::SqlxError(error)) => {
                match &**error {
                    // connection_exception; admin_shutdown, crash_shutdown, cannot_connect_now
                    sqlx::Error::Database(error) => error
                        .code()
                        .is_some_and(|code| code.starts_with("08") || code.starts_with("57P0")),
                    other => matches!(
                        other,
                        sqlx::Error::Io(_)
                            | sqlx::Error::Protocol(_)
                            | sqlx::Error::PoolTimedOut
                            | sqlx::Error::WorkerCrashed
                    ),
                }
            }
            _ => false,
        }
    }
}

/// The database's code of an error.
fn code(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return None;
    };
    let sqlx::Error::Database(error) = &**error else {
        return None;
    };
    error.code().map(std::borrow::Cow::into_owned)
}

/// A text as every database can keep it: PostgreSQL's texts cannot hold the character NUL.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// What a PostgreSQL URL says; `None` for what is no such URL.
pub(crate) fn parse_postgres(url: &str) -> Option<PgConnectOptions> {
    let is_ours = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    if !is_ours {
        return None;
    }
    PgConnectOptions::from_str(url).ok()
}

/// A PostgreSQL connection as this service wants it, beside what its URL says.
pub(crate) fn postgres_session(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("fastbuild").options([
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
        ("lock_timeout", LOCK_TIMEOUT),
        // A server that notices soon that its client is gone frees the client's locks.
        ("tcp_keepalives_idle", "15"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
    ])
}
