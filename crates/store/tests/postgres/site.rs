//! A PostgreSQL database of a story's own.

use fastbuild_store::{Seal, Store};
use fastbuild_testkit::{env::TestEnv, postgres::TestDatabase};
use sea_orm::{ConnectionTrait as _, Database};

use crate::parts::KEY;

/// A database on the server of the parts, which goes when the site is dropped.
pub(crate) struct Site {
    database: TestDatabase,
}

impl Site {
    pub(crate) fn new() -> Self {
        let env = TestEnv::load().unwrap();
        Self {
            database: TestDatabase::create(env.postgres().unwrap()).unwrap(),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.database.url.clone()
    }

    /// Stories set the time; leases go by what they set.
    pub(crate) async fn open(&self) -> Store {
        self.open_as_served().await.with_callers_clock()
    }

    /// As the service opens it: leases go by the database's clock.
    pub(crate) async fn open_as_served(&self) -> Store {
        Store::open(&self.url(), Seal::from_key(&KEY).unwrap())
            .await
            .unwrap()
    }

    /// Runs statements beside the store, to make a database misbehave.
    pub(crate) async fn sql(&self, statements: &str) {
        let connection = Database::connect(self.url()).await.unwrap();
        connection.execute_unprepared(statements).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Whether a text stands anywhere in the database in the clear; bytes are dumped in
    /// hexadecimal.
    pub(crate) fn holds(&self, text: &str) -> bool {
        use std::fmt::Write as _;
        let dump = self.database.dump().unwrap();
        let hexadecimal = text.bytes().fold(String::new(), |mut hexadecimal, byte| {
            write!(hexadecimal, "{byte:02x}").unwrap();
            hexadecimal
        });
        dump.contains(text) || dump.contains(&hexadecimal)
    }

    /// Cuts every connection to the database.
    pub(crate) fn cut_connections(&self) {
        self.database.cut_connections().unwrap();
    }

    /// From now on no row can be added to a table; the database says `induced`.
    pub(crate) async fn refuse_inserts(&self, table: &str) {
        self.sql(&format!(
            "CREATE OR REPLACE FUNCTION induced() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'induced'; END $$; \
             CREATE TRIGGER induced BEFORE INSERT ON {table} \
             FOR EACH ROW EXECUTE FUNCTION induced()"
        ))
        .await;
    }

    /// The end of [`Site::refuse_inserts`].
    pub(crate) async fn take_inserts(&self, table: &str) {
        self.sql(&format!("DROP TRIGGER induced ON {table}")).await;
    }
}
