//! By which plan a build's image was made.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plans")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub build_id: i64,
    pub plan_key: String,
    pub engine: String,
    pub made_by: Option<i64>,
    pub image_name: String,
    pub image_id: String,
    pub image_size: i64,
    pub digest: String,
    pub made_at: i64,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
