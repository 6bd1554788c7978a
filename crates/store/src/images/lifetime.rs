//! The lives of images on engines: when each came, by pull or build, when it was last used, and
//! when it was removed. What nobody used for long is found here.

use fastbuild_spec::{reference::ImageReference, settings::host_and_port};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, sea_query::Expr,
};
use strum::{Display, EnumString};

use crate::{
    ImageKind, SettingsRevisions, Store, StoreError,
    builds::stored_size,
    db::{
        dialect,
        time::{maybe_timestamp, micros, timestamp},
    },
    entity::{engine_revision, image, image_lifetime, setting_docker_server},
};

/// The part in which lives begin and end: an image has one life at a time on an engine.
const LIVES: &str = "image_lifetimes";

/// How an image came to an engine; spelt as the old protocol's `image_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum LifetimeKind {
    /// From a registry.
    Pull,
    /// A build made it.
    Build,
}

/// An image's time on an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLifetime {
    /// The row's number.
    pub id: i64,
    /// The image, with its tag.
    pub image_name: String,
    /// How it came.
    pub kind: LifetimeKind,
    /// The engine's address, `host:port`.
    pub engine: String,
    /// When it was pulled or built; where it was replaced under its name, when last.
    pub generated_at: Timestamp,
    /// When it was last pulled, checked, built or built upon.
    pub last_used_at: Timestamp,
    /// When it was removed; `None` while it is there.
    pub deleted_at: Option<Timestamp>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An image that was found on an engine because somebody uses it.
#[derive(Debug, Clone, Copy)]
pub struct ImageSeen<'a> {
    /// The engine's address, `host:port`.
    pub engine: &'a str,
    /// The image.
    pub image: &'a ImageReference,
    /// The engine's id of it, `sha256:...`.
    pub image_id: &'a str,
    /// Bytes it takes there.
    pub size: u64,
    /// Whether a registry was asked for it just now. What others put on the engine is no life of
    /// ours: it may exist nowhere else, and is never cleaned away.
    pub pulled: bool,
}

impl TryFrom<image_lifetime::Model> for ImageLifetime {
    type Error = StoreError;

    fn try_from(row: image_lifetime::Model) -> Result<Self, StoreError> {
        Ok(Self {
            kind: row
                .image_type
                .parse()
                .map_err(|_| StoreError::corrupt("image life's type", &row.image_type))?,
            generated_at: timestamp(row.generated_at)?,
            last_used_at: timestamp(row.last_used_at)?,
            deleted_at: maybe_timestamp(row.deleted_at)?,
            created_at: timestamp(row.created_at)?,
            updated_at: timestamp(row.updated_at)?,
            id: row.id,
            image_name: row.image_name,
            engine: row.engine,
        })
    }
}

fn living(engine: &str, image_name: &str) -> sea_orm::Condition {
    sea_orm::Condition::all()
        .add(image_lifetime::Column::Engine.eq(engine))
        .add(image_lifetime::Column::ImageName.eq(image_name))
        .add(image_lifetime::Column::DeletedAt.is_null())
}

async fn begin(
    tx: &DatabaseTransaction,
    engine: &str,
    image_name: &str,
    kind: LifetimeKind,
    now: Timestamp,
) -> Result<(), StoreError> {
    image_lifetime::Entity::insert(image_lifetime::ActiveModel {
        image_name: Set(image_name.to_owned()),
        image_type: Set(kind.to_string()),
        engine: Set(engine.to_owned()),
        generated_at: Set(micros(now)),
        last_used_at: Set(micros(now)),
        created_at: Set(micros(now)),
        updated_at: Set(micros(now)),
        ..Default::default()
    })
    .exec_without_returning(tx)
    .await?;
    Ok(())
}

