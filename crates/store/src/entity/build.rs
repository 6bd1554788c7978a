//! One build: the queue, its lease, and how it ended. Kept slim, lists walk over it.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "builds")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub row_id: i64,
    #[sea_orm(unique)]
    pub id: i64,
    pub name: String,
    pub created_at: i64,
    pub updated_at: i64,
    pub state: String,
    pub base_image: String,
    pub target_image: String,
    pub target_name: String,
    pub target_tag: String,
    pub active_target: Option<String>,
    pub description: String,
    pub work_dir_name: String,
    pub callback_url: String,
    pub attempt: i64,
    pub handed_back: i64,
    pub worker: Option<String>,
    pub lease_until: Option<i64>,
    pub cancel_requested: bool,
    pub last_event: i64,
    pub failure: Option<String>,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub image_id: Option<String>,
    pub image_size: Option<i64>,
    pub digest: Option<String>,
    pub settings_revisions: Option<String>,
    pub engine: Option<String>,
    pub cleaned_at: Option<i64>,
    pub owner: String,
    pub priority: i64,
    pub queued_at: i64,
    pub similarity_key: String,
    pub limits: Option<String>,
    pub retried_from: Option<String>,
    pub requeue_reason: Option<String>,
    pub build_reason: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
