//! A row of an old installation that was taken.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "imported_rows")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub source_table: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub old_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub made_at: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
