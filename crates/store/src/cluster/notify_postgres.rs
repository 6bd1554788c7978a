//! Wake-ups between processes on one PostgreSQL database, by LISTEN and NOTIFY.
//!
//! A process tells what it rang after its transaction is done, many rings as one. One that is
//! killed in between tells nobody: those who wait look now and then without a wake-up.

use std::{str::FromStr as _, time::Duration};

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DbBackend, Statement,
    sqlx::{self, postgres::PgListener},
};
use strum::IntoEnumIterator as _;
use tokio::task::JoinHandle;

use crate::cluster::notify::{Kind, Wake};

/// The channel; each database has its own of this name.
const CHANNEL: &str = "fastbuild";
/// The wait before a connection that was lost is made again.
const AFTER_FAULT: Duration = Duration::from_secs(1);
/// Rings within this time are told as one.
const GATHER: Duration = Duration::from_millis(20);

/// The tasks that pass wake-ups on; they end when it is dropped.
#[derive(Debug)]
pub(crate) struct Link(Vec<JoinHandle<()>>);

impl Link {
    /// Links the bells of this process, which calls itself `sender`, with those of the others.
    ///
    /// Whoever subscribes after this hears everything: the connection is made here. Where that
    /// fails it is made later.
    pub(crate) async fn new(
        url: String,
        connection: &DatabaseConnection,
        wake: &Wake,
        sender: &str,
    ) -> Self {
        let first = match connect(&url).await {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::warn!(%error, "wake-ups of other processes are not heard yet");
                None
            }
        };
        let listening = listen(url, first, wake.clone(), sender.to_owned());
        let mut tasks = vec![tokio::spawn(listening)];
        for kind in Kind::iter() {
            let told = tell(connection.clone(), wake.clone(), kind, sender.to_owned());
            tasks.push(tokio::spawn(told));
        }
        Self(tasks)
    }

    /// Ends the tasks.
    pub(crate) fn end(&self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end();
    }
}

/// Tells other processes what was rung in this one.
async fn tell(connection: DatabaseConnection, wake: Wake, kind: Kind, sender: String) {
    let mut rung = wake.rung(kind);
    while rung.changed().await.is_ok() {
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_notify($1, $2)",
            [CHANNEL.into(), format!("{sender} {kind}").into()],
        );
        if let Err(error) = connection.execute_raw(statement).await {
            tracing::warn!(%error, "other processes could not be woken; they will look by themselves");
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Rings in this process what other ones tell. Whenever the connection was made anew everything
/// rings, since nobody knows what was told in between.
async fn listen(url: String, mut first: Option<PgListener>, wake: Wake, sender: String) {
    loop {
        let listening = match first.take() {
            Some(listener) => Ok(listener),
            None => connect(&url).await.inspect(|_| wake.hear_all()),
        };
        let ended = match listening {
            Ok(listener) => hear(listener, &wake, &sender).await,
            Err(error) => error,
        };
        tracing::warn!(error = %ended, "wake-ups of other processes are not heard; the connection is made anew");
        tokio::time::sleep(AFTER_FAULT).await;
    }
}

async fn connect(url: &str) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// Hears until the connection is lost and cannot be made again at once.
async fn hear(mut listener: PgListener, wake: &Wake, sender: &str) -> sqlx::Error {
    loop {
        match listener.try_recv().await {
            Ok(Some(notification)) => {
                let told = notification.payload().split_once(' ');
                if let Some((by, kind)) = told
                    && by != sender
                    && let Ok(kind) = Kind::from_str(kind)
                {
                    wake.hear(kind);
                }
            }
            // The connection was lost and made again.
            Ok(None) => wake.hear_all(),
            Err(error) => return error,
        }
    }
}
