//! Both sides of every case.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use fastbuild_testkit::{
    client::wait_for_callbacks,
    container,
    parts::{EnginePart, Parts},
    request::Request,
    service::Service,
};
use serde_json::Value;

use super::{
    PATIENCE,
    cases::Case,
    old_way::{self, Wanted},
};
use crate::run;

const SYSTEM: [&str; 3] = ["curl", "git", "vim-tiny"];
const PIP: [&str; 3] = ["numpy", "pandas", "requests"];
const PYTHON: &str = "Python-3.11.2.tgz";
const AT_ONCE: usize = 4;

/// Everything a case is measured with.
pub(super) struct Bench<'a> {
    pub(super) parts: &'a Parts,
    pub(super) engine: &'a EnginePart,
    /// A service that builds every request.
    pub(super) built: &'a Service,
    /// One that gives built images to equal requests.
    pub(super) reusing: &'a Service,
}

/// An image a service made.
struct Made {
    seconds: f64,
    dockerfile: String,
    base: String,
    target: String,
}

impl Bench<'_> {
    /// What is there before the first round: downloads in the caches, and what cases build upon.
    pub(super) async fn prepare(&self, case: Case) -> Result<()> {
        if case != Case::Cold && case != Case::Check {
            let base = self.base()?;
            self.build(self.built, self.request(case, &base, &[], &[])?)
                .await?;
        }
        Ok(())
    }

    /// One round of ours.
    pub(super) async fn ours(&self, case: Case) -> Result<f64> {
        if case == Case::Check {
            let image = self.base()?;
            let begun = Instant::now();
            let path = format!("task/check-image?image_name={image}");
            self.built.client.post(&path).await?.data()?;
            return Ok(begun.elapsed().as_secs_f64());
        }
        if case == Case::Cold {
            self.empty_caches()?;
        }
        let base = self.base()?;
        let simple = |system: &[&str], pip: &[&str]| self.request(case, &base, system, pip);
        match case {
            Case::OneMore => {
                self.build(self.built, simple(&[], &[])?).await?;
                let made = self.build(self.built, simple(&[], &["six"])?).await?;
                Ok(made.seconds)
            }
            Case::Again => {
                self.build(self.reusing, simple(&[], &[])?).await?;
                Ok(self.build(self.reusing, simple(&[], &[])?).await?.seconds)
            }
            Case::Python => {
                self.build(self.built, simple(&[], &[])?).await?;
                Ok(self
                    .build(self.built, simple(&["less"], &[])?)
                    .await?
                    .seconds)
            }
            Case::FourIdentical | Case::FourDifferent => {
                let more = |number: usize| -> &[&str] {
                    const MORE: [&[&str]; AT_ONCE] = [&["six"], &["attrs"], &["idna"], &["tqdm"]];
                    if case == Case::FourDifferent {
                        MORE[number]
                    } else {
                        &[]
                    }
                };
                let begun = Instant::now();
                let one = |number: usize| {
                    let request = simple(&[], more(number));
                    async move { self.build(self.reusing, request?).await }
                };
                let (a, b, c, d) = tokio::join!(one(0), one(1), one(2), one(3));
                for made in [a, b, c, d] {
                    made?;
                }
                Ok(begun.elapsed().as_secs_f64())
            }
            Case::Size => {
                let made = self.build(self.built, simple(&[], &[])?).await?;
                self.megabytes(&made.target)
            }
            _ => Ok(self.build(self.built, simple(&[], &[])?).await?.seconds),
        }
    }

    /// One round of the baseline.
    pub(super) fn baseline(&self, case: Case) -> Result<f64> {
        let base = self.base()?;
        let texts = |words: &[&str]| -> Vec<String> {
            words.iter().map(|word| (*word).to_owned()).collect()
        };
        let mut wanted = Wanted {
            base: base.clone(),
            system: texts(&SYSTEM),
            pip: texts(&PIP),
            python: None,
        };
        let make = |wanted: &Wanted, target: &str| -> Result<f64> {
            let begun = Instant::now();
            wanted.make(self.parts, self.engine, target)?;
            Ok(begun.elapsed().as_secs_f64())
        };
        match case {
            Case::Check => {
                let begun = Instant::now();
                container::run_once(self.parts, self.engine, &base, &["true"])?;
                Ok(begun.elapsed().as_secs_f64())
            }
            Case::Through => self.engine_alone(&base),
            Case::Cold => {
                self.empty_caches()?;
                make(&wanted, &self.target()?)
            }
            Case::OneMore => {
                make(&wanted, &self.target()?)?;
                wanted.pip.push("six".to_owned());
                make(&wanted, &self.target()?)
            }
            Case::Again => {
                let target = self.target()?;
                make(&wanted, &target)?;
                make(&wanted, &target)
            }
            Case::Python => {
                wanted.system = vec![];
                wanted.pip = vec![];
                let tools = self.parts.base_dir.join("tools/python");
                wanted.python = Some(tools.join(PYTHON));
                make(&wanted, &self.target()?)?;
                wanted.system = texts(&["less"]);
                make(&wanted, &self.target()?)
            }
            Case::FourIdentical | Case::FourDifferent => {
                let begun = Instant::now();
                std::thread::scope(|scope| -> Result<()> {
                    let mut threads = Vec::new();
                    for more in ["six", "attrs", "idna", "tqdm"] {
                        let mut wanted = wanted.clone();
                        if case == Case::FourDifferent {
                            wanted.pip.push(more.to_owned());
                        }
                        let target = self.target()?;
                        threads.push(
                            scope.spawn(move || wanted.make(self.parts, self.engine, &target)),
                        );
                    }
                    for thread in threads {
                        thread
                            .join()
                            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                    }
                    Ok(())
                })?;
                Ok(begun.elapsed().as_secs_f64())
            }
            Case::Size => {
                let target = self.target()?;
                make(&wanted, &target)?;
                self.megabytes(&target)
            }
            Case::Warm => make(&wanted, &self.target()?),
        }
    }

    fn request(&self, case: Case, base: &str, system: &[&str], pip: &[&str]) -> Result<Request> {
        let request = Request::new(base, &self.target()?);
        if case == Case::Python {
            let request = request.python(PYTHON);
            return Ok(if system.is_empty() {
                request
            } else {
                request.system("apt", system)
            });
        }
        Ok(request
            .system("apt", &[&SYSTEM[..], system].concat())
            .pip(&[&PIP[..], pip].concat()))
    }

    /// From the submission to the callback's arrival.
    async fn build(&self, service: &Service, request: Request) -> Result<Made> {
        let token = format!("bench-{}", stamp()?);
        let request = request.callback(&format!("{}/cb/{token}/done", self.parts.callback.url));
        let begun = Instant::now();
        let answer = service.client.submit(request.body()).await?;
        let task_id = answer.data()?["task_id"].as_i64().context("no task_id")?;
        wait_for_callbacks(self.parts, &token, 1, PATIENCE).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let task = service.client.task(task_id).await?;
        ensure!(task["state"] == "PUSH_SUCCESS", "the build ended as {task}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let folder = text(&task["work_dir_name"]);
        Ok(Made {
            seconds,
            dockerfile: service.client.task_file(&folder, "Dockerfile").await?,
            base: text(&request.body()["dockerfile_json"]["base_image"]),
            target: text(&task["target_image_name"]),
        })
    }

    /// The very Dockerfile that the service renders, built with BuildKit and pushed by the engine's command line.
    fn engine_alone(&self, base: &str) -> Result<f64> {
        let other = self.base()?;
        let request = self.request(Case::Through, &other, &[], &[])?;
        let made = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(self.build(self.built, request))
        })?;
        let folder = tempfile::tempdir()?;
        fs::write(
            folder.path().join("Dockerfile"),
            made.dockerfile.replace(&made.base, base),
        )?;
        self.copy_context(&made, folder.path())?;
        let target = self.target()?;
        let begun = Instant::now();
        old_way::build(self.parts, self.engine, folder.path(), &target, "1")?;
        old_way::push(self.parts, self.engine, &target)?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// The files that the Dockerfile copies from its context, taken from where they ended up.
    fn copy_context(&self, made: &Made, folder: &Path) -> Result<()> {
        for line in made.dockerfile.lines() {
            let Some(copy) = line.strip_prefix("COPY [") else {
                continue;
            };
            let names: Vec<String> = serde_json::from_str(&format!("[{copy}"))?;
            let [from, to] = names.as_slice() else {
                bail!("the benchmark cannot repeat the line {line}");
            };
            let text = container::run_once(self.parts, self.engine, &made.target, &["cat", to])?;
            let path = folder.join(from);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, text)?;
        }
        Ok(())
    }

    fn target(&self) -> Result<String> {
        Ok(self.parts.image(&format!("bench/made:{}", stamp()?)))
    }

    /// A base image with Python that differs from every other by one small file, on the engine and in the registry, so that
    /// no layer upon it was built before.
    fn base(&self) -> Result<String> {
        let name = self.parts.image(&format!("bench/base:{}", stamp()?));
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("stamp"), &name)?;
        let from = self.parts.image(&self.parts.images.python);
        fs::write(
            folder.path().join("Dockerfile"),
            format!("FROM {from}\nCOPY stamp /bench-stamp\n"),
        )?;
        // Neither side pulls it while it is timed.
        container::pull(self.parts, self.engine, &from)?;
        old_way::build(self.parts, self.engine, folder.path(), &name, "0")?;
        old_way::push(self.parts, self.engine, &name)?;
        Ok(name)
    }

    /// Empties what builds leave on the engine: layers and cache mounts.
    fn empty_caches(&self) -> Result<()> {
        let mut prune = self.parts.docker(self.engine);
        run::run(prune.args(["builder", "prune", "--all", "--force"])).map(drop)
    }

    /// Megabytes of an image's layers in the registry, read from its storage.
    fn megabytes(&self, image: &str) -> Result<f64> {
        let (_, path) = image.split_once('/').context("a name without registry")?;
        let (repository, tag) = path.rsplit_once(':').context("a name without tag")?;
        let storage = self.parts.registry.storage.join("docker/registry/v2");
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

/// A number that no earlier run had.
pub(super) fn stamp() -> Result<u128> {
    Ok(run::now()?.as_micros())
}
