//! Looking at the builds of one owner, and for the build that has waited longest.

use sea_orm_migration::prelude::*;

/// Indexes of builds.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for columns in [["owner", "task_id"], ["state", "updated_at"]] {
            let mut index = Index::create();
            index
                .table("builds")
                .name(format!("builds_by_{}", columns.join("_")));
            for column in columns {
                index.col(column);
            }
            manager.create_index(index.take()).await?;
        }
        Ok(())
    }
}
