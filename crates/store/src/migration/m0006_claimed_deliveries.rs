//! Claims on deliveries, and the mark of a build that was cleaned.

use fastbuild_spec::callback::receiver;
use sea_orm_migration::{prelude::*, schema};

/// Who makes which try of a delivery until when, and of which builds the files and logs are gone.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for (table, column) in [
            // The number of the try that is being made.
            ("deliveries", schema::big_integer_null("claim").take()),
            // Until when nobody else makes it.
            (
                "deliveries",
                schema::big_integer_null("claimed_until").take(),
            ),
            // The host that the tries of a pending delivery go to.
            ("deliveries", schema::text("receiver").default("").take()),
            // When the files and logs of an ended build went.
            ("builds", schema::big_integer_null("cleaned_at").take()),
        ] {
            manager
                .alter_table(Table::alter().table(table).add_column(column).take())
                .await?;
        }
        manager
            .create_index(
                Index::create()
                    .table("builds")
                    .name("builds_by_cleaned_at_finished_at")
                    .col("cleaned_at")
                    .col("finished_at")
                    .take(),
            )
            .await?;
        name_receivers(manager).await
    }
}

/// Only what is still to be sent needs its receiver; sending something again names it anew.
async fn name_receivers(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let waiting = Query::select()
        .columns(["id", "url"])
        .from("deliveries")
        .and_where(Expr::col("next_at").is_not_null())
        .take();
    for row in connection.query_all(&waiting).await? {
        let id: i64 = row.try_get("", "id")?;
        let url: String = row.try_get("", "url")?;
        let update = Query::update()
            .table("deliveries")
            .value("receiver", receiver(&url))
            .and_where(Expr::col("id").eq(id))
            .take();
        connection.execute(&update).await?;
    }
    Ok(())
}
