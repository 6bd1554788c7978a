//! One event of a build, numbered from 1; `body` is the JSON of the spec's `Event`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub build_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub attempt: i64,
    pub at: i64,
    pub kind: String,
    pub step: String,
    pub body: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
