//! A callback on its way, or where it ended. `next_at` is empty once nothing more is tried;
//! `claim` is the number of the try that is being made.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub build_id: Option<i64>,
    pub url: String,
    pub headers: Vec<u8>,
    pub body: String,
    pub status: String,
    pub tries: i64,
    pub next_at: Option<i64>,
    pub result: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
    pub schedule_from: i64,
    pub test: bool,
    pub claim: Option<i64>,
    pub claimed_until: Option<i64>,
    pub receiver: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
