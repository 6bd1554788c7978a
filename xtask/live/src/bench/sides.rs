//! Both sides of every case.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use fastbuild_testkit::{
    client::wait_for_callbacks,
    container,
    env::{EnginePart, TestEnv},
    request::Request,
    service::Service,
};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    PATIENCE,
    cases::{Case, Round},
    old_way::{self, Wanted},
    settle,
    timeline::{Timeline, timestamp},
};
use xtask::run;

const SYSTEM: [&str; 3] = ["curl", "git", "vim-tiny"];
const PIP: [&str; 3] = ["numpy", "pandas", "requests"];
const PYTHON: &str = "Python-3.11.2.tgz";
/// What a plan's Dockerfile takes from its context to spread the Python packages.
const LAYERS: &str = include_str!("../../../../crates/spec/src/plan/scripts/layers.py");
const AT_ONCE: usize = 4;

/// A package that the build before it did not have, one for each round of [`Round::Python`].
const LATER: [&str; MOST_ROUNDS] = ["less", "bc", "file", "tree", "patch", "rsync", "time"];
/// One pip package more for each of those at once.
const MORE: [&str; AT_ONCE] = ["six", "attrs", "idna", "tqdm"];
/// How often a side can do a case: the rounds of [`Round::Python`] each need a package of their own.
pub(super) const MOST_ROUNDS: usize = 7;

/// Everything a case is measured with.
pub(super) struct Bench<'a> {
    env: &'a TestEnv,
    engine: &'a EnginePart,
    service: &'a Service,
    /// The base that Python was compiled upon, which its rounds have in common.
    python_base: Option<String>,
}

/// An image a service made.
struct Made {
    task_id: i64,
    sent: Timestamp,
    arrived: Timestamp,
    seconds: f64,
    dockerfile: String,
    base: String,
    target: String,
}

impl<'a> Bench<'a> {
    /// A bench on an engine whose caches have every download that the cases ask for.
    pub(super) async fn new(
        env: &'a TestEnv,
        engine: &'a EnginePart,
        service: &'a Service,
    ) -> Result<Self> {
        let bench = Self {
            env,
            engine,
            service,
            python_base: None,
        };
        let base = bench.base()?;
        let everything = bench.request(&base, &LATER, &MORE)?;
        bench.build(everything).await?;
        Ok(bench)
    }

    /// What is there before the first round of a kind: a Python that was compiled once.
    pub(super) async fn prepare(&mut self, round: Round) -> Result<()> {
        if round == Round::Python {
            let base = self.base()?;
            self.build(self.python_request(&base, None)?).await?;
            self.python_base = Some(base);
        }
        Ok(())
    }

