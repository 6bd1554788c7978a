//! The base images: made on the plain engine, pushed to the registry, kept on the plain engine.

use std::fs;

use anyhow::Result;
use fastbuild_testkit::env::TestEnv;

use super::home::Home;
use super::stamp::Stamp;
use super::{joined, mirror};
use crate::run::{run, step, succeeds};

const PYTHON_SCRIPT: &str = include_str!("assets/image-python.sh");
const APP_SCRIPT: &str = include_str!("assets/image-app.sh");
const CENTOS_SCRIPT: &str = include_str!("assets/image-centos.sh");

const BUNDLE_IN_IMAGE: &str = "/etc/ssl/certs/ca-certificates.crt";
const SHELL: &str = r#"CMD ["bash"]"#;
const APP: [&str; 4] = [
    "USER app",
    "WORKDIR /home/app",
    r#"ENTRYPOINT ["/usr/local/bin/app-entrypoint"]"#,
    r#"CMD ["sleep", "infinity"]"#,
];

/// One base image.
struct Recipe<'a> {
    name: &'a str,
    /// Run in a container of plain Debian.
    script: &'a str,
    /// Dockerfile instructions that hold in the result.
    changes: &'a [&'a str],
}

/// Makes, pushes or pulls whatever is missing.
pub(super) fn ensure(home: &Home, env: &TestEnv) -> Result<()> {
    let names = &env.images;
    let changes = plain_changes();
    let root = mirror::stamp(home)?;
    let workshop = Workshop {
        home,
        env,
        on_engine: images_on_engine(env)?,
        base: format!("{}\n{}", root.content(), changes.join("\n")),
    };
    let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
    workshop.ensure(&names.debian, "import", || {
        workshop.import(&names.debian, &changes)
    })?;
    let derived = [
        Recipe {
            name: &names.python,
            script: PYTHON_SCRIPT,
            changes: &[SHELL],
        },
        Recipe {
            name: &names.centos,
            script: CENTOS_SCRIPT,
            changes: &[SHELL],
        },
        Recipe {
            name: &names.app,
            script: APP_SCRIPT,
            changes: &APP,
        },
    ];
    std::thread::scope(|scope| {
        let workshop = &workshop;
        let work: Vec<_> = derived
            .iter()
            .map(|recipe| {
                scope.spawn(move || {
                    let text = format!("{}\n{}", recipe.script, recipe.changes.join("\n"));
                    workshop.ensure(recipe.name, &text, || workshop.derive(recipe))
                })
            })
            .collect();
        workshop.ensure(&names.private_debian, "tag", || {
            let (from, to) = (env.image(&names.debian), env.image(&names.private_debian));
            workshop.docker(&["tag", &from, &to])
        })?;
        work.into_iter().try_for_each(joined)
    })
}

/// Names of the base images that the registry does not have.
pub(super) fn missing_from_registry(env: &TestEnv) -> Vec<&str> {
    env.images
        .all()
        .into_iter()
        .filter(|name| !is_in_registry(env, name))
        .collect()
}

/// Looks into the registry's storage, which is quicker than asking and needs no password.
fn is_in_registry(env: &TestEnv, name: &str) -> bool {
    let Some((repository, tag)) = name.split_once(':') else {
        return false;
    };
    let storage = env.registry.storage.join("docker/registry/v2");
    let link = storage.join(format!(
        "repositories/{repository}/_manifests/tags/{tag}/current/link"
    ));
    fs::read_to_string(link)
        .ok()
        .and_then(|digest| {
            let hash = digest.trim().strip_prefix("sha256:")?.to_owned();
            let blob = storage
                .join("blobs/sha256")
                .join(hash.get(..2)?)
                .join(&hash)
                .join("data");
            blob.exists().then_some(())
        })
        .is_some()
}

fn images_on_engine(env: &TestEnv) -> Result<Vec<String>> {
    let list = run(env.docker(&env.engine_plain).args([
        "image",
        "ls",
        "--format",
        "{{.Repository}}:{{.Tag}}",
    ]))?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// Settings of the plain image. Where this machine's programs are told which authorities to trust, programs in the
/// images are told too.
fn plain_changes() -> Vec<String> {
    let mut changes = vec![
        SHELL.to_owned(),
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
    ];
    if ["SSL_CERT_FILE", "PIP_CERT"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
    {
        for variable in ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"] {
            changes.push(format!("ENV {variable}={BUNDLE_IN_IMAGE}"));
        }
    }
    changes
}

struct Workshop<'a> {
    home: &'a Home,
    env: &'a TestEnv,
    on_engine: Vec<String>,
    /// Recipe of the plain image, part of every other.
    base: String,
}

impl Workshop<'_> {
    fn docker(&self, arguments: &[&str]) -> Result<()> {
        run(self.env.docker(&self.env.engine_plain).args(arguments)).map(drop)
    }

    /// Brings one image onto the engine and into the registry, by the shortest way.
    fn ensure(&self, name: &str, recipe: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
        let stamp = Stamp::new(self.home, &name.replace('/', "-"), &[&self.base, recipe]);
        let full_name = self.env.image(name);
        let on_engine = self.on_engine.contains(&full_name);
        let in_registry = is_in_registry(self.env, name);
        match (stamp.is_current(), on_engine, in_registry) {
            (true, true, true) => return Ok(()),
            (true, false, true) => {
                return step(&format!("{name} pulled"), || {
                    self.docker(&["pull", "--quiet", &full_name])
                });
            }
            (true, true, false) => {}
            (true, false, false) | (false, _, _) => step(&format!("{name} made"), make)?,
        }
        step(&format!("{name} pushed"), || {
            self.docker(&["push", "--quiet", &full_name])
        })?;
        stamp.set()
    }

    fn import(&self, name: &str, changes: &[&str]) -> Result<()> {
        let mut command = self.env.docker(&self.env.engine_plain);
        command.arg("import");
        for change in changes {
            command.args(["--change", change]);
        }
        run(command
            .arg(mirror::archive(self.home))
            .arg(self.env.image(name)))
        .map(drop)
    }

    /// Runs the script in a container of the plain image and makes an image of the container.
    fn derive(&self, recipe: &Recipe<'_>) -> Result<()> {
        let container = format!("fastbuild-env-{}", recipe.name.replace(['/', ':'], "-"));
        let from = self.env.image(&self.env.images.debian);
        // One that an interrupted run left behind is in the way.
        succeeds(
            self.env
                .docker(&self.env.engine_plain)
                .args(["rm", "--force", &container]),
        );
        self.docker(&[
            "run",
            "--name",
            &container,
            &from,
            "sh",
            "-c",
            recipe.script,
        ])?;
        let mut commit = self.env.docker(&self.env.engine_plain);
        commit.arg("commit");
        for change in recipe.changes {
            commit.args(["--change", change]);
        }
        run(commit.args([&container, &self.env.image(recipe.name)]))?;
        self.docker(&["rm", &container])
    }
}
