//! What is checked before a database is used: that it is whole, that this version knows its schema,
//! and that it and the key file belong together.

use std::path::Path;

use sea_orm::{
    ActiveValue::Set, ConnectionTrait as _, DatabaseConnection, DbBackend, EntityTrait as _,
    Statement,
};
use sea_orm_migration::{MigratorTrait as _, SchemaManager};

use crate::{Seal, StoreError, entity::seal_check, migration::Migrator};

/// What the canary says once it is open.
const CANARY: &[u8] = b"FastBuild";
/// Its place, for the seal.
const CANARY_PURPOSE: &str = "seal_checks.canary";

/// What is known of a database before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected<'a> {
    /// Nothing: it is made where there is none.
    Either,
    /// Its key file is there, so it was in use before.
    InUse(&'a Path),
    /// Its key file is not there; a new key was drafted.
    New(&'a Path),
}

/// Looks for damage (`PRAGMA quick_check`, <https://sqlite.org/pragma.html#pragma_quick_check>).
pub(crate) async fn check_integrity(
    connection: &DatabaseConnection,
    file: &Path,
) -> Result<(), StoreError> {
    let statement = Statement::from_string(DbBackend::Sqlite, "PRAGMA quick_check(1)");
    let answer: Option<String> = match connection.query_one_raw(statement).await? {
        Some(row) => row.try_get_by_index(0)?,
        None => None,
    };
    match answer.as_deref() {
        Some("ok") => Ok(()),
        said => Err(StoreError::CorruptFile {
            path: file.to_owned(),
            detail: said.unwrap_or("no answer").to_owned(),
        }),
    }
}

/// The steps of the schema that this version knows.
fn known_steps() -> Vec<String> {
    Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect()
}

/// The steps of the schema that a database has.
async fn applied_steps(connection: &DatabaseConnection) -> Result<Vec<String>, StoreError> {
    let manager = SchemaManager::new(connection);
    if !manager.has_table("seaql_migrations").await? {
        return Ok(Vec::new());
    }
    let statement = Statement::from_string(
        connection.get_database_backend(),
        "SELECT version FROM seaql_migrations ORDER BY version",
    );
    let rows = connection.query_all_raw(statement).await?;
    let steps = rows.iter().map(|row| row.try_get_by_index(0));
    Ok(steps.collect::<Result<_, _>>()?)
}

/// Refuses a schema that a newer version has made; whether it is this version's.
pub(crate) async fn check_schema(
    connection: &DatabaseConnection,
    database: &str,
) -> Result<bool, StoreError> {
    let (known, applied) = (known_steps(), applied_steps(connection).await?);
    match applied.iter().find(|step| !known.contains(step)) {
        Some(version) => Err(StoreError::NewerSchema {
            database: database.to_owned(),
            version: version.clone(),
        }),
        None => Ok(applied.len() == known.len()),
    }
}

/// Refuses a key without its database, and a database without its key.
pub(crate) async fn check_expected(
    connection: &DatabaseConnection,
    database: &str,
    expected: Expected<'_>,
    seal: &Seal,
) -> Result<(), StoreError> {
    let schema = SchemaManager::new(connection);
    let canary = if schema.has_table("seal_checks").await? {
        seal_check::Entity::find_by_id(1).one(connection).await?
    } else {
        None
    };
    match (expected, canary) {
        (Expected::InUse(key_file), None) => Err(StoreError::DatabaseMissing {
            database: database.to_owned(),
            key_file: key_file.to_owned(),
        }),
        // The draft fits when the first start was killed before it put the key in its place.
        (Expected::New(key_file), Some(row)) if seal.open(CANARY_PURPOSE, &row.canary).is_err() => {
            Err(StoreError::KeyMissing {
                database: database.to_owned(),
                key_file: key_file.to_owned(),
            })
        }
        _ => Ok(()),
    }
}

/// Whether a backup's canary opens with this key.
pub(crate) fn open_canary(
    canary: Option<seal_check::Model>,
    seal: &Seal,
    file: &Path,
) -> Result<(), StoreError> {
    let canary = canary.ok_or_else(|| StoreError::CorruptFile {
        path: file.to_owned(),
        detail: "it was never in use".to_owned(),
    })?;
    seal.open(CANARY_PURPOSE, &canary.canary).map(drop)
}

/// Compares the seal with the one that sealed the canary, or makes the canary; the sealed canary.
pub(crate) async fn check_seal(
    connection: &DatabaseConnection,
    seal: &Seal,
) -> Result<Vec<u8>, StoreError> {
    let tx = super::dialect::begin_write(connection).await?;
    let canary = if let Some(row) = seal_check::Entity::find_by_id(1).one(&tx).await? {
        seal.open(CANARY_PURPOSE, &row.canary)?;
        row.canary
    } else {
        let canary = seal.seal(CANARY_PURPOSE, CANARY)?;
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

/// A name that no other has: behind its version byte a sealed canary has a random nonce. That of
/// the stored one was made once for each database.
pub(crate) fn name_of(canary: &[u8]) -> String {
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

/// A name for a process, which no other process has.
pub(crate) fn fresh_name(seal: &Seal) -> Result<String, StoreError> {
    Ok(name_of(&seal.seal(CANARY_PURPOSE, CANARY)?))
}
