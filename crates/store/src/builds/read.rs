//! Looking at builds, and forgetting them.

use fastbuild_spec::state::BuildState;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, Func, LikeExpr, SimpleExpr},
};
use strum::IntoEnumIterator as _;

use super::{Build, BuildId, parse_state};
use crate::{
    Store, StoreError,
    db::{dialect, paging},
    entity::{build, build_request},
};

/// Which part of a list is wanted, as the old protocol says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// From 1; less counts as 1.
    pub number: i64,
    /// Rows per page; negative is all of them.
    pub size: i64,
}

impl Page {
    /// Everything.
    pub const ALL: Self = Self {
        number: 1,
        size: -1,
    };

    /// Rows to pass over and rows to take; `None` takes all.
    pub(crate) fn bounds(self) -> (u64, Option<u64>) {
        match u64::try_from(self.size) {
            Ok(size) => {
                let before = u64::try_from(Ord::max(self.number, 1) - 1).unwrap_or_default();
                // More rows than a table can have; beyond it databases refuse the number.
                let limit = i64::MAX.unsigned_abs();
                (
                    Ord::min(before.saturating_mul(size), limit),
                    Some(Ord::min(size, limit)),
                )
            }
            Err(_) => (0, None),
        }
    }
}

/// Which builds a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildFilter {
    /// Part of the target image's name with its tag, upper and lower case alike.
    pub image_name: Option<String>,
    /// In one of these states; `None` for any.
    pub states: Option<Vec<BuildState>>,
}

/// What a request to forget a build came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// There is no such build.
    NotFound,
    /// It has not ended, and stays.
    UnderWay(BuildState),
    /// It is forgotten; this is what it was.
    Deleted(Box<Build>),
}

/// Whether a text column holds `part` somewhere, upper and lower case alike.
///
/// Both sides are lowered: databases do not agree on the case rules of `LIKE`.
pub(crate) fn contains<C: sea_orm::ColumnTrait>(column: C, part: &str) -> SimpleExpr {
    let escaped = dialect::storable(part)
        .to_lowercase()
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    Expr::expr(Func::lower(Expr::col(column.as_column_ref())))
        .like(LikeExpr::new(format!("%{escaped}%")).escape('\\'))
}

/// A build's row.
pub(crate) async fn find<C: ConnectionTrait>(
    connection: &C,
    build_id: BuildId,
) -> Result<Option<build::Model>, sea_orm::DbErr> {
    build::Entity::find()
        .filter(build::Column::Id.eq(build_id))
        .one(connection)
        .await
}

/// A build's row, by a caller that has just written it.
pub(crate) async fn found<C: ConnectionTrait>(
    connection: &C,
    build_id: BuildId,
) -> Result<build::Model, StoreError> {
    find(connection, build_id)
        .await?
        .ok_or_else(|| StoreError::corrupt("build", format!("the row of {build_id} is missing")))
}

fn into_builds(rows: Vec<build::Model>) -> Result<Vec<Build>, StoreError> {
    rows.into_iter().map(Build::try_from).collect()
}

impl Store {
    /// One build.
    pub async fn build(&self, build_id: BuildId) -> Result<Option<Build>, StoreError> {
        find(self.reader(), build_id)
            .await?
            .map(Build::try_from)
            .transpose()
    }

    /// The request a build came from, as JSON, completed and with its secrets masked.
    pub async fn request(&self, build_id: BuildId) -> Result<Option<String>, StoreError> {
        let text = build_request::Entity::find_by_id(build_id)
            .select_only()
            .column(build_request::Column::Request)
            .into_tuple()
            .one(self.reader())
            .await?;
        Ok(text)
    }

    /// The build whose files are shown under a working folder's name.
    pub async fn build_by_work_dir(&self, name: &str) -> Result<Option<Build>, StoreError> {
        build::Entity::find()
            .filter(build::Column::WorkDirName.eq(dialect::storable(name)))
            .one(self.reader())
            .await?
            .map(Build::try_from)
            .transpose()
    }

    /// A page of builds, newest first, and how many there are on all pages.
    pub async fn builds(
        &self,
        page: Page,
        filter: &BuildFilter,
    ) -> Result<(Vec<Build>, u64), StoreError> {
        let mut condition = Condition::all();
        if let Some(part) = filter.image_name.as_deref().filter(|part| !part.is_empty()) {
            condition = condition.add(contains(build::Column::TargetImage, part));
        }
        if let Some(states) = &filter.states {
            let states = states.iter().map(BuildState::to_string);
            condition = condition.add(build::Column::State.is_in(states));
        }
        let search = (!condition.is_empty()).then_some(condition);
        // One transaction sees one moment: rows and total agree.
        let tx = self.begin_read().await?;
        let (rows, total) =
            paging::page::<build::Entity, _>(&tx, build::Column::Id, search, page).await?;
        tx.commit().await?;
        Ok((into_builds(rows)?, total))
    }

    /// All builds in any of these states, newest first.
    pub async fn builds_in(&self, states: &[BuildState]) -> Result<Vec<Build>, StoreError> {
        let states = states.iter().map(BuildState::to_string);
        let rows = build::Entity::find()
            .filter(build::Column::State.is_in(states))
            .order_by_desc(build::Column::Id)
            .all(self.reader())
            .await?;
        into_builds(rows)
    }

    /// All builds that a worker has, newest first.
    pub async fn running_builds(&self) -> Result<Vec<Build>, StoreError> {
        let running: Vec<BuildState> = BuildState::iter()
            .filter(|state| !state.is_terminal() && *state != BuildState::Queued)
            .collect();
        self.builds_in(&running).await
    }

    /// All builds whose target image's name, with its tag, holds this part; newest first.
    pub async fn builds_by_target(&self, part: &str) -> Result<Vec<Build>, StoreError> {
        let filter = BuildFilter {
            image_name: Some(part.to_owned()),
            states: None,
        };
        Ok(self.builds(Page::ALL, &filter).await?.0)
    }

    /// Forgets a build that has ended, with its events, steps and deliveries. The image it made
    /// keeps its row.
    pub async fn delete_build(&self, build_id: BuildId) -> Result<DeleteOutcome, StoreError> {
        let tx = self.begin().await?;
        let row = build::Entity::find()
            .filter(build::Column::Id.eq(build_id))
            // Nobody may begin it anew between this look and the deletion.
            .lock_exclusive()
            .one(&tx)
            .await?;
        let Some(row) = row else {
            return Ok(DeleteOutcome::NotFound);
        };
        let state = parse_state(&row.state)?;
        if !state.is_terminal() {
            return Ok(DeleteOutcome::UnderWay(state));
        }
        // What hangs on the build goes by the foreign keys.
        build::Entity::delete_by_id(row.row_id).exec(&tx).await?;
        tx.commit().await?;
        Ok(DeleteOutcome::Deleted(Box::new(row.try_into()?)))
    }
}
