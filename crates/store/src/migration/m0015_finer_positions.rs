//! More steps on the way to the row at any position of a list, each with fewer counts to read.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

use super::m0005_list_positions::{LISTS, count, postgres_functions, sqlite_triggers};

/// Counts in two spans between those that were there.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// The spans that are counted from now on, as powers of two.
const SPANS: [u32; 5] = [30, 25, 20, 15, 10];
/// Those among them that were not.
const NEW: [u32; 2] = [25, 15];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for (table, key) in LISTS {
            count(connection, table, key, &NEW).await?;
            let statements = if manager.get_database_backend() == DbBackend::Postgres {
                postgres_functions(table, key, &SPANS).to_vec()
            } else {
                let dropped =
                    ["inserted", "deleted"].map(|name| format!("DROP TRIGGER {table}_{name}"));
                [dropped, sqlite_triggers(table, key, &SPANS)].concat()
            };
            for statement in statements {
                connection.execute_unprepared(&statement).await?;
            }
        }
        Ok(())
    }
}
