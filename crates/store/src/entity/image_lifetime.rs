//! An image's time on an engine, from its pull or build to its removal.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "image_lifetimes")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub image_name: String,
    pub image_type: String,
    pub engine: String,
    pub generated_at: i64,
    pub last_used_at: i64,
    pub deleted_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
