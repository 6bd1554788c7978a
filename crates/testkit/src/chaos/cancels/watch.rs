//! What is seen of builds on an engine of this machine, all the time: their processes, which carry a
//! mark in their environment (proc(5), `/proc/PID/environ`), and the containers made for them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use super::cases::MARK;
use crate::{chaos::builds::evidence::maker, engine_api::EngineApi};

/// Between one look and the next.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until it is dropped.
#[derive(Debug)]
pub struct Watch {
    sightings: Arc<Mutex<Sightings>>,
    looking: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Sightings {
    /// When a process with this mark was last there.
    processes: HashMap<String, Instant>,
    /// When a container of the build of this number was last there.
    containers: HashMap<i64, Instant>,
    /// When the last look began that saw everything.
    looked: Option<Instant>,
}

impl Watch {
    /// Begins to look at an engine.
    pub fn start(engine: EngineApi) -> Self {
        let sightings = Arc::<Mutex<Sightings>>::default();
        let looking = tokio::spawn(look(engine, sightings.clone()));
        Self { sightings, looking }
    }

    /// When something of a build was last seen, in all that was seen up to a moment; none as long
    /// as nobody has looked since that moment.
    pub fn seen_by(&self, moment: Instant, mark: &str, build: i64) -> Option<Option<Instant>> {
        let sightings = locked(&self.sightings);
        sightings.looked.filter(|looked| *looked >= moment)?;
        let process = sightings.processes.get(mark).copied();
        Some(process.max(sightings.containers.get(&build).copied()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

fn locked(sightings: &Mutex<Sightings>) -> MutexGuard<'_, Sightings> {
    sightings.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn look(engine: EngineApi, sightings: Arc<Mutex<Sightings>>) {
    loop {
        let begun = Instant::now();
        let marks = tokio::task::spawn_blocking(marks).await;
        // A look in which one of them fails is none.
        if let (Ok(marks), Ok(labels)) = (marks, engine.labels_of_containers().await) {
            let now = Instant::now();
            let builds = labels.iter().filter_map(|label| maker(label));
            let mut sightings = locked(&sightings);
            let processes = marks.into_iter().map(|mark| (mark, now));
            sightings.processes.extend(processes);
            let containers = builds.map(|(build, _attempt)| (build, now));
            sightings.containers.extend(containers);
            sightings.looked = Some(begun);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The marks of all processes of this machine that carry one.
fn marks() -> HashSet<String> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return HashSet::new();
    };
    processes
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.to_string_lossy()
                .bytes()
                .all(|byte| byte.is_ascii_digit())
        })
        // One that went in between has no mark.
        .filter_map(|entry| mark_in(&std::fs::read(entry.path().join("environ")).ok()?))
        .collect()
}

fn mark_in(environment: &[u8]) -> Option<String> {
    let mut variables = environment.split(|byte| *byte == 0);
    variables.find_map(|variable| {
        let value = std::str::from_utf8(variable).ok()?.strip_prefix(MARK)?;
        value.strip_prefix('=').map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_found_by_its_mark_as_long_as_it_is_there() {
        let mark = format!("test-{:x}", rand::random::<u64>());
        let mut marked = Command::new("cat")
            .env(MARK, &mark)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // It has its environment once it runs its own program.
        while !marks().contains(&mark) {
            assert!(marked.try_wait().unwrap().is_none());
        }
        marked.kill().unwrap();
        marked.wait().unwrap();
        assert!(!marks().contains(&mark));
    }

    #[test]
    fn a_mark_is_a_variable_of_that_very_name() {
        assert_eq!(
            mark_in(b"A=1\0FASTBUILD_CANCELS=t-1\0B=2\0"),
            Some("t-1".to_owned())
        );
        assert_eq!(
            mark_in(b"FASTBUILD_CANCELS_2=t-1\0MY_FASTBUILD_CANCELS=t\0"),
            None
        );
        assert_eq!(mark_in(b""), None);
    }
}
