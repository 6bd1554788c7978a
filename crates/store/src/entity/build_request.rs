//! What a build was asked to do; read when it is claimed, not when builds are listed.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "build_requests")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub build_id: i64,
    pub request: String,
    pub spec: String,
    pub passwords: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
