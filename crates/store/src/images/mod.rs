//! Images: base images an operator registered, and what builds made.

pub(crate) mod lifetime;
pub(crate) mod profiles;

use std::collections::HashMap;

use fastbuild_spec::{image_spec::ImageSpec, reference::ImageReference};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, sea_query::OnConflict,
};
use strum::{Display, EnumString};

use crate::{
    BuildId, FinishedImage, Page, Store, StoreError,
    builds::{read::contains, read_size, stored_size},
    db::{
        paging,
        time::{micros, timestamp},
    },
    entity::image,
};

/// Where an image came from; spelt as the old protocol's `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString)]
pub enum ImageKind {
    /// An operator registered it.
    Base,
    /// A build made it.
    Customized,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The row's number.
    pub id: i64,
    /// The build that made it; 0 for a base image.
    pub build_id: BuildId,
    /// Registry and repository, without tag.
    pub name: String,
    /// The tag.
    pub tag: String,
    /// Where it came from.
    pub kind: ImageKind,
    /// The engine's id of it, `sha256:...`.
    pub image_id: String,
    /// The digest the registry knows it by.
    pub digest: Option<String>,
    /// Bytes it takes on the engine.
    pub size: u64,
    /// What it is for.
    pub description: String,
    /// Whether it takes SSH logins.
    pub ssh: bool,
    /// Whether it serves JupyterLab.
    pub jupyter_lab: bool,
    /// When it was first made or registered.
    pub created_at: Timestamp,
    /// When it was last made or registered.
    pub updated_at: Timestamp,
}

/// A base image to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBaseImage {
    /// Its name.
    pub reference: ImageReference,
    /// The engine's id of it, `sha256:...`.
    pub image_id: String,
    /// Bytes it takes on the engine.
    pub size: u64,
    /// What it is for.
    pub description: String,
}

/// Which images a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFilter {
    /// Part of the name or of the tag, upper and lower case alike.
    pub keyword: Option<String>,
    /// Where it came from.
    pub kind: Option<ImageKind>,
}

impl ImageFilter {
    fn condition(&self) -> Condition {
        let mut condition = Condition::all();
        if let Some(part) = self.keyword.as_deref().filter(|part| !part.is_empty()) {
            condition = condition.add(
                Condition::any()
                    .add(contains(image::Column::Name, part))
                    .add(contains(image::Column::Tag, part)),
            );
        }
        if let Some(kind) = self.kind {
            condition = condition.add(image::Column::Kind.eq(kind.to_string()));
        }
        condition
    }
}

impl TryFrom<image::Model> for Image {
    type Error = StoreError;

    fn try_from(row: image::Model) -> Result<Self, StoreError> {
        Ok(Self {
            kind: row
                .kind
                .parse()
                .map_err(|_| StoreError::corrupt("image type", &row.kind))?,
            size: read_size(row.size),
            created_at: timestamp(row.created_at)?,
            updated_at: timestamp(row.updated_at)?,
            id: row.id,
            build_id: row.build_id,
            name: row.name,
            tag: row.tag,
            image_id: row.image_id,
            digest: row.digest,
            description: row.description,
            ssh: row.ssh,
            jupyter_lab: row.jupyter_lab,
        })
    }
}

