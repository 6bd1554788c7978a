//! Databases of a measurement's own.

use anyhow::{Context as _, Result};
use fastbuild_store::{Seal, Store};
use fastbuild_testkit::{env::TestEnv, postgres::TestDatabase};
use jiff::Timestamp;
use sea_orm::ConnectionTrait as _;
use tempfile::TempDir;

/// Which database.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Where a database is; it goes when this is dropped.
enum Place {
    Sqlite(TempDir),
    Postgres(TestDatabase),
}

/// An empty database and the store on it, opened as the service opens it.
pub(crate) struct Database {
    pub(crate) kind: Kind,
    pub(crate) store: Store,
    place: Place,
}

impl Database {
    pub(crate) async fn create(kind: Kind) -> Result<Self> {
        let place = match kind {
            Kind::Sqlite => Place::Sqlite(tempfile::tempdir()?),
            Kind::Postgres => {
                let env = TestEnv::load()?;
                Place::Postgres(TestDatabase::create(env.postgres()?)?)
            }
        };
        let store = Store::open(&place.url(), Seal::from_key(&[7; 32])?).await?;
        Ok(Self { kind, store, place })
    }

    /// Runs a statement beside the store.
    pub(crate) async fn execute(&self, statement: &str) -> Result<()> {
        let connection = sea_orm::Database::connect(self.place.url()).await?;
        connection
            .execute_unprepared(statement)
            .await
            .with_context(|| format!("on {}", self.kind.name()))?;
        connection.close().await?;
        Ok(())
    }
}

impl Place {
    fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => {
                format!("sqlite://{}", folder.path().join("fastbuild.db").display())
            }
            Self::Postgres(database) => database.url.clone(),
        }
    }
}

/// So many seconds after some moment.
pub(crate) fn at(seconds: i64) -> Result<Timestamp> {
    Ok(Timestamp::from_second(1_795_426_000 + seconds)?)
}
