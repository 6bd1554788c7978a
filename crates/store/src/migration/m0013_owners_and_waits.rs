//! Looking at the builds of one owner, for the build that has waited longest, and at callbacks by how they
//! stand.

use sea_orm_migration::prelude::*;

/// Indexes of builds and deliveries.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, columns) in [
            ("builds", ["owner", "task_id"]),
            ("builds", ["state", "updated_at"]),
            ("deliveries", ["status", "id"]),
        ] {
            let mut index = Index::create();
            index
                .table(table)
                .name(format!("{table}_by_{}", columns.join("_")));
            for column in columns {
                index.col(column);
            }
            manager.create_index(index.take()).await?;
        }
        Ok(())
    }
}
