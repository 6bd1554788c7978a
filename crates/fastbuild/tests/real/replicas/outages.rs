//! The database server ends while builds run and are followed, and comes back.

use fastbuild_testkit::{
    env::TestEnv,
    postgres::{TestDatabase, server::OwnServer},
};
use serde_json::{Value, json};

use super::{Pair, follow::follow};
use crate::support::{
    events::attempts_of_a_success,
    fake_engine,
    installation::{Installation, TIMEOUT},
    v1::{dependencies, get, post, wait_for_number, wait_for_readiness},
};

const DATABASE_UP: [&str; 1] = ["fastbuild_database_up"];

#[tokio::test]
async fn builds_and_those_who_follow_them_outlive_an_orderly_end_of_the_database() {
    outlive(async |server| server.stop().await.unwrap()).await;
}

#[tokio::test]
async fn builds_and_those_who_follow_them_outlive_a_crash_of_the_database() {
    outlive(async |server| server.kill().await.unwrap()).await;
}

async fn outlive(end: impl AsyncFnOnce(&mut OwnServer)) {
    let shared = TestEnv::load().unwrap();
    let mut server = OwnServer::start(shared.postgres().unwrap()).await.unwrap();
    let password = server.part.user.password.clone();
    let pair = Pair::on(TestDatabase::create(&server.part).unwrap()).await;
    let engine = fake_engine::endless(&shared).await;
    pair.configure(fake_engine::fields(&pair.one, &engine))
        .await;
    let builds = [
        pair.one.submit(&fake_engine::request(&pair.one, "1")).await,
        pair.two.submit(&fake_engine::request(&pair.one, "2")).await,
    ];
    let followed = pair.both().map(|installation| {
        builds.map(|build| tokio::spawn(follow(installation.client().url.clone(), build)))
    });
    let running = |_: &_| engine.holdings().building == builds.len();
    let client = pair.one.client();
    client
        .wait_for_task(builds[0], TIMEOUT, running)
        .await
        .unwrap();

    end(&mut server).await;
    tokio::join!(
        says_what_is_wrong(&pair.one, &password),
        says_what_is_wrong(&pair.two, &password)
    );
    server.start_again().await.unwrap();
    engine.hurry();

    for installation in pair.both() {
        wait_for_readiness(installation, 200).await;
        wait_for_number(installation, &DATABASE_UP, 1).await;
    }
    for followed in followed {
        for (build, followed) in builds.into_iter().zip(followed) {
            let events = followed.await.unwrap();
            attempts_of_a_success(&events, "after the outage");
            assert_eq!(client.events(build).await.unwrap(), events);
        }
    }
    for tag in ["1", "2"] {
        assert!(pair.two.registry_has(&pair.one.target(tag)).await);
    }
    // What they left is done with, and the replicas work on.
    let after = fake_engine::request(&pair.two, "after");
    assert_eq!(pair.two.run(&after).await["state"], "PUSH_SUCCESS");
    assert_eq!(engine.holdings().building, 0);
}

/// A replica whose database is gone lives, knows it, and tells whoever asks, but no secret.
async fn says_what_is_wrong(installation: &Installation, password: &str) {
    let (found, refusals) = tokio::join!(looks(installation), refusals(installation));
    for said in [found, refusals] {
        assert!(!said.contains(password), "{said}");
        assert!(!said.contains("postgres://"), "{said}");
    }
}

/// What the replica tells monitoring.
async fn looks(installation: &Installation) -> String {
    assert_eq!(get(installation, "/healthz").await.status, 200);
    wait_for_number(installation, &DATABASE_UP, 0).await;
    let ready = wait_for_readiness(installation, 503).await;
    let states = dependencies(&ready);
    assert_eq!(states[0], "database: bad");
    // This machine's own disk and descriptors can be looked at without it.
    let of_machine = ["disk: good", "open_files: good"];
    assert!(
        states[1..]
            .iter()
            .all(|one| one.ends_with(": not_seen") || of_machine.contains(&one.as_str())),
        "{states:?}"
    );
    let database = &ready.json()["dependencies"][0];
    assert_eq!(database["code"], "DatabaseUnavailable");
    names_the_database(database);
    ready.text
}

/// What callers of version 1 and of the old protocol are told.
async fn refusals(installation: &Installation) -> String {
    let document = json!({
        "base": installation.base(&installation.env.images.debian),
        "target": installation.target("refused"),
    });
    let request = fake_engine::request(installation, "refused");
    let (problem, refusal) = tokio::join!(
        post(installation, "/api/v1/builds", &document),
        installation.client().submit(request.body()),
    );
    assert_eq!(problem.header("content-type"), "application/problem+json");
    assert_eq!(problem.json()["code"], "DatabaseUnavailable");
    names_the_database(&problem.json());
    let refusal = refusal.unwrap();
    assert_eq!(
        (refusal.status, &refusal.body["code"]),
        (500, &json!("DatabaseUnavailable")),
        "{}",
        refusal.body
    );
    assert!(refusal.message().contains("数据库"), "{}", refusal.body);
    format!("{}\n{}", problem.text, refusal.body)
}

/// What happened and what to do about it are about the database.
fn names_the_database(told: &Value) {
    for sentence in [&told["detail"], &told["hint"]] {
        let sentence = sentence.as_str().unwrap();
        assert!(sentence.contains("database"), "{told:#}");
    }
}
