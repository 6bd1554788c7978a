//! How many rows long lists have in each span of their keys, so that the row at any position is
//! found without walking to it.
//!
//! The database keeps the counts itself, by triggers in the same transaction as the row, so that
//! no verb that inserts or deletes can forget to. [`crate::db::paging`] reads them.

use sea_orm_migration::{prelude::*, schema, sea_orm::DbBackend};

/// Counts per span of keys.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// The lists: name of the table, and the key it is listed by.
pub(super) const LISTS: [(&str, &str); 2] = [("builds", "task_id"), ("images", "id")];
/// The spans, as powers of two.
const SPANS: [u32; 3] = [30, 20, 10];

/// SQLite fires for each row.
pub(super) fn sqlite_triggers(table: &str, key: &str, spans: &[u32]) -> [String; 2] {
    let inserted: Vec<String> = spans
        .iter()
        .map(|span| {
            format!(
                "INSERT INTO list_positions (list, span, block, amount) \
                 VALUES ('{table}', {span}, NEW.{key} >> {span}, 1) \
                 ON CONFLICT (list, span, block) DO UPDATE SET amount = amount + 1; "
            )
        })
        .collect();
    let deleted: Vec<String> = spans
        .iter()
        .map(|span| {
            let place =
                format!("list = '{table}' AND span = {span} AND block = OLD.{key} >> {span}");
            format!(
                "UPDATE list_positions SET amount = amount - 1 WHERE {place}; \
                 DELETE FROM list_positions WHERE {place} AND amount = 0; "
            )
        })
        .collect();
    let (inserted, deleted) = (inserted.concat(), deleted.concat());
    [
        format!("CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} BEGIN {inserted}END"),
        format!("CREATE TRIGGER {table}_deleted AFTER DELETE ON {table} BEGIN {deleted}END"),
    ]
}

/// PostgreSQL fires once for a statement, with all its rows: a count that one statement changed
/// for each of many rows would leave as many dead versions. Counts change in the order of their
/// keys, so that no two transactions wait for each other's.
pub(super) fn postgres_functions(table: &str, key: &str, spans: &[u32]) -> [String; 2] {
    let spans: Vec<String> = spans.iter().map(|span| format!("({span})")).collect();
    let spans = spans.join(", ");
    let counted = |rows: &str, sign: &str| {
        format!(
            "INSERT INTO list_positions AS kept (list, span, block, amount) \
             SELECT '{table}', spans.span, {rows}.{key} >> spans.span, {sign}COUNT(*) \
             FROM {rows}, (VALUES {spans}) AS spans (span) \
             GROUP BY 2, 3 ORDER BY 2 DESC, 3 \
             ON CONFLICT (list, span, block) DO UPDATE SET amount = kept.amount + excluded.amount;"
        )
    };
    let function = |name: &str, body: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION {table}_{name}() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN {body} RETURN NULL; END $$"
        )
    };
    let emptied = format!(
        "DELETE FROM list_positions AS kept USING (\
         SELECT DISTINCT spans.span, gone.{key} >> spans.span AS block \
         FROM gone, (VALUES {spans}) AS spans (span)) AS touched \
         WHERE kept.list = '{table}' AND kept.span = touched.span \
         AND kept.block = touched.block AND kept.amount = 0;"
    );
    [
        function("inserted", &counted("added", "")),
        function("deleted", &format!("{} {emptied}", counted("gone", "-"))),
    ]
}

fn postgres_triggers(table: &str) -> [String; 2] {
    [
        format!(
            "CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} \
             REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION {table}_inserted()"
        ),
        format!(
            "CREATE TRIGGER {table}_deleted AFTER DELETE ON {table} \
             REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION {table}_deleted()"
        ),
    ]
}

/// Counts the rows that are there.
pub(super) async fn count(
    connection: &SchemaManagerConnection<'_>,
    table: &str,
    key: &str,
    spans: &[u32],
) -> Result<(), DbErr> {
    for span in spans {
        connection
            .execute_unprepared(&format!(
                "INSERT INTO list_positions (list, span, block, amount) \
                 SELECT '{table}', {span}, {key} >> {span}, COUNT(*) \
                 FROM {table} GROUP BY 3"
            ))
            .await?;
    }
    Ok(())
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("list_positions")
                    .col(schema::string("list"))
                    .col(schema::big_integer("span"))
                    .col(schema::big_integer("block"))
                    .col(schema::big_integer("amount"))
                    .primary_key(Index::create().col("list").col("span").col("block"))
                    .take(),
            )
            .await?;
        let connection = manager.get_connection();
        for (table, key) in LISTS {
            count(connection, table, key, &SPANS).await?;
            let triggers = match manager.get_database_backend() {
                DbBackend::Postgres => {
                    let functions = postgres_functions(table, key, &SPANS);
                    [functions, postgres_triggers(table)].concat()
                }
                _ => sqlite_triggers(table, key, &SPANS).to_vec(),
            };
            for statement in triggers {
                connection.execute_unprepared(&statement).await?;
            }
        }
        // What lists are searched by, beside their key: a search reads this instead of the rows.
        manager
            .create_index(
                Index::create()
                    .table("builds")
                    .name("builds_by_task_id_state_target_image")
                    .col("task_id")
                    .col("state")
                    .col("target_image")
                    .take(),
            )
            .await
    }
}
