//! What an engine printed during a build that has ended, compressed: the events of one step of
//! one attempt from `first_seq` to `last_seq`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_archives")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub build_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub first_seq: i64,
    pub last_seq: i64,
    pub attempt: i64,
    pub step: String,
    pub body: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
