//! Where a build stands in the queue and when it may be done.

use std::time::Duration;

use fastbuild_spec::{
    failure::{Failure, Sentence},
    state::BuildState,
};
use fastbuild_store::{HealthState, NamedEngine, QueuePosition, TypicalDuration};
use jiff::{SignedDuration, Timestamp};

use crate::builds::Builds;

/// Where a build stands and when it may be done, by what this service has seen so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueEstimate {
    /// Its place, while it is queued.
    pub place: Option<QueuePosition>,
    /// How long builds like it took; `None` before the first build that succeeded.
    pub usual: Option<TypicalDuration>,
    /// When a worker may take it, or when one did.
    pub starts_at: Option<Timestamp>,
    /// When it may end. Never in the past.
    pub ends_at: Option<Timestamp>,
    /// What all queued builds wait for, while the registry or every engine is down.
    pub waiting_for: Option<Sentence>,
}

impl Builds {
    /// Where a build stands and when it may be done; `None` for one that has ended and for an
    /// unknown one.
    ///
    /// # Errors
    /// `DatabaseUnavailable` when the database does not answer.
    pub async fn estimate(&self, build_id: i64) -> Result<Option<QueueEstimate>, Failure> {
        let store = &self.common.store;
        let Some(build) = store
            .build(build_id)
            .await?
            .filter(|build| !build.state.is_terminal())
        else {
            return Ok(None);
        };
        let usual = store.typical_duration(build_id).await?;
        let place = if build.state == BuildState::Queued {
            store.queue_position(build_id).await?
        } else {
            None
        };
        let now = self.common.now();
        let starts_at = match place {
            Some(place) => {
                wait(place, usual, self.places().await?).and_then(|wait| after(now, wait))
            }
            None => build.started_at,
        };
        let ends_at = starts_at
            .zip(usual)
            .and_then(|(starts, usual)| after(starts, usual.median))
            .map(|ends| ends.max(now));
        Ok(Some(QueueEstimate {
            place,
            usual,
            starts_at,
            ends_at,
            waiting_for: match place {
                Some(_) => self.waiting_for().await?,
                None => None,
            },
        }))
    }

    /// What no build can start without at this moment.
    async fn waiting_for(&self) -> Result<Option<Sentence>, Failure> {
        if let Some(outage) = self.images.registry_monitor().outage() {
            return Ok(Some(outage.sentence()));
        }
        let engines = self.common.store.engines().await;
        let engines = engines?;
        let is_down = |engine: &NamedEngine| engine.health.state == HealthState::Down;
        if !engines.iter().all(is_down) {
            return Ok(None);
        }
        let health = engines.into_iter().next().map(|engine| engine.health);
        Ok(health.and_then(|health| {
            let (since, message) = (health.since?, health.failure?.message);
            Some(Sentence::new(
                format!("自 {since} 起等待 Docker 服务器：{}", message.zh),
                format!("Waiting for a Docker server since {since}: {}", message.en),
            ))
        }))
    }

    /// How many builds can run at a time, on all engines that take builds.
    async fn places(&self) -> Result<u64, Failure> {
        let engines = self.common.store.engines().await?;
        let places = engines
            .iter()
            .filter(|engine| !engine.draining && engine.health.state != HealthState::Down)
            .map(|engine| u64::from(engine.capacity));
        Ok(places.sum())
    }
}

/// How long a build waits that stands there, if `places` of them run at a time and each takes as
/// long as usual. With a place free it does not wait, whatever is known.
fn wait(place: QueuePosition, usual: Option<TypicalDuration>, places: u64) -> Option<Duration> {
    let places = places.max(1);
    let in_front = place.running + place.position - 1;
    let rounds = in_front.saturating_sub(places - 1).div_ceil(places);
    if rounds == 0 {
        return Some(Duration::ZERO);
    }
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
    Some(usual?.median.saturating_mul(rounds))
}

fn after(time: Timestamp, wait: Duration) -> Option<Timestamp> {
    time.checked_add(SignedDuration::try_from(wait).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_waits_for_as_many_rounds_as_the_engines_need_for_what_is_in_front() {
        let usual = TypicalDuration {
            median: Duration::from_mins(1),
            builds: 3,
            alike: true,
        };
        let minutes = |position, running, places| {
            let place = QueuePosition {
                position,
                exact: true,
                running,
            };
            wait(place, Some(usual), places).map(|wait| wait.as_secs() / 60)
        };
        // A place is free.
        assert_eq!(minutes(1, 0, 1), Some(0));
        assert_eq!(minutes(1, 3, 4), Some(0));
        assert_eq!(minutes(4, 0, 4), Some(0));
        // All are taken.
        assert_eq!(minutes(1, 1, 1), Some(1));
        assert_eq!(minutes(1, 4, 4), Some(1));
        assert_eq!(minutes(4, 4, 4), Some(1));
        assert_eq!(minutes(5, 4, 4), Some(2));
        assert_eq!(minutes(3, 1, 1), Some(3));
        let place = QueuePosition {
            position: 2,
            exact: true,
            running: 1,
        };
        assert_eq!(wait(place, None, 1), None);
        assert_eq!(wait(place, None, 3), Some(Duration::ZERO));
    }
}
