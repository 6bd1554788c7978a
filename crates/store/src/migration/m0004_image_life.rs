//! When images came to an engine and when they left it.

use sea_orm_migration::{prelude::*, schema};

/// The lives of images on engines.
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
                    .table("image_lives")
                    .col(
                        ColumnDef::new("id")
                            .big_integer()
                            .not_null()
                            .auto_increment()
                            .primary_key(),
                    )
                    .col(schema::text("image_name"))
                    .col(schema::string("image_type"))
                    .col(schema::text("engine"))
                    .col(schema::big_integer("generated_at"))
                    .col(schema::big_integer("last_used_at"))
                    .col(schema::big_integer_null("deleted_at"))
                    .col(schema::big_integer("created_at"))
                    .col(schema::big_integer("updated_at"))
                    .take(),
            )
            .await?;
        for columns in [
            ["engine", "image_name"],
            // What is cleaned away: on this engine, not gone yet, by last use.
            ["deleted_at", "last_used_at"],
        ] {
            let mut index = Index::create();
            index
                .table("image_lives")
                .name(format!("image_lives_by_{}", columns.join("_")));
            for column in columns {
                index.col(column);
            }
            manager.create_index(index.take()).await?;
        }
        Ok(())
    }
}
