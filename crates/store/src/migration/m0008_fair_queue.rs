//! Whose turn it is in the queue, how long builds may take, and how long builds like them took.

use sea_orm_migration::{prelude::*, schema};

/// Owners, priorities, limits and what is needed to estimate.
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
            // For whom it is built; empty where nobody said.
            schema::text("owner").default("").take(),
            // The higher goes first.
            schema::big_integer("priority").default(0).take(),
            // When it came to the queue: its age among its owner's builds.
            schema::big_integer("queued_at").default(0).take(),
            // What it has in common with builds that take about as long.
            schema::text("likeness").default("").take(),
            // How long it may take, as JSON.
            schema::text_null("limits").take(),
            // From where it was begun again; empty for the start.
            schema::string_null("retried_from").take(),
        ] {
            manager
                .alter_table(Table::alter().table("builds").add_column(column).take())
                .await?;
        }
        let connection = manager.get_connection();
        connection
            .execute(
                Query::update()
                    .table("builds")
                    .value("queued_at", Expr::col("created_at"))
                    .and_where(Expr::col("state").eq("QUEUED")),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("lanes")
                    .col(schema::big_integer("priority"))
                    .col(schema::text("owner"))
                    .col(schema::big_integer("queued"))
                    .col(schema::big_integer("turn"))
                    .primary_key(Index::create().col("priority").col("owner"))
                    .take(),
            )
            .await?;
        connection
            .execute(
                Query::insert()
                    .into_table("lanes")
                    .columns(["priority", "owner", "queued", "turn"])
                    .select_from(
                        Query::select()
                            .columns(["priority", "owner"])
                            .expr(Expr::col("task_id").count())
                            .expr(Expr::val(1_i64))
                            .from("builds")
                            .and_where(Expr::col("state").eq("QUEUED"))
                            .group_by_columns(["priority", "owner"])
                            .take(),
                    )
                    .map_err(|error| DbErr::Migration(error.to_string()))?,
            )
            .await?;
        let mut turns = Index::create();
        turns
            .table("lanes")
            .name("lanes_by_priority_turn")
            .col(("priority", IndexOrder::Desc))
            .col("turn");
        manager.create_index(turns.take()).await?;
        for columns in [
            // The next build of an owner, and how many of an owner's come before one.
            &["state", "priority", "owner", "queued_at", "task_id"][..],
            // The newest builds that are alike, and the newest of all.
            &["likeness", "state", "finished_at"],
            &["state", "finished_at"],
        ] {
            let mut index = Index::create();
            index
                .table("builds")
                .name(format!("builds_by_{}", columns.join("_")));
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index.take()).await?;
        }
        Ok(())
    }
}
