//! Any number of engines, how each of them is, and what lost attempts left there.

use sea_orm_migration::{prelude::*, schema};

/// Engines by name.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// An engine and its history: the row that claims lock, and its revisions.
fn engine_tables() -> [TableCreateStatement; 2] {
    [
        Table::create()
            .table("engines")
            .col(schema::string("name").primary_key())
            // The revision in force; none for the engine whose address is among the settings.
            .col(schema::big_integer_null("revision"))
            .col(schema::integer("capacity"))
            .col(schema::text("labels"))
            .col(schema::boolean("draining"))
            .col(schema::big_integer_null("removed_at"))
            .col(schema::text_null("disk"))
            .col(schema::big_integer("created_at"))
            .col(schema::big_integer("updated_at"))
            .take(),
        Table::create()
            .table("engine_revisions")
            .col(
                ColumnDef::new("id")
                    .big_integer()
                    .not_null()
                    .auto_increment()
                    .primary_key(),
            )
            .col(schema::string("engine"))
            .col(schema::text("host"))
            .col(schema::integer("port"))
            .col(schema::blob_null("tls"))
            .col(schema::integer("capacity"))
            .col(schema::text("labels"))
            .col(schema::big_integer("created_at"))
            .take(),
    ]
}

/// How each process found each engine, and what is still to be removed from which.
fn watch_tables() -> [TableCreateStatement; 2] {
    [
        Table::create()
            .table("engine_healths")
            .col(schema::string("engine"))
            .col(schema::string("worker"))
            .col(schema::boolean("up"))
            .col(schema::big_integer("since"))
            .col(schema::big_integer("checked_at"))
            .col(schema::big_integer_null("hopeless_at"))
            .col(schema::text_null("failure"))
            .primary_key(Index::create().col("engine").col("worker"))
            .take(),
        Table::create()
            .table("leftovers")
            .col(
                ColumnDef::new("id")
                    .big_integer()
                    .not_null()
                    .auto_increment()
                    .primary_key(),
            )
            .col(schema::string("engine"))
            .col(schema::big_integer("task_id"))
            .col(schema::text("image"))
            .col(schema::big_integer("created_at"))
            .take(),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in engine_tables().into_iter().chain(watch_tables()) {
            manager.create_table(table).await?;
        }
        manager
            .create_index(
                Index::create()
                    .table("engine_revisions")
                    .name("engine_revisions_by_engine")
                    .col("engine")
                    .col("id")
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .table("leftovers")
                    .name("leftovers_by_engine_task_id")
                    .col("engine")
                    .col("task_id")
                    .unique()
                    .take(),
            )
            .await?;
        manager
            .alter_table(
                Table::alter()
                    .table("builds")
                    .add_column(schema::string_null("engine"))
                    .take(),
            )
            .await
    }
}