    /// Takes away what a round left on the engine but for downloads, so that rounds do not fill the disk.
    pub(super) fn tidy(&self) -> Result<()> {
        let mut list = self.env.docker(self.engine);
        let reference = format!("reference={}", self.env.image("bench/*"));
        list.args(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        let images = run::run(list.args(["--filter", &reference]))?;
        if !images.is_empty() {
            let mut remove = self.env.docker(self.engine);
            remove.args(["image", "rm", "--force"]).args(images.lines());
            run::run(&mut remove)?;
        }
        let mut prune = self.env.docker(self.engine);
        prune.args(["builder", "prune", "--all", "--force", "--filter"]);
        run::run(prune.arg("type=regular")).map(drop)
    }

    /// One round of ours, the figures in the order of its cases.
    pub(super) async fn ours(&self, round: Round, number: usize) -> Result<Vec<f64>> {
        Ok(match round {
            Round::Image => {
                let base = self.base()?;
                let made = self.build(self.request(&base, &[], &[])?).await?;
                let again = self.build(self.request(&base, &[], &[])?).await?;
                let more = self.build(self.request(&base, &[], &MORE[..1])?).await?;
                vec![
                    made.seconds,
                    self.megabytes(&made.target)?,
                    again.seconds,
                    more.seconds,
                ]
            }
            Round::FourIdentical | Round::FourDifferent => {
                let base = self.base()?;
                let begun = Instant::now();
                let one = |number: usize| {
                    let more = pip_of(round, number);
                    let request = self.request(&base, &[], more);
                    async move { self.build(request?).await }
                };
                let (a, b, c, d) = tokio::join!(one(0), one(1), one(2), one(3));
                for made in [a, b, c, d] {
                    made?;
                }
                vec![begun.elapsed().as_secs_f64()]
            }
            Round::Check => {
                let path = format!("task/check-image?image_name={}", self.base()?);
                let begun = Instant::now();
                self.service.client.post(&path).await?.data()?;
                vec![begun.elapsed().as_secs_f64()]
            }
            Round::Python => {
                let request = self.python_request(self.python_base()?, Some(LATER[number]))?;
                vec![self.build(request).await?.seconds]
            }
            Round::Through | Round::Cold => {
                if round == Round::Cold {
                    self.empty_caches()?;
                }
                let request = self.request(&self.base()?, &[], &[])?;
                vec![self.build(request).await?.seconds]
            }
        })
    }

    /// One round of the baseline, the figures in the order of its cases.
    pub(super) async fn baseline(&self, round: Round, number: usize) -> Result<Vec<f64>> {
        let timed = |wanted: &Wanted, target: &str| -> Result<f64> {
            let begun = Instant::now();
            wanted.make(self.env, self.engine, target)?;
            Ok(begun.elapsed().as_secs_f64())
        };
        Ok(match round {
            Round::Image => {
                let (mut wanted, target) = (self.wanted()?, self.target()?);
                let made = timed(&wanted, &target)?;
                let megabytes = self.megabytes(&target)?;
                let again = timed(&wanted, &target)?;
                wanted.pip.push(MORE[0].to_owned());
                let more = timed(&wanted, &self.target()?)?;
                vec![made, megabytes, again, more]
            }
            Round::FourIdentical | Round::FourDifferent => {
                let wanted = self.wanted()?;
                let begun = Instant::now();
                std::thread::scope(|scope| -> Result<()> {
                    let mut threads = Vec::new();
                    for number in 0..AT_ONCE {
                        let mut wanted = wanted.clone();
                        wanted.pip.extend(owned(pip_of(round, number)));
                        let target = self.target()?;
                        threads
                            .push(scope.spawn(move || wanted.make(self.env, self.engine, &target)));
                    }
                    for thread in threads {
                        thread
                            .join()
                            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                    }
                    Ok(())
                })?;
                vec![begun.elapsed().as_secs_f64()]
            }
            Round::Through => vec![self.engine_alone().await?],
            Round::Check => {
                let base = self.base()?;
                let begun = Instant::now();
                container::run_once(self.env, self.engine, &base, &["true"])?;
                vec![begun.elapsed().as_secs_f64()]
            }
            // What it built before on this base is of no use to it: the packages come first, and they changed.
            Round::Python => {
                let wanted = Wanted {
                    base: self.python_base()?.to_owned(),
                    system: owned(&LATER[number..=number]),
                    pip: vec![],
                    python: Some(self.env.base_dir.join("tools/python").join(PYTHON)),
                };
                vec![timed(&wanted, &self.target()?)?]
            }
            Round::Cold => {
                self.empty_caches()?;
                vec![timed(&self.wanted()?, &self.target()?)?]
            }
        })
    }

    /// Where the time goes in one more round of an image.
    pub(super) async fn timelines(&self) -> Result<Vec<(Case, Timeline)>> {
        let base = self.base()?;
        let mut timelines = Vec::new();
        for (case, pip) in [
            (Case::Warm, &[][..]),
            (Case::Again, &[][..]),
            (Case::OneMore, &MORE[..1]),
        ] {
            settle()?;
            let made = self.build(self.request(&base, &[], pip)?).await?;
            let events = self.service.client.events(made.task_id).await?;
            timelines.push((case, Timeline::of(&events, made.sent, made.arrived)?));
        }
        Ok(timelines)
    }

    /// What every case but Python's asks the old way for, upon a base of its own.
    fn wanted(&self) -> Result<Wanted> {
        Ok(Wanted {
            base: self.base()?,
            system: owned(&SYSTEM),
            pip: owned(&PIP),
            python: None,
        })
    }

    /// The same of the service, with more of each.
    fn request(&self, base: &str, system: &[&str], pip: &[&str]) -> Result<Request> {
        Ok(Request::new(base, &self.target()?)
            .system("apt", &[&SYSTEM[..], system].concat())
            .pip(&[&PIP[..], pip].concat()))
    }

    fn python_request(&self, base: &str, system: Option<&str>) -> Result<Request> {
        let request = Request::new(base, &self.target()?).python(PYTHON);
        Ok(match system {
            None => request,
            Some(package) => request.system("apt", &[package]),
        })
    }

    fn python_base(&self) -> Result<&str> {
        self.python_base
            .as_deref()
            .context("no Python was compiled before the first round")
    }

    /// From the submission to the callback's arrival.
    async fn build(&self, request: Request) -> Result<Made> {
        let token = format!("bench-{}", stamp()?);
        let service = self.service;
        let request = request.callback(&format!("{}/cb/{token}/done", self.env.callback.url));
        let sent = timestamp(run::now()?)?;
        let begun = Instant::now();
        let answer = service.client.submit(request.body()).await?;
        let task_id = answer.data()?["task_id"].as_i64().context("no task_id")?;
        wait_for_callbacks(self.env, &token, 1, PATIENCE).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let arrived = timestamp(run::now()?)?;
        let task = service.client.task(task_id).await?;
        ensure!(task["state"] == "PUSH_SUCCESS", "the build ended as {task}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let folder = text(&task["work_dir_name"]);
        Ok(Made {
            task_id,
            sent,
            arrived,
            seconds,
            dockerfile: service.client.task_file(&folder, "Dockerfile").await?,
            base: text(&request.body()["dockerfile_json"]["base_image"]),
            target: text(&task["target_image_name"]),
        })
    }

    /// The very Dockerfile that the service renders, built with BuildKit and pushed by the engine's command line.
    async fn engine_alone(&self) -> Result<f64> {
        let base = self.base()?;
        let made = self.build(self.request(&self.base()?, &[], &[])?).await?;
        let folder = tempfile::tempdir()?;
        fs::write(
            folder.path().join("Dockerfile"),
            made.dockerfile.replace(&made.base, &base),
        )?;
        self.copy_context(&made, folder.path())?;
        let target = self.target()?;
        let begun = Instant::now();
        old_way::build(self.env, self.engine, folder.path(), &target, "1")?;
        old_way::push(self.env, self.engine, &target)?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// The files that the Dockerfile takes from its context: those it mounts, and those it copies, from where they
    /// ended up.
    fn copy_context(&self, made: &Made, folder: &Path) -> Result<()> {
        let uv = folder.join("tools/uv");
        fs::create_dir_all(&uv)?;
        fs::copy(self.env.uv(), uv.join("uv"))?;
        fs::create_dir(folder.join("layers"))?;
        fs::write(folder.join("layers/layers.py"), LAYERS)?;
        for line in made.dockerfile.lines() {
            let Some(copy) = line.strip_prefix("COPY [") else {
                continue;
            };
            let names: Vec<String> = serde_json::from_str(&format!("[{copy}"))?;
            let [from, to] = names.as_slice() else {
                bail!("the benchmark cannot repeat the line {line}");
            };
            let text = container::run_once(self.env, self.engine, &made.target, &["cat", to])?;
            let path = folder.join(from);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, text)?;
        }
        Ok(())
    }

    fn target(&self) -> Result<String> {
        Ok(self.env.image(&format!("bench/made:{}", stamp()?)))
    }

    /// A base image with Python that differs from every other by one small file, on the engine and in the registry, so that
    /// no layer upon it was built before.
    fn base(&self) -> Result<String> {
        let name = self.env.image(&format!("bench/base:{}", stamp()?));
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("stamp"), &name)?;
        let from = self.env.image(&self.env.images.python);
        fs::write(
            folder.path().join("Dockerfile"),
            format!("FROM {from}\nCOPY stamp /bench-stamp\n"),
        )?;
        // Neither side pulls it while it is timed.
        container::pull(self.env, self.engine, &from)?;
        old_way::build(self.env, self.engine, folder.path(), &name, "0")?;
        old_way::push(self.env, self.engine, &name)?;
        Ok(name)
    }

    /// Empties what builds leave on the engine: layers and cache mounts.
    fn empty_caches(&self) -> Result<()> {
        let mut prune = self.env.docker(self.engine);
        run::run(prune.args(["builder", "prune", "--all", "--force"])).map(drop)
    }

    /// Megabytes of an image's layers in the registry, read from its storage.
    fn megabytes(&self, image: &str) -> Result<f64> {
        let (_, path) = image.split_once('/').context("a name without registry")?;
        let (repository, tag) = path.rsplit_once(':').context("a name without tag")?;
        let storage = self.env.registry.storage.join("docker/registry/v2");
        let link = storage.join(format!(
            "repositories/{repository}/_manifests/tags/{tag}/current/link"
        ));
        let digest = fs::read_to_string(&link)
            .with_context(|| format!("{} cannot be read", link.display()))?;
        let hash = digest.trim().trim_start_matches("sha256:");
        let short = hash.get(..2).context("a digest that is too short")?;
        let manifest: Value = serde_json::from_slice(&fs::read(
            storage.join(format!("blobs/sha256/{short}/{hash}/data")),
        )?)?;
        let layers = manifest["layers"]
            .as_array()
            .context("a manifest without layers")?;
        let bytes: u64 = layers
            .iter()
            .filter_map(|layer| layer["size"].as_u64())
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "megabytes of an image are few")]
        Ok(bytes as f64 / 1e6)
    }
}

/// What one of several requests at once asks for beyond the others.
fn pip_of(round: Round, number: usize) -> &'static [&'static str] {
    if round == Round::FourDifferent {
        &MORE[number..=number]
    } else {
        &[]
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A number that no earlier run had.
pub(super) fn stamp() -> Result<u128> {
    Ok(run::now()?.as_micros())
}