/// Writes a row, in place of an earlier one of the same name, tag and kind.
async fn put(tx: &DatabaseTransaction, row: image::ActiveModel) -> Result<(), StoreError> {
    image::Entity::insert(row)
        .on_conflict(
            OnConflict::columns([image::Column::Name, image::Column::Tag, image::Column::Kind])
                .update_columns([
                    image::Column::BuildId,
                    image::Column::ImageId,
                    image::Column::Digest,
                    image::Column::Size,
                    image::Column::Description,
                    image::Column::Ssh,
                    image::Column::JupyterLab,
                    image::Column::UpdatedAt,
                ])
                .to_owned(),
        )
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

/// The row of an image a build made.
pub(crate) async fn put_customized(
    tx: &DatabaseTransaction,
    build_id: BuildId,
    spec: &ImageSpec,
    made: &FinishedImage,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = image::ActiveModel {
        build_id: Set(build_id),
        name: Set(spec.target.name()),
        tag: Set(spec.target.tag().to_owned()),
        kind: Set(ImageKind::Customized.to_string()),
        image_id: Set(made.id.clone()),
        digest: Set(made.digest.clone()),
        size: Set(stored_size(made.size)),
        description: Set(spec.description.clone()),
        ssh: Set(spec.ssh),
        jupyter_lab: Set(spec.jupyter_lab),
        created_at: Set(micros(now)),
        updated_at: Set(micros(now)),
        ..Default::default()
    };
    put(tx, row).await
}

impl Store {
    /// Registers a base image, or renews what is known of it.
    pub async fn put_base_image(
        &self,
        new: &NewBaseImage,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        let row = image::ActiveModel {
            build_id: Set(0),
            name: Set(new.reference.name()),
            tag: Set(new.reference.tag().to_owned()),
            kind: Set(ImageKind::Base.to_string()),
            image_id: Set(new.image_id.clone()),
            digest: Set(new.reference.digest().map(str::to_owned)),
            size: Set(stored_size(new.size)),
            description: Set(new.description.clone()),
            ssh: Set(false),
            jupyter_lab: Set(false),
            created_at: Set(micros(now)),
            updated_at: Set(micros(now)),
            ..Default::default()
        };
        put(&tx, row).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A page of images, newest first, and how many there are on all pages.
    pub async fn images(
        &self,
        page: Page,
        filter: &ImageFilter,
    ) -> Result<(Vec<Image>, u64), StoreError> {
        let condition = filter.condition();
        let search = (!condition.is_empty()).then_some(condition);
        let tx = self.begin_read().await?;
        let (rows, total) =
            paging::page::<image::Entity, _>(&tx, image::Column::Id, search, page).await?;
        tx.commit().await?;
        let images = rows
            .into_iter()
            .map(Image::try_from)
            .collect::<Result<_, _>>()?;
        Ok((images, total))
    }

    /// At most `limit` images, newest first, that are older than the one numbered `before`.
    pub async fn search_images(
        &self,
        filter: &ImageFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Image>, StoreError> {
        let mut condition = filter.condition();
        if let Some(before) = before {
            condition = condition.add(image::Column::Id.lt(before));
        }
        image::Entity::find()
            .filter(condition)
            .order_by_desc(image::Column::Id)
            .limit(limit)
            .all(self.reader())
            .await?
            .into_iter()
            .map(Image::try_from)
            .collect()
    }

    /// The image of a row's number.
    pub async fn image(&self, id: i64) -> Result<Option<Image>, StoreError> {
        image::Entity::find_by_id(id)
            .one(self.reader())
            .await?
            .map(Image::try_from)
            .transpose()
    }

    /// The images of one name and tag: at most one of each kind.
    pub async fn images_named(&self, name: &str, tag: &str) -> Result<Vec<Image>, StoreError> {
        image::Entity::find()
            .filter(image::Column::Name.eq(name))
            .filter(image::Column::Tag.eq(tag))
            .all(self.reader())
            .await?
            .into_iter()
            .map(Image::try_from)
            .collect()
    }

    /// The oldest row of each of these engine's ids: several names of one image are several rows.
    pub async fn oldest_rows_of_images(
        &self,
        image_ids: impl IntoIterator<Item = &str>,
    ) -> Result<HashMap<String, i64>, StoreError> {
        let rows: Vec<(String, i64)> = image::Entity::find()
            .select_only()
            .column(image::Column::ImageId)
            .column_as(image::Column::Id.min(), "oldest")
            .filter(image::Column::ImageId.is_in(image_ids))
            .group_by(image::Column::ImageId)
            .into_tuple()
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// Forgets an image by its row's number, which frees its name for another build; says
    /// whether there was one.
    pub async fn delete_image(&self, id: i64) -> Result<bool, StoreError> {
        let tx = self.begin().await?;
        let deleted = image::Entity::delete_by_id(id).exec(&tx).await?;
        tx.commit().await?;
        Ok(deleted.rows_affected == 1)
    }
}
