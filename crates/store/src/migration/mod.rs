//! The schema, as ordered steps that are each applied once. The list only grows: a step that was
//! released is never changed, since databases out there have it.

use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait};

mod m0001_initial;

/// Applies what is missing, in order.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_initial::Migration)]
    }
}
