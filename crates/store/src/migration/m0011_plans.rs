//! By which plan images were made, so that an equal one need not be carried out again.

use sea_orm_migration::{prelude::*, schema};

/// The plans of builds.
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
                    .table("plans")
                    .col(
                        ColumnDef::new("task_id")
                            .big_integer()
                            .not_null()
                            .primary_key(),
                    )
                    .col(schema::string("plan_key"))
                    .col(schema::text("engine"))
                    .col(schema::big_integer_null("made_by"))
                    .col(schema::text("image_name"))
                    .col(schema::string("image_id"))
                    .col(schema::big_integer("image_size"))
                    .col(schema::string("digest"))
                    .col(schema::big_integer("made_at"))
                    .col(schema::big_integer("created_at"))
                    .take(),
            )
            .await?;
        let mut index = Index::create();
        index
            .table("plans")
            .name("plans_by_plan_key_made_at")
            .col("plan_key")
            .col("made_at");
        manager.create_index(index.take()).await
    }
}
