//! A revision of the secret callbacks are signed with, sealed; empty turns signing off.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "setting_callback_secrets")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub secret: Option<Vec<u8>>,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
