//! Two services on one PostgreSQL database.

mod cancels;
mod cuts;
mod equals;
mod follow;
mod outages;
mod takeover;

use fastbuild_testkit::{
    client::ConfigFields, env::TestEnv, postgres::TestDatabase, request::Request, service::Service,
};

use crate::support::installation::{EngineKind, Installation, TIMEOUT, options};

/// Two replicas, each with a folder of its own, and what they share.
struct Pair {
    one: Installation,
    two: Installation,
    // Dropped last: the services use it.
    database: TestDatabase,
}

/// A database on the server that all tests share.
fn database() -> TestDatabase {
    TestDatabase::create(TestEnv::load().unwrap().postgres().unwrap()).unwrap()
}

impl Pair {
    /// Two that are not configured yet.
    async fn on(database: TestDatabase) -> Self {
        Self::with_leases_of("8", database).await
    }

    /// Two whose builds are taken over after so many seconds without a sign of life.
    async fn with_leases_of(seconds: &str, database: TestDatabase) -> Self {
        Self::with(&[("BUILDS__LEASE_SECONDS", seconds)], database).await
    }

    /// Two with these `FASTBUILD_*` variables, named without the prefix.
    async fn with(variables: &[(&str, &str)], database: TestDatabase) -> Self {
        let mut variables = variables.to_vec();
        variables.push(("DATABASE_URL", &database.url));
        let one = Installation::unconfigured(&variables).await;
        let key = one.directory.path().join("seal.key").display().to_string();
        variables.push(("SEAL_KEY_FILE", &key));
        let two = Installation::unconfigured(&variables).await;
        Self { one, two, database }
    }

    /// Two on the plain engine.
    async fn configured() -> Self {
        let pair = Self::on(database()).await;
        pair.configure(pair.one.fields(EngineKind::PlainEngine))
            .await;
        pair
    }

    /// Configures both, through the first.
    async fn configure(&self, fields: ConfigFields) {
        let answer = self.one.client().configure(fields).await.unwrap();
        answer.data().unwrap();
    }

    fn both(&self) -> [&Installation; 2] {
        [&self.one, &self.two]
    }

    /// The replica that runs a build, or ran it last, and the other one.
    fn by_runner(&mut self, build: i64) -> (&mut Installation, &mut Installation) {
        let question = format!("SELECT worker FROM builds WHERE id = {build}");
        let worker = self.database.execute(&question).unwrap();
        let runs = |installation: &Installation| {
            worker.starts_with(&format!("{}-", installation.service.pid()))
        };
        assert_ne!(runs(&self.one), runs(&self.two), "{worker}");
        if runs(&self.one) {
            (&mut self.one, &mut self.two)
        } else {
            (&mut self.two, &mut self.one)
        }
    }
}

#[tokio::test]
async fn what_one_is_told_is_in_force_on_the_other() {
    let pair = Pair::configured().await;
    // Configured through the first, in force on the second; what one takes the other tells of.
    let base = pair.two.base(&pair.two.env.images.debian);
    let request = Request::new(&base, &pair.two.target("told"));
    let told = pair.two.submit(&request).await;
    let task = pair.one.client().wait_for_end(told, TIMEOUT).await;
    let task = task.unwrap();
    assert_eq!(task["detail_state"], "PUSH_SUCCESS", "{task:#}");
}

#[tokio::test]
async fn a_replica_without_the_key_is_refused_with_a_sentence() {
    let pair = Pair::configured().await;
    let directory = tempfile::tempdir().unwrap();
    let other = options(&pair.one.env, &directory).variable("DATABASE_URL", &pair.database.url);
    let refused = Service::start(other).await.unwrap_err().to_string();
    assert!(
        refused.contains("put the original key file back"),
        "{refused}"
    );
}
