//! A request becomes a row.

use fastbuild_spec::{
    event::Event,
    image_spec::{ImageSpec, ServicePasswords},
    limits::BuildLimits,
    state::BuildState,
};
use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, DatabaseTransaction, DbErr, EntityTrait as _, QueryFilter as _, SqlErr,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use super::{Build, BuildId, fence::append, lanes, to_json};
use crate::{
    EnqueueError, IdempotencyKey, ImageKind, Store, StoreError,
    builds::idempotency,
    db::{
        dialect::{self, Retry},
        seal::Seal,
        time::micros,
    },
    entity::{build, build_request, counter, image},
};

/// The counter task ids come from.
pub(crate) const TASK_IDS: &str = "task_id";

/// A request, checked and complete, on its way into the queue.
#[derive(Debug, Clone)]
pub struct NewBuild {
    /// The name the caller gave it, perhaps empty.
    pub name: String,
    /// The request as JSON, completed with defaults, its secrets masked.
    pub request: String,
    /// What to build.
    pub spec: ImageSpec,
    /// The passwords that go with it; sealed in the database.
    pub passwords: ServicePasswords,
    /// Where to tell how it ended; empty for nowhere.
    pub callback_url: String,
    /// The key under which the request may be repeated. It is written with the build; one that
    /// was used before is refused by the database.
    pub key: Option<IdempotencyKey>,
    /// For whom it is built; builds of different owners take turns.
    pub owner: String,
    /// Builds of a higher priority go first.
    pub priority: i32,
    /// How long it may take.
    pub limits: BuildLimits,
}

/// The form in which passwords are sealed.
#[derive(serde::Serialize, serde::Deserialize)]
struct Passwords<'a> {
    ssh: Option<std::borrow::Cow<'a, str>>,
    jupyter_lab: Option<std::borrow::Cow<'a, str>>,
}

fn purpose(build_id: BuildId) -> String {
    format!("build_requests.passwords/{build_id}")
}

fn seal_passwords(
    seal: &Seal,
    build_id: BuildId,
    passwords: &ServicePasswords,
) -> Result<Option<Vec<u8>>, StoreError> {
    use secrecy::ExposeSecret as _;
    if passwords.ssh.is_none() && passwords.jupyter_lab.is_none() {
        return Ok(None);
    }
    let plain = Passwords {
        ssh: passwords
            .ssh
            .as_ref()
            .map(|secret| secret.expose_secret().into()),
        jupyter_lab: passwords
            .jupyter_lab
            .as_ref()
            .map(|secret| secret.expose_secret().into()),
    };
    let plain = secrecy::SecretSlice::from(
        serde_json::to_vec(&plain).map_err(|_| StoreError::corrupt("passwords", "no text"))?,
    );
    seal.seal(&purpose(build_id), plain.expose_secret())
        .map(Some)
}

/// The passwords of a build, opened.
pub(super) fn open_passwords(
    seal: &Seal,
    build_id: BuildId,
    sealed: Option<&[u8]>,
) -> Result<ServicePasswords, StoreError> {
    use secrecy::ExposeSecret as _;
    let Some(sealed) = sealed else {
        return Ok(ServicePasswords::default());
    };
    let plain = seal.open(&purpose(build_id), sealed)?;
    let passwords: Passwords = serde_json::from_slice(plain.expose_secret())
        // The parser's own text could quote a password.
        .map_err(|_| StoreError::corrupt("passwords", "they are not in the stored form"))?;
    Ok(ServicePasswords {
        ssh: passwords.ssh.map(|text| text.into_owned().into()),
        jupyter_lab: passwords.jupyter_lab.map(|text| text.into_owned().into()),
    })
}

