//! The schema, as ordered steps that are each applied once.

use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait};

mod m0001_first;

/// Applies what is missing, in order.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_first::Migration)]
    }
}
