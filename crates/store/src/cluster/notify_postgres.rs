//! Forwards notifications between the processes on one PostgreSQL database, by LISTEN and NOTIFY.
//!
//! Each process listens on one channel and leaves out what it sent itself. Nothing depends on
//! delivery: PostgreSQL drops notifications of a connection that is lost, so after a reconnect
//! every subscriber is woken.

use std::{str::FromStr as _, time::Duration};

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DbBackend, Statement,
    sqlx::{self, postgres::PgListener},
};
use strum::IntoEnumIterator as _;
use tokio::task::JoinHandle;

use crate::cluster::notify::{Notifier, Topic};

/// The PostgreSQL channel. Channels belong to one database, so installations do not mix.
const CHANNEL: &str = "fastbuild";
/// The wait before a lost connection is opened again.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// Notifications within this time are sent as one.
const BATCH_WINDOW: Duration = Duration::from_millis(20);

/// The tasks that forward notifications; they end when it is dropped.
#[derive(Debug)]
pub(crate) struct PgNotifyBridge(Vec<JoinHandle<()>>);

impl PgNotifyBridge {
    /// Connects the notifier of this process, which calls itself `sender`, with the others.
    ///
    /// The listening connection is opened here, so that whoever subscribes after this call gets
    /// everything. Where that fails it is opened later.
    pub(crate) async fn new(
        url: String,
        connection: &DatabaseConnection,
        notifier: &Notifier,
        sender: &str,
    ) -> Self {
        let first = match connect(&url).await {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::warn!(%error, "failed to listen for other processes' notifications; retrying");
                None
            }
        };
        let listening = listen(url, first, notifier.clone(), sender.to_owned());
        let mut tasks = vec![tokio::spawn(listening)];
        for topic in Topic::iter() {
            let sending = send(
                connection.clone(),
                notifier.clone(),
                topic,
                sender.to_owned(),
            );
            tasks.push(tokio::spawn(sending));
        }
        Self(tasks)
    }

    /// Ends the tasks.
    pub(crate) fn stop(&self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Drop for PgNotifyBridge {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends this process's notifications of one topic to the others.
async fn send(connection: DatabaseConnection, notifier: Notifier, topic: Topic, sender: String) {
    let mut sent = notifier.sent(topic);
    while sent.changed().await.is_ok() {
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_notify($1, $2)",
            [CHANNEL.into(), format!("{sender} {topic}").into()],
        );
        if let Err(error) = connection.execute_raw(statement).await {
            tracing::warn!(%error, %topic, "failed to notify other processes; they poll");
        }
        tokio::time::sleep(BATCH_WINDOW).await;
    }
}

/// Passes other processes' notifications to the subscribers of this one, for ever.
async fn listen(url: String, mut first: Option<PgListener>, notifier: Notifier, sender: String) {
    loop {
        let listening = match first.take() {
            Some(listener) => Ok(listener),
            None => connect(&url).await.inspect(|_| notifier.receive_all()),
        };
        let error = match listening {
            Ok(listener) => receive(listener, &notifier, &sender).await,
            Err(error) => error,
        };
        tracing::warn!(%error, "lost the connection for other processes' notifications; reconnecting");
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}

async fn connect(url: &str) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// Receives until the connection is lost and cannot be opened again at once.
async fn receive(mut listener: PgListener, notifier: &Notifier, sender: &str) -> sqlx::Error {
    loop {
        match listener.try_recv().await {
            Ok(Some(notification)) => {
                let message = notification.payload().split_once(' ');
                if let Some((from, topic)) = message
                    && from != sender
                    && let Ok(topic) = Topic::from_str(topic)
                {
                    notifier.receive(topic);
                }
            }
            // The connection was lost and opened again.
            Ok(None) => notifier.receive_all(),
            Err(error) => return error,
        }
    }
}
