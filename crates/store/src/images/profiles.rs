//! What probes found, remembered by image id.

use fastbuild_spec::profile::ImageProfile;
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::OnConflict,
};

use crate::{
    Store, StoreError,
    builds::{from_json, to_json},
    db::time::{micros, timestamp},
    entity::profile,
};

/// A profile with the name its image was asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredProfile {
    /// The row's number.
    pub id: i64,
    /// The image's name, with its tag, as it was asked for.
    pub image_name: String,
    /// What the image contains.
    pub profile: ImageProfile,
    /// When it was first found.
    pub created_at: Timestamp,
    /// When it was last found.
    pub updated_at: Timestamp,
}

impl TryFrom<profile::Model> for StoredProfile {
    type Error = StoreError;

    fn try_from(row: profile::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            image_name: row.image_name,
            profile: from_json("profile", &row.profile)?,
            created_at: timestamp(row.created_at)?,
            updated_at: timestamp(row.updated_at)?,
        })
    }
}

impl Store {
    /// Remembers what an image contains, under the name it was asked for by.
    pub async fn put_profile(
        &self,
        profile: &ImageProfile,
        image_name: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        profile::Entity::insert(profile::ActiveModel {
            image_id: Set(profile.image_id.clone()),
            image_name: Set(image_name.to_owned()),
            profile: Set(to_json("profile", profile)?),
            created_at: Set(micros(now)),
            updated_at: Set(micros(now)),
            imported: Set(false),
            ..Default::default()
        })
        .on_conflict(
            OnConflict::columns([profile::Column::ImageId, profile::Column::ImageName])
                .update_columns([
                    profile::Column::Profile,
                    profile::Column::UpdatedAt,
                    profile::Column::Imported,
                ])
                .to_owned(),
        )
        .exec_without_returning(&tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The newest profile of an image, by the engine's id of it (`sha256:...`). What was imported
    /// from an old installation does not count: it knows too little to plan a build.
    pub async fn profile(&self, image_id: &str) -> Result<Option<StoredProfile>, StoreError> {
        self.newest_profile(profile::Column::ImageId.eq(image_id))
            .await
    }

    /// The newest profile found under an image's name; imported ones do not count.
    pub async fn profile_by_name(
        &self,
        image_name: &str,
    ) -> Result<Option<StoredProfile>, StoreError> {
        self.newest_profile(profile::Column::ImageName.eq(image_name))
            .await
    }

    async fn newest_profile(
        &self,
        condition: sea_orm::sea_query::SimpleExpr,
    ) -> Result<Option<StoredProfile>, StoreError> {
        profile::Entity::find()
            .filter(condition)
            // An imported one lacks what a plan needs to know.
            .filter(profile::Column::Imported.eq(false))
            .order_by_desc(profile::Column::UpdatedAt)
            .order_by_desc(profile::Column::Id)
            .one(self.reader())
            .await?
            .map(StoredProfile::try_from)
            .transpose()
    }

    /// At most `limit` profiles, newest first.
    pub async fn profiles(&self, limit: u64) -> Result<Vec<StoredProfile>, StoreError> {
        profile::Entity::find()
            .order_by_desc(profile::Column::Id)
            .limit(limit)
            .all(self.reader())
            .await?
            .into_iter()
            .map(StoredProfile::try_from)
            .collect()
    }

    /// Forgets all profiles; returns how many there were.
    pub async fn delete_profiles(&self) -> Result<u64, StoreError> {
        let tx = self.begin().await?;
        let deleted = profile::Entity::delete_many().exec(&tx).await?;
        tx.commit().await?;
        Ok(deleted.rows_affected)
    }
}
