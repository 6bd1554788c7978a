//! Something an attempt may have left on an engine; gone once it was looked for there.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "orphaned_images")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub engine: String,
    pub build_id: i64,
    pub image: String,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
