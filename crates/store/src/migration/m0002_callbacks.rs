//! Redelivery of callbacks, and the secret they are signed with.

use sea_orm_migration::{prelude::*, schema};

/// What the callback workbench remembers.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for column in [
            // How many tries there were when the present schedule began.
            schema::big_integer("schedule_from").default(0).take(),
            // Whether somebody only tried the receiver.
            schema::boolean("test").default(false).take(),
        ] {
            manager
                .alter_table(Table::alter().table("deliveries").add_column(column).take())
                .await?;
        }
        manager
            .create_index(
                Index::create()
                    .table("deliveries")
                    .name("deliveries_by_status_updated_at")
                    .col("status")
                    .col("updated_at")
                    .take(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("setting_callback_secrets")
                    .col(
                        ColumnDef::new("id")
                            .big_integer()
                            .not_null()
                            .auto_increment()
                            .primary_key(),
                    )
                    .col(schema::blob_null("secret"))
                    .col(schema::big_integer("created_at"))
                    .col(schema::big_integer("updated_at"))
                    .take(),
            )
            .await
    }
}