/// Notes a use; whether a life was there to note it in.
async fn used(
    tx: &DatabaseTransaction,
    engine: &str,
    image_name: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let updated = image_lifetime::Entity::update_many()
        .col_expr(image_lifetime::Column::LastUsedAt, Expr::value(micros(now)))
        .col_expr(image_lifetime::Column::UpdatedAt, Expr::value(micros(now)))
        .filter(living(engine, image_name))
        .exec(tx)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// The address of the engine that a build's settings name, as [`ImageLifetime::engine`] has it.
pub(crate) async fn engine_address(
    tx: &DatabaseTransaction,
    revisions: SettingsRevisions,
) -> Result<Option<String>, StoreError> {
    if let Some(revision) = revisions.engine {
        let row = engine_revision::Entity::find_by_id(revision)
            .one(tx)
            .await?;
        return Ok(row.map(|row| host_and_port(&row.host, row.port)));
    }
    let Some(revision) = revisions.docker_server else {
        return Ok(None);
    };
    let row = setting_docker_server::Entity::find_by_id(revision)
        .one(tx)
        .await?;
    Ok(row.map(|row| host_and_port(&row.host, row.port)))
}

/// Notes that a build made an image on an engine from a base image there.
pub(crate) async fn built(
    tx: &DatabaseTransaction,
    engine: &str,
    image_name: &str,
    base_name: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    dialect::one_at_a_time(tx, LIVES).await?;
    used(tx, engine, base_name, now).await?;
    // What had the name until now lost it to the new image.
    end(tx, engine, image_name, now).await?;
    begin(tx, engine, image_name, LifetimeKind::Build, now).await
}

/// Notes a removal; whether a life was there to end.
async fn end(
    tx: &DatabaseTransaction,
    engine: &str,
    image_name: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let updated = image_lifetime::Entity::update_many()
        .col_expr(image_lifetime::Column::DeletedAt, Expr::value(micros(now)))
        .col_expr(image_lifetime::Column::UpdatedAt, Expr::value(micros(now)))
        .filter(living(engine, image_name))
        .exec(tx)
        .await?;
    Ok(updated.rows_affected > 0)
}

impl Store {
    /// Notes that an image is on an engine and is used: its life begins or goes on, and a
    /// registered base image learns its id and size.
    pub async fn image_seen(&self, seen: ImageSeen<'_>, now: Timestamp) -> Result<(), StoreError> {
        let image_name = seen.image.to_string();
        let tx = self.begin().await?;
        dialect::one_at_a_time(&tx, LIVES).await?;
        if !used(&tx, seen.engine, &image_name, now).await? && seen.pulled {
            begin(&tx, seen.engine, &image_name, LifetimeKind::Pull, now).await?;
        }
        image::Entity::update_many()
            .col_expr(image::Column::ImageId, Expr::value(seen.image_id))
            .col_expr(image::Column::Size, Expr::value(stored_size(seen.size)))
            .col_expr(image::Column::UpdatedAt, Expr::value(micros(now)))
            .filter(image::Column::Name.eq(seen.image.name()))
            .filter(image::Column::Tag.eq(seen.image.tag()))
            .filter(image::Column::Kind.eq(ImageKind::Base.to_string()))
            .filter(image::Column::ImageId.ne(seen.image_id))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Notes that an image was removed from an engine. Of one whose life nobody noted, the whole
    /// life is written now: it came as `kind`, at the latest by `since`.
    pub async fn image_removed(
        &self,
        engine: &str,
        image_name: &str,
        kind: LifetimeKind,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        dialect::one_at_a_time(&tx, LIVES).await?;
        if !end(&tx, engine, image_name, now).await? {
            begin(&tx, engine, image_name, kind, since).await?;
            end(&tx, engine, image_name, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// At most `limit` times of images on engines, newest first.
    pub async fn image_lives(&self, limit: u64) -> Result<Vec<ImageLifetime>, StoreError> {
        image_lifetime::Entity::find()
            .order_by_desc(image_lifetime::Column::Id)
            .limit(limit)
            .all(self.reader())
            .await?
            .into_iter()
            .map(ImageLifetime::try_from)
            .collect()
    }

    /// What is on an engine and was not used after `cutoff`, longest unused first.
    pub async fn images_unused_since(
        &self,
        engine: &str,
        cutoff: Timestamp,
    ) -> Result<Vec<ImageLifetime>, StoreError> {
        image_lifetime::Entity::find()
            .filter(image_lifetime::Column::Engine.eq(engine))
            .filter(image_lifetime::Column::DeletedAt.is_null())
            .filter(image_lifetime::Column::LastUsedAt.lte(micros(cutoff)))
            .order_by_asc(image_lifetime::Column::LastUsedAt)
            .order_by_asc(image_lifetime::Column::Id)
            .all(self.reader())
            .await?
            .into_iter()
            .map(ImageLifetime::try_from)
            .collect()
    }
}
