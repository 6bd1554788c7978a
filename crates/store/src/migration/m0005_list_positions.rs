//! How many rows long lists have in each span of their keys, so that the row at any position is
//! found without walking to it.
//!
//! The database keeps the counts itself, by triggers in the same transaction as the row, so that
//! no verb that inserts or deletes can forget to. [`crate::positions`] reads them.

use sea_orm_migration::{prelude::*, schema};

/// Counts per span of keys.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// The lists: name of the table, and the key it is listed by.
const LISTS: [(&str, &str); 2] = [("builds", "task_id"), ("images", "id")];
/// The spans, as powers of two.
const SPANS: [u32; 3] = [30, 20, 10];

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
            let (mut inserted, mut deleted) = (Vec::new(), Vec::new());
            for span in SPANS {
                let place = |row: &str| {
                    format!("list = '{table}' AND span = {span} AND block = {row}.{key} >> {span}")
                };
                inserted.push(format!(
                    "INSERT INTO list_positions (list, span, block, amount) \
                     VALUES ('{table}', {span}, NEW.{key} >> {span}, 1) \
                     ON CONFLICT (list, span, block) DO UPDATE SET amount = amount + 1; "
                ));
                deleted.push(format!(
                    "UPDATE list_positions SET amount = amount - 1 WHERE {0}; \
                     DELETE FROM list_positions WHERE {0} AND amount = 0; ",
                    place("OLD")
                ));
                connection
                    .execute_unprepared(&format!(
                        "INSERT INTO list_positions (list, span, block, amount) \
                         SELECT '{table}', {span}, {key} >> {span}, COUNT(*) \
                         FROM {table} GROUP BY 3"
                    ))
                    .await?;
            }
            let (inserted, deleted) = (inserted.concat(), deleted.concat());
            connection
                .execute_unprepared(&format!(
                    "CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} BEGIN {inserted}END"
                ))
                .await?;
            connection
                .execute_unprepared(&format!(
                    "CREATE TRIGGER {table}_deleted AFTER DELETE ON {table} BEGIN {deleted}END"
                ))
                .await?;
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
