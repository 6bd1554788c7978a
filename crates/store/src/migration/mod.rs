//! The schema, as ordered steps that are each applied once.

use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait};

mod m0001_first;
mod m0002_callbacks;
mod m0003_imports;
mod m0004_image_life;
mod m0005_list_positions;
mod m0006_claimed_deliveries;
mod m0007_replicas;
mod m0008_fair_queue;
mod m0009_engines;
mod m0010_api;
mod m0011_plans;
mod m0013_owners_and_waits;
mod m0014_leases;
mod m0015_finer_positions;
mod m0016_built_because;

/// Applies what is missing, in order.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first::Migration),
            Box::new(m0002_callbacks::Migration),
            Box::new(m0003_imports::Migration),
            Box::new(m0004_image_life::Migration),
            Box::new(m0005_list_positions::Migration),
            Box::new(m0006_claimed_deliveries::Migration),
            Box::new(m0007_replicas::Migration),
            Box::new(m0008_fair_queue::Migration),
            Box::new(m0009_engines::Migration),
            Box::new(m0010_api::Migration),
            Box::new(m0011_plans::Migration),
            Box::new(m0013_owners_and_waits::Migration),
            Box::new(m0014_leases::Migration),
            Box::new(m0015_finer_positions::Migration),
            Box::new(m0016_built_because::Migration),
        ]
    }
}
