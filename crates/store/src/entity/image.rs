//! A base image an operator registered, or what a build made.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "images")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub build_id: i64,
    pub name: String,
    pub tag: String,
    pub kind: String,
    pub image_id: String,
    pub digest: Option<String>,
    pub size: i64,
    pub description: String,
    pub ssh: bool,
    pub jupyter_lab: bool,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
