//! The Dockerfile of a build's newest attempt.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dockerfiles")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub build_id: i64,
    pub attempt: i64,
    pub text: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
