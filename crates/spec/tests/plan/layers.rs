//! How a Python environment is spread over layers, done for real by the script of a plan.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        ffi::OsStringExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
};

use fastbuild_spec::plan::{ContextSource, Dialect};

use crate::{plan_support::*, render, shell::folder};

const LARGE: usize = 1 << 20;

/// Files and links by their paths.
type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// An environment with nothing in it.
struct Environment {
    folder: PathBuf,
    /// Its path, which may lead over symbolic links.
    root: PathBuf,
    packages: PathBuf,
}

impl Environment {
    fn new(name: &str) -> Self {
        let folder = folder(name);
        let root = folder.join("venv");
        Self::at(folder, root)
    }

    fn at(folder: PathBuf, root: PathBuf) -> Self {
        run(Command::new("python3")
            .args(["-m", "venv", "--without-pip"])
            .arg(&root));
        let library = fs::read_dir(root.join("lib")).unwrap().next().unwrap();
        let packages = library.unwrap().path().join("site-packages");
        Self {
            folder,
            root,
            packages,
        }
    }

    /// Installs a package with these files; paths are those of a `RECORD`.
    fn install(&self, name: &str, files: &[(&str, usize)]) {
        let info = self.packages.join(format!("{name}-1.0.dist-info"));
        fs::create_dir_all(&info).unwrap();
        let mut record = format!("{name}-1.0.dist-info/RECORD,,\n");
        for (path, size) in files {
            let target = self.packages.join(path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, path.repeat(size / path.len() + 1)).unwrap();
            record.extend([path, ",,\n"]);
        }
        fs::write(info.join("RECORD"), record).unwrap();
    }

    /// Spreads it; the files of each part, and of what stays, by their path in the environment.
    fn spread(&self) -> Vec<Files> {
        let mut spec = nothing();
        spec.pip.requirements = vec!["numpy".into()];
        let plan = render(&spec, &debian_python(), Dialect::BuildKit);
        let script = plan.files.iter().find_map(|file| match &file.source {
            ContextSource::Inline(text) if file.path == "layers/layers.py" => Some(text),
            _ => None,
        });
        fs::write(self.folder.join("layers.py"), script.unwrap()).unwrap();
        let parts = self.folder.join("parts");
        run(Command::new(self.root.join("bin/python"))
            .arg(self.folder.join("layers.py"))
            .arg(&parts)
            .arg("4"));
        let below = self.root.strip_prefix("/").unwrap();
        let mut spread: Vec<_> = (0..4)
            .map(|number| files(&parts.join(number.to_string()).join(below)))
            .collect();
        spread.push(files(&self.root));
        spread
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Every file and link below a folder, which must be there: what it holds or leads to, and its mode.
fn files(folder: &Path) -> Files {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                folders.push(path);
                continue;
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_vec()
            } else {
                fs::read(&path).unwrap()
            };
            let name = path.strip_prefix(folder).unwrap();
            found.insert(name.display().to_string(), (metadata.mode(), content));
        }
    }
    found
}

#[test]
fn all_parts_together_are_the_environment_without_bytecode() {
    let environment = Environment::new("layers-together");
    environment.install(
        "large",
        &[
            ("large/__init__.py", 1),
            ("large/core.so", LARGE),
            ("large.libs/one.so", 1),
            ("../../../bin/large", 1),
            // Installers keep a row that comes twice.
            ("large/core.so", LARGE),
        ],
    );
    let core = environment.packages.join("large/core.so");
    fs::set_permissions(core, fs::Permissions::from_mode(0o755)).unwrap();
    environment.install("other_large", &[("shared/other/data", 3 * LARGE)]);
    environment.install("small", &[("small.py", LARGE / 2), ("shared/small.py", 10)]);
    environment.install("broken", &[("broken.py", LARGE)]);
    fs::write(
        environment.packages.join("broken-1.0.dist-info/RECORD"),
        [0xff, 0xfe],
    )
    .unwrap();
    symlink("core.so", environment.packages.join("large/link.so")).unwrap();
    let before = files(&environment.root);
    // Bytecode goes, unless nothing is there to make it again from.
    let tag = "cpython-312.pyc";
    let pycache = environment.packages.join("large/__pycache__");
    fs::create_dir(&pycache).unwrap();
    fs::write(pycache.join(format!("__init__.{tag}")), "x").unwrap();
    let own = environment.packages.join("shared/__pycache__");
    fs::create_dir(&own).unwrap();
    fs::write(own.join(format!("lost.{tag}")), "x").unwrap();
    fs::write(own.join("kernel.nbi"), "x").unwrap();
    let mut before = before;
    for (path, file) in files(&own) {
        let own = own.strip_prefix(&environment.root).unwrap();
        before.insert(own.join(path).display().to_string(), file);
    }

    let spread = environment.spread();
    let mut together = BTreeMap::new();
    for (path, content) in spread.iter().flatten() {
        assert!(together.insert(path.clone(), content.clone()).is_none());
    }
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        together.keys().collect::<Vec<_>>()
    );
    assert!(before == together, "the files have other contents");
    let stays = |name: &str| spread[4].keys().any(|path| path.ends_with(name));
    for name in [
        "bin/large",
        "small.py",
        "broken.py",
        "large-1.0.dist-info/RECORD",
    ] {
        assert!(stays(name), "{name} has gone");
    }
    for name in [
        "large/__init__.py",
        "large/core.so",
        "large.libs/one.so",
        "shared/other/data",
    ] {
        assert!(!stays(name), "{name} is where it was");
    }
}

#[test]
fn the_environments_path_may_lead_over_a_link() {
    let folder = folder("layers-linked");
    fs::create_dir(folder.join("elsewhere")).unwrap();
    symlink("elsewhere", folder.join("here")).unwrap();
    let root = folder.join("here/venv");
    let environment = Environment::at(folder, root);
    environment.install("large", &[("large/core.so", LARGE)]);
    let spread = environment.spread();
    let parts = spread.iter().take(4).flatten();
    let moved: Vec<_> = parts.map(|(path, _)| path.as_str()).collect();
    assert_eq!(moved.len(), 1, "{moved:?}");
    assert!(moved[0].starts_with("lib/") && moved[0].ends_with("/large/core.so"));
}

#[test]
fn a_package_more_leaves_the_parts_of_the_others_as_they_were() {
    let names = ["numpy", "pandas", "torch", "scipy", "triton", "jupyterlab"];
    let with = |more: &[&str]| {
        let environment = Environment::new("layers-more");
        for name in names.iter().chain(more) {
            let path = format!("{name}/core.so");
            environment.install(name, &[(path.as_str(), LARGE)]);
        }
        environment.spread()
    };
    let (before, after) = (with(&[]), with(&["added"]));
    let parts = |spread: &[Files]| spread.iter().take(4).cloned().collect();
    let (before, after): (Vec<_>, Vec<_>) = (parts(&before), parts(&after));
    let changed = before
        .iter()
        .zip(&after)
        .filter(|(one, other)| one != other);
    assert_eq!(changed.count(), 1);
    // Nearly all names would have to fall together for the parts to be of no use.
    assert!(before.iter().filter(|part| !part.is_empty()).count() > 1);
}
