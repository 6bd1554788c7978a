//! A revision of a named engine; rows are only ever added.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "engine_revisions")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub engine: String,
    pub host: String,
    pub port: i32,
    pub tls: Option<Vec<u8>>,
    pub capacity: i32,
    pub labels: String,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
