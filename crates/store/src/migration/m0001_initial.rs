//! The initial schema: the tables of `m0001_initial.sql`, and the triggers that count long lists.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// The initial schema.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const TABLES: &str = include_str!("m0001_initial.sql");

/// The lists that are counted, each by the key it is sorted by. [`crate::db::paging`] reads the
/// counts.
const LISTS: [(&str, &str); 2] = [("builds", "id"), ("images", "id")];
/// The spans of keys that are counted, as powers of two.
const SPANS: [u32; 5] = [30, 25, 20, 15, 10];

/// Fills in the column types that databases spell differently.
fn tables(backend: DbBackend) -> String {
    let (row_id, bytes) = match backend {
        DbBackend::Postgres => ("BIGSERIAL PRIMARY KEY", "BYTEA"),
        // AUTOINCREMENT: a number is not given again after its row is gone.
        _ => ("INTEGER PRIMARY KEY AUTOINCREMENT", "BLOB"),
    };
    TABLES.replace("{ROW_ID}", row_id).replace("{BYTES}", bytes)
}

/// SQLite fires for each row.
fn sqlite_triggers(table: &str, key: &str) -> String {
    let inserted: Vec<String> = SPANS
        .iter()
        .map(|span| {
            format!(
                "INSERT INTO list_positions (list, span, block, amount) \
                 VALUES ('{table}', {span}, NEW.{key} >> {span}, 1) \
                 ON CONFLICT (list, span, block) DO UPDATE SET amount = amount + 1; "
            )
        })
        .collect();
    let inserted = inserted.concat();
    let deleted: Vec<String> = SPANS
        .iter()
        .map(|span| {
            let block =
                format!("list = '{table}' AND span = {span} AND block = OLD.{key} >> {span}");
            format!(
                "UPDATE list_positions SET amount = amount - 1 WHERE {block}; \
                 DELETE FROM list_positions WHERE {block} AND amount = 0; "
            )
        })
        .collect();
    let deleted = deleted.concat();
    format!(
        "CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} BEGIN {inserted}END; \
         CREATE TRIGGER {table}_deleted AFTER DELETE ON {table} BEGIN {deleted}END;"
    )
}

/// PostgreSQL fires once for a statement, with all its rows: a count that one statement changed
/// for each of many rows would leave as many dead versions. Counts change in the order of their
/// keys, so that no two transactions wait for each other's.
fn postgres_triggers(table: &str, key: &str) -> String {
    let spans = SPANS.map(|span| format!("({span})")).join(", ");
    let count = |rows: &str, sign: &str| {
        format!(
            "INSERT INTO list_positions AS kept (list, span, block, amount) \
             SELECT '{table}', spans.span, {rows}.{key} >> spans.span, {sign}COUNT(*) \
             FROM {rows}, (VALUES {spans}) AS spans (span) \
             GROUP BY 2, 3 ORDER BY 2 DESC, 3 \
             ON CONFLICT (list, span, block) DO UPDATE SET amount = kept.amount + excluded.amount;"
        )
    };
    let delete_emptied = format!(
        "DELETE FROM list_positions AS kept USING (\
         SELECT DISTINCT spans.span, gone.{key} >> spans.span AS block \
         FROM gone, (VALUES {spans}) AS spans (span)) AS touched \
         WHERE kept.list = '{table}' AND kept.span = touched.span \
         AND kept.block = touched.block AND kept.amount = 0;"
    );
    let (inserted, deleted) = (count("added", ""), count("gone", "-"));
    format!(
        "CREATE FUNCTION {table}_inserted() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN {inserted} RETURN NULL; END $$; \
         CREATE FUNCTION {table}_deleted() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN {deleted} {delete_emptied} RETURN NULL; END $$; \
         CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} \
         REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION {table}_inserted(); \
         CREATE TRIGGER {table}_deleted AFTER DELETE ON {table} \
         REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION {table}_deleted();"
    )
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// All of it or nothing, on every database: a service that is killed while it first starts
    /// must be able to start again.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let backend = manager.get_database_backend();
        connection.execute_unprepared(&tables(backend)).await?;
        for (table, key) in LISTS {
            let triggers = match backend {
                DbBackend::Postgres => postgres_triggers(table, key),
                _ => sqlite_triggers(table, key),
            };
            connection.execute_unprepared(&triggers).await?;
        }
        Ok(())
    }
}
