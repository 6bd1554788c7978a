//! Reading the old installation's SQLite file: every value as text, because SQLite keeps what it
//! was given, whatever the column's type says.

use std::{collections::HashMap, path::Path, time::Duration};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement,
    sqlx::sqlite::SqliteConnectOptions,
};

use crate::StoreError;

/// Characters of a value that a reason repeats.
const SHOWN: usize = 60;

/// The old installation's database, open for reading alone.
pub(super) struct OldDatabase(DatabaseConnection);

/// One row of it.
#[derive(Debug)]
pub(super) struct OldRow {
    id: i64,
    values: HashMap<String, String>,
}

impl OldDatabase {
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        // SQLite's own words for a file that is not there name no file.
        std::fs::File::open(path).map_err(|source| StoreError::OpenFile {
            path: path.to_owned(),
            source,
        })?;
        let path = path.to_owned();
        let mut options = ConnectOptions::new("sqlite::memory:");
        options
            .max_connections(1)
            .sqlx_logging(false)
            .acquire_timeout(Duration::from_secs(10))
            .map_sqlx_sqlite_opts(move |_| {
                SqliteConnectOptions::new()
                    .filename(&path)
                    .read_only(true)
                    .create_if_missing(false)
            });
        let database = Self(Database::connect(options).await?);
        // What is no SQLite database says so at its first statement.
        database.query("SELECT name FROM sqlite_master").await?;
        Ok(database)
    }

    pub(super) async fn close(self) -> Result<(), StoreError> {
        Ok(self.0.close().await?)
    }

    async fn query(&self, sql: &str) -> Result<Vec<sea_orm::QueryResult>, StoreError> {
        let statement = Statement::from_string(DbBackend::Sqlite, sql);
        Ok(self.0.query_all_raw(statement).await?)
    }

    /// Every row of a table, oldest first; `None` when there is no such table.
    pub(super) async fn rows(
        &self,
        table: &'static str,
    ) -> Result<Option<Vec<OldRow>>, StoreError> {
        let columns: Vec<String> = self
            .query(&format!("PRAGMA table_info({table})"))
            .await?
            .iter()
            .filter_map(|column| column.try_get("", "name").ok())
            .collect();
        if columns.is_empty() {
            return Ok(None);
        }
        let selected: Vec<String> = columns
            .iter()
            .map(|column| format!("CAST(\"{}\" AS TEXT)", column.replace('"', "\"\"")))
            .collect();
        let sql = format!(
            "SELECT rowid, {} FROM {table} ORDER BY rowid",
            selected.join(", ")
        );
        let rows = self
            .query(&sql)
            .await?
            .iter()
            .map(|row| {
                let values: HashMap<String, String> = columns
                    .iter()
                    .enumerate()
                    .filter_map(|(index, column)| {
                        // What is no text at all (NULL, broken bytes) counts as empty.
                        let value = row.try_get_by_index::<Option<String>>(index + 1);
                        Some((column.clone(), value.ok().flatten()?))
                    })
                    .collect();
                let named = values.get("primary_id").and_then(|id| id.parse().ok());
                let id = named.unwrap_or_else(|| row.try_get_by_index(0).unwrap_or_default());
                OldRow { id, values }
            })
            .collect();
        Ok(Some(rows))
    }
}

impl OldRow {
    /// The row's number.
    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// A value, empty where there is none.
    pub(super) fn text(&self, column: &str) -> &str {
        self.values.get(column).map_or("", |value| value.trim())
    }

    /// A value exactly as it stands; for passwords, whose blanks count.
    pub(super) fn exact(&self, column: &str) -> &str {
        self.values.get(column).map_or("", String::as_str)
    }

    /// A value that must be there.
    pub(super) fn needed(&self, column: &str) -> Result<&str, String> {
        match self.text(column) {
            "" => Err(format!("{column} is empty")),
            text => Ok(text),
        }
    }

    /// A whole number that must be there.
    pub(super) fn integer(&self, column: &str) -> Result<i64, String> {
        let text = self.needed(column)?;
        let whole = text.strip_suffix(".0").unwrap_or(text);
        whole
            .parse()
            .map_err(|_| format!("{column} is no whole number: {}", shown(text)))
    }

    /// A port that must be there.
    pub(super) fn port(&self, column: &str) -> Result<u16, String> {
        u16::try_from(self.integer(column)?)
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| format!("{column} is no port: {}", shown(self.text(column))))
    }

    /// Whether a flag is set.
    pub(super) fn flag(&self, column: &str) -> bool {
        matches!(
            self.text(column).to_ascii_lowercase().as_str(),
            "1" | "true" | "yes" | "on" | "t"
        )
    }

    /// A time that must be there, written as ISO 8601 without a zone, with `T` or a blank.
    pub(super) fn time(&self, column: &str, zone: &TimeZone) -> Result<Timestamp, String> {
        let text = self.needed(column)?;
        let bad = || format!("{column} is no time: {}", shown(text));
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(time);
        }
        let local: DateTime = text.parse().map_err(|_| bad())?;
        zone.to_timestamp(local).map_err(|_| bad())
    }

    /// `create_time` and `update_time`; where one is missing or broken the other stands for it,
    /// and a remark says so.
    pub(super) fn times(
        &self,
        zone: &TimeZone,
        remarks: &mut Vec<String>,
    ) -> Result<(Timestamp, Timestamp), String> {
        match (
            self.time("create_time", zone),
            self.time("update_time", zone),
        ) {
            (Ok(created), Ok(updated)) => Ok((created, updated)),
            (Ok(created), Err(problem)) => {
                remarks.push(format!("{problem}; create_time stands for it"));
                Ok((created, created))
            }
            (Err(problem), Ok(updated)) => {
                remarks.push(format!("{problem}; update_time stands for it"));
                Ok((updated, updated))
            }
            (Err(problem), Err(other)) => Err(format!("{problem}, and {other}")),
        }
    }
}

/// A value as a reason repeats it: short, on one line.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(SHOWN)
        .collect();
    if text.chars().count() > SHOWN {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[(&str, &str)]) -> OldRow {
        OldRow {
            id: 1,
            values: values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn times_are_read_as_sqlite_and_as_the_protocol_write_them() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let expected: Timestamp = "2026-11-23T01:07:44.830951Z".parse().unwrap();
        for text in ["2026-11-23 09:07:44.830951", "2026-11-23T09:07:44.830951"] {
            assert_eq!(row(&[("t", text)]).time("t", &zone), Ok(expected));
        }
        assert_eq!(
            row(&[("t", "yesterday")]).time("t", &zone),
            Err("t is no time: \"yesterday\"".to_owned())
        );
        assert_eq!(row(&[]).time("t", &zone), Err("t is empty".to_owned()));
    }

    #[test]
    fn one_time_stands_for_a_broken_other() {
        let mut remarks = Vec::new();
        let broken = row(&[("create_time", "x"), ("update_time", "2026-11-23 09:07:44")]);
        let (created, updated) = broken.times(&TimeZone::UTC, &mut remarks).unwrap();
        assert_eq!(created, updated);
        assert_eq!(
            remarks,
            ["create_time is no time: \"x\"; update_time stands for it"]
        );
        assert!(row(&[]).times(&TimeZone::UTC, &mut remarks).is_err());
    }

    #[test]
    fn a_value_is_repeated_short_and_on_one_line() {
        assert_eq!(shown("a\nb"), "\"a b\"");
        assert_eq!(shown(&"x".repeat(99)).chars().count(), SHOWN + 3);
    }
}
