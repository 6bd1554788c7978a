//! The main job from end to end on the test environment, each claim with its proof.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use fastbuild_testkit::{
    client::{ConfigFields, is_terminal, wait_for_callbacks},
    container::{self, Container},
    env::TestEnv,
    request::Request,
    service::{Service, ServiceOptions},
    wait::{eventually, when},
};
use serde_json::Value;

use xtask::{env, run};

const SSH_PASSWORD: &str = "Alkaid123456";
const JUPYTER_PASSWORD: &str = "Lab-9-passphrase";
/// How long the demonstration's build may take on a slow network.
const TIMEOUT: Duration = Duration::from_mins(30);
/// Characters shown of a stage's name.
const LINE: usize = 110;

/// How the demonstration ends.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leaves the service running, configured, and says how to end it
    #[arg(long)]
    keep: bool,
}

/// Runs the demonstration.
pub(crate) fn execute(options: &Options) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(demonstrate(options))
}

async fn demonstrate(options: &Options) -> Result<()> {
    let started = Instant::now();
    let mut table = Table::default();
    println!(
        "\n== 1. The test environment: Docker Engines, a registry, a callback receiver, base images"
    );
    println!("The first time this downloads packages and images and takes some minutes.");
    env::up()?;
    let env = TestEnv::load()?;
    table.add(
        "environment",
        "Docker Engines, a registry, a callback receiver",
        started,
    );

    println!("\n== 2. The service");
    let begun = Instant::now();
    let binary = run::build("fastbuild", false)?;
    // A folder of its own: the service of an earlier `demo --keep` may still run on the last one.
    let tag = run::now()?.as_secs();
    let base_dir = env.home.join(format!("demo-{tag}"));
    std::fs::create_dir_all(&base_dir)?;
    let service = Service::start(ServiceOptions::new(binary, &base_dir, &env)).await?;
    say(
        begun,
        &format!(
            "the service listens on {} after {:?}",
            service.client.url, service.ready_after
        ),
    );
    table.add("service", "started with nothing configured", begun);

    let begun = Instant::now();
    let base = env.image(&env.images.debian);
    let target = env.image(&format!("demo/workbench:{tag}"));
    let token = format!("demo-{tag}");
    let request = Request::new(&base, &target)
        .named("demo")
        .system("apt", &["git", "curl"])
        .pip(&["numpy", "requests"])
        .ssh(SSH_PASSWORD)
        .jupyter_lab(JUPYTER_PASSWORD)
        .callback(&format!("{}/cb/{token}/done", env.callback.url));
    let refusal = service.client.submit(request.body()).await?;
    ensure!(
        refusal.status == 200 && refusal.body["code"] == -1,
        "a build was taken before the service was configured: {}",
        refusal.body
    );
    say(
        begun,
        &format!("refused before it is configured: {}", refusal.message()),
    );
    table.add(
        "refusal",
        "no build before the service is configured",
        begun,
    );

    let begun = Instant::now();
    let site = ConfigFields::new(&env, &env.engine_tls, service.port)?;
    let configured = service.client.configure(site).await?;
    configured.data().context("configuring the service")?;
    say(
        begun,
        &format!(
            "configured with one call and the TLS archive: {}",
            configured.message()
        ),
    );
    table.add(
        "configuration",
        "one call, proven on engine and registry",
        begun,
    );

    let begun = Instant::now();
    let checked = service
        .client
        .post(&format!("task/check-image?image_name={base}"))
        .await?;
    let profile = checked.data().context("checking the base image")?;
    say(
        begun,
        &format!(
            "{base}: {} {}, {}",
            text(&profile["os"]["name"]),
            text(&profile["os"]["version"]),
            text(&profile["package_manager"]["version"])
        ),
    );
    table.add("check-image", "the base image's profile", begun);

    println!("\n== 3. One build: packages, SSH, JupyterLab; the first time takes a minute or more");
    let begun = Instant::now();
    let answer = service.client.submit(request.body()).await?;
    let task_id = answer.data().context("submitting the build")?["task_id"]
        .as_i64()
        .context("the answer has no task_id")?;
    say(begun, &format!("build {task_id}: {}", answer.message()));
    let task = follow(&service, task_id, begun).await?;
    ensure!(task["state"] == "PUSH_SUCCESS", "the build ended as {task}");
    table.add(
        "build",
        "apt git curl, pip numpy requests, SSH, JupyterLab",
        begun,
    );

    let begun = Instant::now();
    let callbacks = wait_for_callbacks(&env, &token, 1, Duration::from_secs(30)).await?;
    say(begun, &format!("callback: {}", callbacks[0]["body"]));
    table.add("callback", "arrived once the image was pushed", begun);

    println!("\n== 4. The image at work, on an engine that did not build it");
    prove(&env, &target, &mut table).await?;

    println!("\n{}", table.render());
    println!(
        "everything was shown in {:.1} s\n",
        started.elapsed().as_secs_f64()
    );
    println!("Where to look:");
    println!("  the image              {target}");
    let work_dir = base_dir.join("task").join(text(&task["work_dir_name"]));
    println!("  Dockerfile and logs    {}", work_dir.display());
    println!(
        "  the service's log      {}",
        base_dir.join("service.log").display()
    );
    println!("  the test environment   cargo xtask env status");
    if options.keep {
        let url = service.client.url.clone();
        let pid = service.keep();
        println!("\nThe service goes on, configured, at {url} (process {pid}):");
        println!("  its API                {url}/docs");
        println!("  this build             curl {url}/api/v1/builds/{task_id}");
        println!("  end it                 kill {pid}");
    } else {
        println!("\nThe service has ended; `cargo xtask demo --keep` leaves it running.");
    }
    Ok(())
}

