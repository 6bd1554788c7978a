//! A SQLite file of a story's own.

use std::path::PathBuf;

use fastbuild_store::{Seal, Store};
use sea_orm::{ConnectionTrait as _, Database};
use tempfile::TempDir;

use crate::parts::KEY;

/// A folder with a database file, which goes when the site is dropped.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("fastbuild.db")
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.file().display())
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url(), Seal::from_key(&KEY).unwrap())
            .await
            .unwrap()
    }

    /// Runs a statement beside the store, to make a database misbehave.
    pub(crate) async fn sql(&self, statement: &str) {
        let connection = Database::connect(self.url()).await.unwrap();
        connection.execute_unprepared(statement).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Whether a text stands anywhere in the database in the clear.
    pub(crate) fn holds(&self, text: &str) -> bool {
        ["", "-wal"].iter().any(|suffix| {
            let path = format!("{}{suffix}", self.file().display());
            std::fs::read(path)
                .unwrap()
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        })
    }

    /// From now on no row can be added to a table; the database says `induced`.
    pub(crate) async fn refuse_inserts(&self, table: &str) {
        self.sql(&format!(
            "CREATE TRIGGER induced BEFORE INSERT ON {table} \
             BEGIN SELECT RAISE(ABORT, 'induced'); END"
        ))
        .await;
    }

    /// The end of [`Site::refuse_inserts`].
    pub(crate) async fn take_inserts(&self, _table: &str) {
        self.sql("DROP TRIGGER induced").await;
    }
}
