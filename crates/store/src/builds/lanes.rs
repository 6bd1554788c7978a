//! Whose turn it is: builds of a higher priority first, then one of each owner in turn, then the
//! oldest of that owner.
//!
//! An owner who has builds waiting has a lane, a row with their number and the owner's place in
//! the round. Taking a build moves its lane to the end of the round, so that a claim reads the
//! first lane and that lane's first build, however many builds wait. An owner whose last build is
//! taken leaves the round.

use fastbuild_spec::state::BuildState;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, DatabaseTransaction, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select,
    sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, OnConflict},
};

use crate::entity::{build, lane};

/// Lanes that a claim looks at: where workers claim side by side, the first builds of so many
/// lanes may be in their hands.
const LANES: u64 = 32;

/// The build that is next, locked; `None` when none waits.
pub(crate) async fn next(tx: &DatabaseTransaction) -> Result<Option<build::Model>, DbErr> {
    let lanes = lane::Entity::find()
        .order_by_desc(lane::Column::Priority)
        .order_by_asc(lane::Column::Turn)
        .limit(LANES)
        .all(tx)
        .await?;
    for lane in lanes {
        let first = unlocked(queued())
            .filter(build::Column::Priority.eq(lane.priority))
            .filter(build::Column::Owner.eq(lane.owner))
            .order_by_asc(build::Column::QueuedAt)
            .order_by_asc(build::Column::Id)
            .one(tx)
            .await?;
        if first.is_some() {
            return Ok(first);
        }
    }
    // Whatever became of the lanes, no build waits for ever.
    unlocked(queued())
        .order_by_asc(build::Column::Id)
        .one(tx)
        .await
}

fn queued() -> Select<build::Entity> {
    build::Entity::find().filter(build::Column::State.eq(BuildState::Queued.to_string()))
}

/// Where writers run side by side each must pass over rows another is taking. SQLite has one
/// writer and knows no such clause; the builder leaves it out.
fn unlocked(builds: Select<build::Entity>) -> Select<build::Entity> {
    builds.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
}

/// A build comes to the queue.
pub(crate) async fn join(
    tx: &DatabaseTransaction,
    priority: i64,
    owner: &str,
) -> Result<(), DbErr> {
    let turn = end_of_round(tx, priority).await?;
    lane::Entity::insert(lane::ActiveModel {
        priority: Set(priority),
        owner: Set(owner.to_owned()),
        queued: Set(1),
        turn: Set(turn),
    })
    .on_conflict(
        OnConflict::columns([lane::Column::Priority, lane::Column::Owner])
            .value(
                lane::Column::Queued,
                Expr::col((lane::Entity, lane::Column::Queued)).add(1),
            )
            .to_owned(),
    )
    .exec_without_returning(tx)
    .await?;
    Ok(())
}

/// A build leaves the queue for its worker: its owner has had a turn.
pub(crate) async fn take_turn(
    tx: &DatabaseTransaction,
    priority: i64,
    owner: &str,
) -> Result<(), DbErr> {
    let turn = end_of_round(tx, priority).await?;
    count_down(tx, priority, owner, Some(turn)).await
}

/// A build leaves the queue because nobody wants it any more.
pub(crate) async fn leave(
    tx: &DatabaseTransaction,
    priority: i64,
    owner: &str,
) -> Result<(), DbErr> {
    count_down(tx, priority, owner, None).await
}

async fn count_down(
    tx: &DatabaseTransaction,
    priority: i64,
    owner: &str,
    turn: Option<i64>,
) -> Result<(), DbErr> {
    let mut update = lane::Entity::update_many()
        .col_expr(lane::Column::Queued, Expr::col(lane::Column::Queued).sub(1))
        .filter(lane::Column::Priority.eq(priority))
        .filter(lane::Column::Owner.eq(owner));
    if let Some(turn) = turn {
        update = update.col_expr(lane::Column::Turn, Expr::value(turn));
    }
    update.exec(tx).await?;
    lane::Entity::delete_many()
        .filter(lane::Column::Priority.eq(priority))
        .filter(lane::Column::Owner.eq(owner))
        .filter(lane::Column::Queued.lte(0))
        .exec(tx)
        .await?;
    Ok(())
}

/// The place behind everybody. Two writers side by side may be given the same; which of them is
/// first does not matter.
async fn end_of_round(tx: &DatabaseTransaction, priority: i64) -> Result<i64, DbErr> {
    let last: Option<i64> = lane::Entity::find()
        .select_only()
        .column(lane::Column::Turn)
        .filter(lane::Column::Priority.eq(priority))
        .order_by_desc(lane::Column::Turn)
        .into_tuple()
        .one(tx)
        .await?;
    Ok(last.unwrap_or(0) + 1)
}
