//! What version 1 of the API remembers: the keys of repeated requests, and compressed logs.

use sea_orm_migration::{prelude::*, schema};

/// Request keys and event archives.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Both tables hang on a build and go with it.
fn of_build(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{table}_of_build"))
        .from(table, "task_id")
        .to("builds", "task_id")
        .on_delete(ForeignKeyAction::Cascade)
        .take()
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
                    .table("request_keys")
                    .col(schema::string("name").primary_key())
                    .col(schema::blob("request_hash"))
                    .col(schema::big_integer("task_id"))
                    .col(schema::text_null("answer"))
                    .col(schema::big_integer("created_at"))
                    .foreign_key(&mut of_build("request_keys"))
                    .take(),
            )
            .await?;
        manager
            .create_index(
                // The foreign key is looked along when a build is forgotten.
                Index::create()
                    .table("request_keys")
                    .name("request_keys_by_task_id")
                    .col("task_id")
                    .take(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("event_archives")
                    .col(schema::big_integer("task_id"))
                    .col(schema::big_integer("first_seq"))
                    .col(schema::big_integer("last_seq"))
                    .col(schema::big_integer("attempt"))
                    .col(schema::string("step"))
                    .col(schema::blob("body"))
                    .primary_key(Index::create().col("task_id").col("first_seq"))
                    .foreign_key(&mut of_build("event_archives"))
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .table("event_archives")
                    .name("event_archives_by_task_id_last_seq")
                    .col("task_id")
                    .col("last_seq")
                    .take(),
            )
            .await
    }
}
