//! Why the image of a build was built rather than taken from an equal build.

use sea_orm_migration::{prelude::*, schema};

/// A column of builds.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .alter_table(
                Table::alter()
                    .table("builds")
                    .add_column(schema::string_null("built_because"))
                    .take(),
            )
            .await
    }
}
