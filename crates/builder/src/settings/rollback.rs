//! Putting settings in force again that were in force before: proved like new ones, and a new row.

use fastbuild_spec::{
    failure::{Failure, ReasonCode},
    settings::check_headers,
};
use fastbuild_store::SettingsKind;

use crate::{engines::context::prove, settings::SettingsAdmin};

impl SettingsAdmin {
    /// Puts what a row of a history said in force again, as a new row. A registry or an engine must
    /// pass the proofs that new ones pass, with what else is in force now.
    ///
    /// # Errors
    /// `NotFound` where there is no such row; what the engine or the registry answered.
    pub async fn roll_back(&self, kind: SettingsKind, revision: i64) -> Result<(), Failure> {
        let again = self
            .common
            .store
            .settings_of_revision(kind, revision)
            .await?
            .ok_or_else(|| no_such_revision(kind, revision))?;
        let in_force = self.common.store.settings().await?;
        if let Some(server) = &again.docker_server {
            prove(server, in_force.registry.as_ref()).await?;
        }
        if let (Some(registry), Some(server)) = (&again.registry, &in_force.docker_server) {
            prove(server, Some(registry)).await?;
        }
        if let Some(headers) = &again.headers {
            check_headers(headers.expose())?;
        }
        self.add(again).await?;
        self.engines.changed();
        tracing::info!(%kind, revision, "settings rolled back");
        Ok(())
    }
}

fn no_such_revision(kind: SettingsKind, revision: i64) -> Failure {
    Failure::new(
        ReasonCode::NotFound,
        format!("配置 {kind} 没有编号为 {revision} 的历史记录。"),
        format!("The settings {kind} have no revision {revision}."),
    )
    .with_culprit(revision.to_string())
    .with_hint(
        format!("请使用 GET /api/v1/settings/{kind}/history 返回的 revision。"),
        format!("Use a revision that GET /api/v1/settings/{kind}/history returns."),
    )
}
