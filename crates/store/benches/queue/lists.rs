//! What it takes to read one build, and pages of builds, out of a million as against a thousand.

use std::time::Instant;

use anyhow::{Result, ensure};
use fastbuild_spec::state::BuildState;
use fastbuild_store::{BuildFilter, BuildSearch, Page, Store};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::database::Database;

const FEW: i64 = 1_000;
const MANY: i64 = 1_000_000;
/// How often each question is asked of either database.
const TIMES: usize = 2_000;
/// The number of the first build, and how far the next is from it.
const FIRST: i64 = 1_795_426_000_000;
const GAP: i64 = 731;
/// Every so many builds, one failed.
const FAILED: i64 = 20;
const PAGE: i64 = 20;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Question {
    /// One build by its number.
    Get,
    /// The newest builds, as the old protocol lists them, with the total.
    FirstPage,
    /// Any page of the old protocol's list.
    AnyPage,
    /// A piece of version 1's list, from anywhere on.
    FromCursor,
    /// A piece of version 1's list in a state that one build of twenty is in.
    InState,
}

impl Question {
    const ALL: [Self; 5] = [
        Self::Get,
        Self::FirstPage,
        Self::AnyPage,
        Self::FromCursor,
        Self::InState,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Get => "get one build",
            Self::FirstPage => "first page, with the total",
            Self::AnyPage => "any page, with the total",
            Self::FromCursor => "a piece from any cursor on",
            Self::InState => "a piece of one state, from any cursor on",
        }
    }

    /// Asks it, and returns how long the answer took, in milliseconds.
    async fn ask(self, store: &Store, rows: i64, random: &mut StdRng) -> Result<f64> {
        // Never so near to the oldest that fewer builds are left than are asked for.
        let row = random.random_range(PAGE * FAILED..rows);
        let build_id = FIRST + row * GAP;
        let page = |number| Page { number, size: PAGE };
        let search = |states| BuildSearch {
            states,
            before: Some(build_id),
            ..BuildSearch::default()
        };
        let (all, pieces) = (BuildFilter::default(), PAGE.unsigned_abs());
        let begun = Instant::now();
        let found = match self {
            Self::Get => usize::from(store.build(build_id).await?.is_some()),
            Self::FirstPage => store.builds(page(1), &all).await?.0.len(),
            Self::AnyPage => store
                .builds(page((rows - row) / PAGE + 1), &all)
                .await?
                .0
                .len(),
            Self::FromCursor => store.search_builds(&search(vec![]), pieces).await?.len(),
            Self::InState => {
                let search = search(vec![BuildState::BuildFailed]);
                store.search_builds(&search, pieces).await?.len()
            }
        };
        let milliseconds = begun.elapsed().as_secs_f64() * 1_000.0;
        ensure!(found > 0, "{} found nothing", self.name());
        Ok(milliseconds)
    }
}

/// Asks every question of both databases in turn.
pub(crate) async fn measure(few: &Database, many: &Database) -> Result<Vec<Value>> {
    fill(few, FEW).await?;
    fill(many, MANY).await?;
    let mut random = StdRng::seed_from_u64(1);
    let mut lines = Vec::new();
    for question in Question::ALL {
        let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            of_few.push(question.ask(&few.store, FEW, &mut random).await?);
            of_many.push(question.ask(&many.store, MANY, &mut random).await?);
        }
        let (of_few, of_many) = (Quantiles::of(of_few), Quantiles::of(of_many));
        lines.push(json!({
            "database": few.kind.name(),
            "question": question.name(),
            "thousand": of_few.json(),
            "million": of_many.json(),
            "ratio_99": of_many.high / of_few.high,
        }));
    }
    Ok(lines)
}

/// Builds that have ended.
async fn fill(database: &Database, rows: i64) -> Result<()> {
    database
        .execute(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {rows}) \
             INSERT INTO builds (id, name, state, base_image, target_image, target_name, \
             target_tag, description, work_dir_name, callback_url, attempt, handed_back, \
             cancel_requested, last_event, created_at, updated_at) \
             SELECT {FIRST} + i * {GAP}, 'task ' || i, \
             CASE WHEN i % {FAILED} = 0 THEN 'BUILD_FAILED' ELSE 'PUSH_SUCCESS' END, 'r/base:1', \
             'registry.site/made/image-' || i || ':v1', 'registry.site/made/image-' || i, 'v1', \
             'one of many', 'dir-' || i, '', 1, 0, 1 = 0, 1, i, i FROM n"
        ))
        .await?;
    // A server does so by itself some time after so many rows came.
    database.execute("ANALYZE builds").await
}

/// The median and the 99th percentile, in milliseconds.
struct Quantiles {
    median: f64,
    high: f64,
}

impl Quantiles {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |percent: usize| values[(values.len() - 1) * percent / 100];
        Self {
            median: at(50),
            high: at(99),
        }
    }

    fn json(&self) -> Value {
        json!({"median_ms": self.median, "99th_ms": self.high})
    }
}