impl Store {
    /// Queues a build: gives it a number (milliseconds since the epoch, or one more than the
    /// last one given), a working folder, and its first event.
    ///
    /// `name_work_dir` renders a time as the folder's name, with microseconds; it is asked again
    /// with a later time where the name is taken.
    ///
    /// # Errors
    /// [`EnqueueError::TargetTaken`] when the target's name and tag are an image some build
    /// made, or another build is making them.
    pub async fn enqueue(
        &self,
        new: NewBuild,
        name_work_dir: &(dyn Fn(Timestamp) -> String + Send + Sync),
        now: Timestamp,
    ) -> Result<Build, EnqueueError> {
        let target = format!("{}:{}", new.spec.target.name(), new.spec.target.tag());
        let mut retry = Retry::default();
        loop {
            match self.try_enqueue(&new, &target, name_work_dir, now).await {
                Ok(build) => {
                    self.notifier.notify_queue();
                    self.notifier.notify_events();
                    return Ok(build);
                }
                // On a database with several writers the check can pass twice; the unique column
                // cannot. Where the other build has ended since, the target is asked for anew.
                Err(EnqueueError::Store(StoreError::Database(error)))
                    if is_target_taken(&error) =>
                {
                    if let Some(by) = under_way(self.reader(), &target).await? {
                        return Err(EnqueueError::TargetTaken {
                            target,
                            by,
                            under_way: true,
                        });
                    }
                }
                Err(error) if retry.after(&error).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_enqueue(
        &self,
        new: &NewBuild,
        target: &str,
        name_work_dir: &(dyn Fn(Timestamp) -> String + Send + Sync),
        now: Timestamp,
    ) -> Result<Build, EnqueueError> {
        let spec = &new.spec;
        let tx = self.begin().await?;
        if let Some(by) = under_way(&tx, target).await? {
            return Err(EnqueueError::TargetTaken {
                target: target.to_owned(),
                by,
                under_way: true,
            });
        }
        let build_id = next_task_id(&tx, now).await?;
        let work_dir_name = free_work_dir(&tx, name_work_dir, now).await?;
        build::Entity::insert(build::ActiveModel {
            id: Set(build_id),
            name: Set(dialect::storable(&new.name)),
            created_at: Set(micros(now)),
            updated_at: Set(micros(now)),
            state: Set(BuildState::Queued.to_string()),
            base_image: Set(spec.base.to_string()),
            target_image: Set(spec.target.to_string()),
            target_name: Set(spec.target.name()),
            target_tag: Set(spec.target.tag().to_owned()),
            active_target: Set(Some(target.to_owned())),
            description: Set(dialect::storable(&spec.description)),
            work_dir_name: Set(work_dir_name),
            callback_url: Set(dialect::storable(&new.callback_url)),
            attempt: Set(0),
            handed_back: Set(0),
            cancel_requested: Set(false),
            last_event: Set(0),
            owner: Set(new.owner.clone()),
            priority: Set(new.priority.into()),
            queued_at: Set(micros(now)),
            similarity_key: Set(spec.similarity_key()),
            limits: Set(Some(to_json("limits", &new.limits)?)),
            ..Default::default()
        })
        .exec_without_returning(&tx)
        .await?;
        // After the insert: a build of the same target that ended in between has left its image
        // by the time the insert got past the unique column.
        let made = image::Entity::find()
            .filter(image::Column::Name.eq(spec.target.name()))
            .filter(image::Column::Tag.eq(spec.target.tag()))
            .filter(image::Column::Kind.eq(ImageKind::Customized.to_string()))
            .one(&tx)
            .await?;
        if let Some(image) = made {
            return Err(EnqueueError::TargetTaken {
                target: target.to_owned(),
                by: image.build_id,
                under_way: false,
            });
        }
        build_request::Entity::insert(build_request::ActiveModel {
            build_id: Set(build_id),
            request: Set(new.request.clone()),
            spec: Set(to_json("image spec", spec)?),
            passwords: Set(seal_passwords(&self.seal, build_id, &new.passwords)?),
        })
        .exec_without_returning(&tx)
        .await?;
        if let Some(key) = &new.key {
            idempotency::insert(&tx, &self.seal, build_id, key, now).await?;
        }
        lanes::join(&tx, new.priority.into(), &new.owner).await?;
        append(
            &tx,
            build_id,
            0,
            &[Event::State {
                state: BuildState::Queued,
            }],
            now,
        )
        .await?;
        let row = super::read::find(&tx, build_id)
            .await?
            .ok_or_else(|| StoreError::corrupt("build", "it is gone as soon as it was written"))?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(row.try_into()?)
    }
}

/// Whether a unique column said that the target has a build under way.
pub(super) fn is_target_taken(error: &DbErr) -> bool {
    matches!(
        error.sql_err(),
        Some(SqlErr::UniqueConstraintViolation(detail)) if detail.contains("active_target")
    )
}

/// The build that is making the target right now.
pub(super) async fn under_way<C: sea_orm::ConnectionTrait>(
    connection: &C,
    target: &str,
) -> Result<Option<BuildId>, DbErr> {
    let row = build::Entity::find()
        .filter(build::Column::ActiveTarget.eq(target))
        .one(connection)
        .await?;
    Ok(row.map(|row| row.id))
}

/// The next number: now in milliseconds, or one more than the last one where the clock has not
/// moved on or went back. The counter outlives the rows, so a deleted build's number is not
/// given again.
async fn next_task_id(tx: &DatabaseTransaction, now: Timestamp) -> Result<BuildId, DbErr> {
    let floor = now.as_millisecond();
    // The row is there from the first build on. It is locked until the transaction ends, so that
    // builds are numbered, and their folders named, one after the other.
    counter::Entity::insert(counter::ActiveModel {
        name: Set(TASK_IDS.to_owned()),
        value: Set(floor - 1),
    })
    .on_conflict(
        OnConflict::column(counter::Column::Name)
            .do_nothing()
            .to_owned(),
    )
    .exec_without_returning(tx)
    .await?;
    let next = Expr::col(counter::Column::Value).add(1);
    counter::Entity::update_many()
        .col_expr(
            counter::Column::Value,
            Expr::case(next.clone().gt(floor), next)
                .finally(floor)
                .into(),
        )
        .filter(counter::Column::Name.eq(TASK_IDS))
        .exec(tx)
        .await?;
    let row = counter::Entity::find_by_id(TASK_IDS.to_owned())
        .one(tx)
        .await?;
    row.map(|row| row.value)
        .ok_or_else(|| DbErr::RecordNotFound("the counter of task ids".to_owned()))
}

/// A folder name no other build has.
async fn free_work_dir(
    tx: &DatabaseTransaction,
    name_work_dir: &(dyn Fn(Timestamp) -> String + Send + Sync),
    now: Timestamp,
) -> Result<String, StoreError> {
    // Each step is a microsecond; more builds than this in one microsecond are a fault.
    for step in 0..10_000 {
        let time = now
            .checked_add(jiff::SignedDuration::from_micros(step))
            .map_err(|error| StoreError::corrupt("time", error))?;
        let name = name_work_dir(time);
        let taken = build::Entity::find()
            .filter(build::Column::WorkDirName.eq(&name))
            .one(tx)
            .await?;
        if taken.is_none() {
            return Ok(name);
        }
    }
    Err(StoreError::corrupt(
        "working folder",
        "every name for this moment is taken",
    ))
}
