//! Two services on one PostgreSQL database.

use fastbuild_testkit::{
    client::SiteFields,
    parts::Parts,
    postgres::TestDatabase,
    request::Request,
    service::{Service, ServiceOptions},
};
use tempfile::TempDir;

use crate::site::PATIENCE;

/// Two replicas, each with a folder of its own, and what they share.
struct Pair {
    parts: Parts,
    one: Service,
    two: Service,
    token: String,
    // Dropped last: the services use them.
    database: TestDatabase,
    directories: [TempDir; 2],
}

fn options(parts: &Parts, database: &TestDatabase, directory: &TempDir) -> ServiceOptions {
    ServiceOptions::new(env!("CARGO_BIN_EXE_fastbuild"), directory.path(), parts)
        .variable("DATABASE_URL", &database.url)
        .variable("BUILDS__LEASE_SECONDS", "8")
}

impl Pair {
    async fn configured() -> Self {
        let parts = Parts::load().unwrap();
        let database = TestDatabase::create(parts.postgres().unwrap()).unwrap();
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let one = Service::start(options(&parts, &database, &directories[0]))
            .await
            .unwrap();
        let key = directories[0].path().join("seal.key").display().to_string();
        let two = options(&parts, &database, &directories[1]).variable("SEAL_KEY_FILE", key);
        let two = Service::start(two).await.unwrap();
        let fields = SiteFields::new(&parts, &parts.engine_plain, one.port).unwrap();
        one.client.configure(fields).await.unwrap().data().unwrap();
        let token = directories[0].path().file_name().unwrap().to_string_lossy();
        let token = format!("t{}", token.trim_start_matches('.').to_lowercase());
        Self {
            parts,
            one,
            two,
            token,
            database,
            directories,
        }
    }
}

#[tokio::test]
async fn what_one_is_told_is_in_force_on_the_other() {
    let pair = Pair::configured().await;
    // Configured through the first, in force on the second; what one takes the other tells of.
    let target = pair.parts.image(&format!("test/{}:told", pair.token));
    let request = Request::new(&pair.parts.image(&pair.parts.images.debian), &target);
    let answer = pair.two.client.submit(request.body()).await.unwrap();
    let told = answer.data().unwrap()["task_id"].as_i64().unwrap();
    let task = pair.one.client.wait_for_end(told, PATIENCE).await.unwrap();
    assert_eq!(task["state"], "PUSH_SUCCESS", "{task:#}");
}

#[tokio::test]
async fn a_replica_with_another_key_is_refused_with_a_sentence() {
    let pair = Pair::configured().await;
    let directory = tempfile::tempdir().unwrap();
    let refused = Service::start(options(&pair.parts, &pair.database, &directory))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("restore the original key"), "{refused}");
    assert!(pair.directories[0].path().exists());
}
