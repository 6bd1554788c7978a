//! Rows taken from an old installation.

use sea_orm_migration::{prelude::*, schema};

/// Which rows were taken, so that a second import takes none twice.
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
                    .table("imported_rows")
                    .col(schema::string("source_table"))
                    .col(schema::big_integer("old_id"))
                    .col(schema::string("made_at"))
                    .primary_key(
                        Index::create()
                            .col("source_table")
                            .col("old_id")
                            .col("made_at"),
                    )
                    .take(),
            )
            .await?;
        // A check result of an old installation lacks what a plan needs; it is shown, not used.
        manager
            .alter_table(
                Table::alter()
                    .table("profiles")
                    .add_column(schema::boolean("imported").default(false))
                    .take(),
            )
            .await
    }
}
