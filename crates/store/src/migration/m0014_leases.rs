//! Work that one process does for all that share the database.

use sea_orm_migration::{prelude::*, schema};

/// Who has which work, until when by the database's clock.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("leases")
                    .col(schema::string("name").primary_key())
                    .col(schema::string("holder"))
                    .col(schema::big_integer("held_until"))
                    .take(),
            )
            .await
    }
}
