//! The processes that share a database.

use sea_orm_migration::{prelude::*, schema};

/// Who is there, by the database's clock.
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
                    .table("replicas")
                    .col(schema::string("name").primary_key())
                    .col(schema::big_integer("started_at"))
                    .col(schema::big_integer("seen_at"))
                    .take(),
            )
            .await
    }
}
