//! A service that kills itself at a named point of a build's way, at every one of them, on both
//! databases: started again it brings the build to its end, once.

use std::{ops::RangeInclusive, os::unix::process::ExitStatusExt as _, path::Path, sync::Arc};

use fastbuild_engine::crash::CrashPoint;
use fastbuild_testkit::{
    client::wait_for_callbacks, env::TestEnv, postgres::TestDatabase, request::Request,
};
use strum::IntoEnumIterator as _;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::support::{
    events::attempts_of_a_success,
    installation::{EngineKind, Installation, TIMEOUT},
    leftovers::wait_for_nothing_beside,
};

/// Services that run at a time.
const AT_A_TIME: usize = 3;
const CRASH_AT: &str = "CRASH_AT";

/// Which database a service is on.
#[derive(Debug, Clone, Copy)]
enum Database {
    Sqlite,
    Postgres,
}

#[tokio::test]
async fn a_build_survives_a_crash_at_every_point_on_sqlite() {
    crash_everywhere(Database::Sqlite).await;
}

#[tokio::test]
async fn a_build_survives_a_crash_at_every_point_on_postgres() {
    crash_everywhere(Database::Postgres).await;
}

async fn crash_everywhere(database: Database) {
    let room = Arc::new(Semaphore::new(AT_A_TIME));
    let mut crashing = JoinSet::new();
    for point in CrashPoint::iter() {
        let room = room.clone();
        crashing.spawn(async move {
            let _place = room.acquire_owned().await.unwrap();
            crash_at(point, database).await;
        });
    }
    while let Some(ended) = crashing.join_next().await {
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// How many attempts a build has whose service died at this point.
fn attempts(point: CrashPoint) -> RangeInclusive<i64> {
    match point {
        // A worker may have been as quick as the end.
        CrashPoint::Queued => 1..=2,
        CrashPoint::AfterEnd
        | CrashPoint::BeforeTry
        | CrashPoint::AfterTry
        | CrashPoint::Recorded => 1..=1,
        CrashPoint::Claimed
        | CrashPoint::SiteKnown
        | CrashPoint::Pulling
        | CrashPoint::Pulled
        | CrashPoint::Probing
        | CrashPoint::Probed
        | CrashPoint::Planned
        | CrashPoint::Building
        | CrashPoint::Built
        | CrashPoint::BeforePush
        | CrashPoint::Pushing
        | CrashPoint::Pushed
        | CrashPoint::BeforeEnd => 2..=2,
    }
}

async fn crash_at(point: CrashPoint, database: Database) {
    let at = format!("{point}, {database:?}");
    let env = TestEnv::load().unwrap();
    let server = env.postgres().unwrap();
    // Dropped after the service that uses it.
    let shared =
        matches!(database, Database::Postgres).then(|| TestDatabase::create(server).unwrap());
    let name = point.to_string();
    // So long that only a process that has ended loses one, however slow the machine is.
    let mut variables = vec![(CRASH_AT, name.as_str()), ("BUILDS__LEASE_SECONDS", "600")];
    if let Some(shared) = &shared {
        variables.push(("DATABASE_URL", &shared.url));
    }
    let mut installation = Installation::configured_with(EngineKind::PlainEngine, &variables).await;
    let target = installation.target("1");
    let request = Request::new(&installation.base(&installation.env.images.debian), &target)
        .callback(&installation.callback_url());

    // A service that dies soon after it has taken a build may not answer its caller any more.
    let answered = installation.client().submit(request.body()).await;
    assert!(answered.is_err() || point != CrashPoint::Queued, "{at}");
    let status = installation.service.wait_for_death(TIMEOUT).await.unwrap();
    assert_eq!(status.signal(), Some(9), "{at}: {status}");
    if let Some(shared) = &shared {
        let_leases_run_out(shared);
    }
    installation
        .service
        .restart_without(CRASH_AT)
        .await
        .unwrap();

    let builds = installation.client().builds_of(&target).await.unwrap();
    assert_eq!(builds.len(), 1, "{at}: {builds:?}");
    let task_id = builds[0]["id"].as_i64().unwrap();
    let task = installation
        .client()
        .wait_for_end(task_id, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(task["detail_state"], "PUSH_SUCCESS", "{at}: {task:#}");
    assert!(installation.registry_has(&target).await, "{at}");
    let callbacks = wait_for_callbacks(&installation.env, &installation.token, 1, TIMEOUT)
        .await
        .unwrap();
    assert!(
        callbacks[0].to_string().contains("PUSH_SUCCESS"),
        "{at}: {callbacks:?}"
    );
    let steps = installation.client().steps(task_id).await.unwrap();
    let ended: Vec<&str> = steps
        .iter()
        .map(|step| step["status"].as_str().unwrap())
        .collect();
    assert_eq!(ended, ["success"; 5], "{at}: {steps:#?}");
    let events = installation.client().events(task_id).await.unwrap();
    let taken = attempts_of_a_success(&events, &at);
    assert!(attempts(point).contains(&taken), "{at}: {taken} attempts");
    wait_for_nothing_beside(installation.engine(EngineKind::PlainEngine), &target, &at).await;
    let password = installation.env.registry.user.password.as_bytes();
    assert_eq!(
        files_with(installation.directory.path(), password),
        Vec::<String>::new(),
        "{at}"
    );
    drop(installation);
}

/// Puts every lease and sign of life into the past: what the others wait for.
fn let_leases_run_out(database: &TestDatabase) {
    for (table, column) in [
        ("builds", "lease_until"),
        ("deliveries", "claimed_until"),
        ("replicas", "seen_at"),
    ] {
        let statement = format!("UPDATE {table} SET {column} = 1 WHERE {column} IS NOT NULL");
        database.execute(&statement).unwrap();
    }
}

/// The files below a folder in which some bytes stand.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if std::fs::read(&path)
            .is_ok_and(|content| content.windows(bytes.len()).any(|part| part == bytes))
        {
            found.push(path.display().to_string());
        }
    }
    found
}