/// Pulls the image on the other engine, which never saw it, and puts it to use.
async fn prove(env: &TestEnv, target: &str, table: &mut Table) -> Result<()> {
    let engine = &env.engine_plain;
    let begun = Instant::now();
    container::pull(env, engine, target)?;
    say(begun, &format!("pulled {target} on the other engine"));
    table.add("pull", "from the registry to the other engine", begun);

    let begun = Instant::now();
    let git = container::run_once(env, engine, target, &["git", "--version"])?;
    let numpy = container::run_once(
        env,
        engine,
        target,
        &[
            "python3",
            "-c",
            "import numpy, requests; print('numpy', numpy.__version__, 'requests', requests.__version__)",
        ],
    )?;
    say(begun, &format!("{}; {}", git.trim(), numpy.trim()));
    table.add("packages", "git runs, numpy and requests import", begun);

    let running = Container::start(env, engine, target, &[])?;
    let begun = Instant::now();
    let over_ssh = running
        .ssh(
            SSH_PASSWORD,
            "id -un && git --version && python3 -c 'import numpy'",
        )
        .await?;
    ensure!(
        over_ssh.starts_with("root"),
        "SSH logged in as somebody else: {over_ssh}"
    );
    ensure!(
        running.ssh("wrong", "true").await.is_err(),
        "SSH took a wrong password"
    );
    say(
        begun,
        &format!(
            "SSH took the password and no other: {}",
            over_ssh.replace('\n', " ").trim()
        ),
    );
    table.add("SSH", "login by password, a wrong one refused", begun);

    let begun = Instant::now();
    ensure!(
        running.jupyter_login(JUPYTER_PASSWORD).await?,
        "JupyterLab refused the password"
    );
    ensure!(
        !running.jupyter_login("wrong").await?,
        "JupyterLab took a wrong password"
    );
    say(begun, "JupyterLab took the password and no other");
    table.add(
        "JupyterLab",
        "login by password, a wrong one refused",
        begun,
    );
    drop(running);
    let mut remove = env.docker(engine);
    run::run(remove.args(["image", "rm", "--force", target]))?;
    Ok(())
}

/// Prints steps and stages as they come, until the build has ended.
async fn follow(service: &Service, task_id: i64, begun: Instant) -> Result<Value> {
    let shown = Cell::new(0);
    let told = RefCell::new(HashSet::new());
    eventually(format!("build {task_id} has ended"), TIMEOUT, || async {
        let task = service.client.task(task_id).await?;
        for step in service.client.steps(task_id).await? {
            let line = format!("step {}: {}", text(&step["action"]), text(&step["status"]));
            if told.borrow_mut().insert(line.clone()) {
                let took = match step["duration"].as_i64() {
                    Some(duration) if step["status"] != "running" => format!(" ({duration} ms)"),
                    _ => String::new(),
                };
                say(begun, &format!("{line}{took}"));
            }
        }
        let log = service
            .client
            .task_file(text(&task["work_dir_name"]), "build.log")
            .await?;
        for line in log.lines().skip(shown.get()) {
            shown.set(shown.get() + 1);
            if is_stage(line) {
                say(begun, &format!("  {}", shorten(line)));
            }
        }
        Ok(when(is_terminal(&task), task))
    })
    .await
}

/// Whether a line of the build's log tells of a stage rather than of its output.
fn is_stage(line: &str) -> bool {
    line.strip_prefix('#')
        .and_then(|rest| rest.split_once(' '))
        .is_some_and(|(number, rest)| {
            number.parse::<u32>().is_ok()
                && (rest.starts_with('[')
                    || rest.starts_with("DONE")
                    || rest.starts_with("CACHED")
                    || rest.starts_with("ERROR"))
        })
}

/// A line that fits a terminal; a RUN's own text is in the Dockerfile.
fn shorten(line: &str) -> String {
    match line.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn say(begun: Instant, what: &str) {
    println!("{:8.1} s  {what}", begun.elapsed().as_secs_f64());
}

/// The short table at the end.
#[derive(Default)]
struct Table(Vec<(String, String, f64)>);

impl Table {
    fn add(&mut self, name: &str, proof: &str, begun: Instant) {
        self.0.push((
            name.to_owned(),
            proof.to_owned(),
            begun.elapsed().as_secs_f64(),
        ));
    }

    fn render(&self) -> String {
        let wide = |column: fn(&(String, String, f64)) -> usize| {
            self.0.iter().map(column).max().unwrap_or(0)
        };
        let (names, proofs) = (wide(|row| row.0.len()), wide(|row| row.1.len()));
        self.0
            .iter()
            .map(|(name, proof, seconds)| {
                format!("{name:names$}  {proof:proofs$}  {seconds:6.1} s  ok")
            })
            .collect::<Vec<_>>()
            .join("\n")
    }
}
