//! Taking over what an old installation remembers: its SQLite file, table by table, into ours.
//!
//! Everything is one transaction; a dry run is the same one, rolled back, so that its report is
//! the real one. Which rows were taken is remembered, and a second run takes none twice. A row
//! that cannot be taken is named with its reason; no row makes the import fail.

mod builds;
mod callbacks;
mod images;
mod profiles;
mod report;
mod settings;
mod source;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use fastbuild_spec::settings::CallbackHeaders;
use jiff::{Timestamp, tz::TimeZone};
use sea_orm::{ActiveValue::Set, DatabaseTransaction, EntityTrait as _};

use crate::{NewSettings, Store, StoreError, entity::imported_row};

pub use report::{ImportReport, TableReport};
use source::{OldDatabase, OldRow};

/// An old installation, as its files say.
#[derive(Debug, Clone)]
pub struct OldInstallation {
    /// Its SQLite file; only ever read.
    pub database: PathBuf,
    /// Where TLS files lie that its rows name by relative paths.
    pub tls_dir: Option<PathBuf>,
    /// Settings that stand in its ini; taken where its tables have no row of a kind.
    pub ini: NewSettings,
    /// The zone its times are in: they are written without one.
    pub zone: TimeZone,
}

/// What came of one row: taken, with remarks, or why not.
type Fate = Result<Vec<String>, String>;

impl Store {
    /// Reads an old installation's rows into this database, all in one transaction; without
    /// `apply` the transaction is rolled back and only the report remains. `default_headers` are
    /// those this installation began with, which do not count as set by anybody.
    ///
    /// # Errors
    /// When the old file is no readable SQLite database, or this one fails. Rows that cannot be
    /// taken are no error.
    pub async fn import_legacy(
        &self,
        old: &OldInstallation,
        default_headers: &CallbackHeaders,
        apply: bool,
        now: Timestamp,
    ) -> Result<ImportReport, StoreError> {
        let source = OldDatabase::open(&old.database).await?;
        let tx = self.begin().await?;
        let mut importer = Importer::begin(self, &tx, old, now).await?;
        let mut tables = settings::import(&mut importer, &source, default_headers).await?;
        let builds = builds::import(&mut importer, &source).await?;
        tables.extend(builds);
        tables.extend(images::import(&mut importer, &source).await?);
        tables.push(profiles::import(&mut importer, &source).await?);
        tables.push(callbacks::import(&mut importer, &source).await?);
        source.close().await?;
        if apply {
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        Ok(ImportReport {
            tables,
            applied: apply,
        })
    }
}

/// What every table's import works with.
struct Importer<'a> {
    store: &'a Store,
    tx: &'a DatabaseTransaction,
    zone: &'a TimeZone,
    tls_dir: Option<&'a Path>,
    ini: &'a NewSettings,
    now: Timestamp,
    /// Rows taken by earlier runs and by this one.
    taken: HashSet<(String, i64, String)>,
}

impl<'a> Importer<'a> {
    async fn begin(
        store: &'a Store,
        tx: &'a DatabaseTransaction,
        old: &'a OldInstallation,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let taken = imported_row::Entity::find()
            .all(tx)
            .await?
            .into_iter()
            .map(|row| (row.source_table, row.old_id, row.made_at))
            .collect();
        Ok(Self {
            store,
            tx,
            zone: &old.zone,
            tls_dir: old.tls_dir.as_deref(),
            ini: &old.ini,
            now,
            taken,
        })
    }

    /// A row's name over runs: its number alone could be given again after a new start of the
    /// old service.
    fn key(table: &str, row: &OldRow) -> (String, i64, String) {
        (
            table.to_owned(),
            row.id(),
            row.text("create_time").to_owned(),
        )
    }

    fn has(&self, table: &str, row: &OldRow) -> bool {
        self.taken.contains(&Self::key(table, row))
    }

    async fn mark(&mut self, key: (String, i64, String)) -> Result<(), StoreError> {
        if self.taken.insert(key.clone()) {
            let (source_table, old_id, made_at) = key;
            imported_row::Entity::insert(imported_row::ActiveModel {
                source_table: Set(source_table),
                old_id: Set(old_id),
                made_at: Set(made_at),
            })
            .exec_without_returning(self.tx)
            .await?;
        }
        Ok(())
    }

    /// Notes what came of a row.
    async fn settle(
        &mut self,
        report: &mut TableReport,
        row: &OldRow,
        fate: Fate,
    ) -> Result<(), StoreError> {
        match fate {
            Ok(remarks) => {
                self.mark(Self::key(report.table, row)).await?;
                report.took(row.id(), remarks);
            }
            Err(reason) => report.skipped(row.id(), reason),
        }
        Ok(())
    }
}

/// Of rows with the same key only the newest is taken: the numbers of those rows.
fn newest_of_each<K: std::hash::Hash + Eq>(
    rows: &[OldRow],
    key: impl Fn(&OldRow) -> Option<K>,
) -> HashSet<i64> {
    let mut newest = HashMap::new();
    for row in rows {
        if let Some(key) = key(row) {
            newest.insert(key, row.id());
        }
    }
    newest.into_values().collect()
}
