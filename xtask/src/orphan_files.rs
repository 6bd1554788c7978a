//! Finds `.rs` files that belong to no module: the compiler never sees them, so whatever they test is
//! not tested. Follows `mod` lines and `#[path]` from the root file of every target.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use xtask::run::{program, run};

/// What `cargo metadata` tells of the workspace.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    src_path: PathBuf,
}

/// Checks the whole workspace.
///
/// # Errors
/// The files that belong to no module.
pub(crate) fn check() -> Result<()> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1"];
    let metadata = run(&mut program(env!("CARGO"), &arguments))?;
    let metadata: Metadata = serde_json::from_str(&metadata)?;
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let mut reached = BTreeSet::new();
    for target in metadata.packages.iter().flat_map(|one| &one.targets) {
        follow(&target.src_path, &read, &mut reached);
    }
    let mut files = BTreeSet::new();
    for package in &metadata.packages {
        let folder = package.manifest_path.parent();
        collect(folder.context("a manifest without a folder")?, &mut files)?;
    }
    let orphans: Vec<String> = files
        .difference(&reached)
        .map(|path| path.display().to_string())
        .collect();
    ensure!(
        orphans.is_empty(),
        "no `mod` line names these files, so they are not compiled; add the line or delete them:\n  {}",
        orphans.join("\n  ")
    );
    println!("{} files, each in a module", files.len());
    Ok(())
}

/// Every `.rs` file below a folder, what cargo writes left out.
fn collect(folder: &Path, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path);
        }
    }
    Ok(())
}

/// Adds the root file of a target and every file of its modules.
fn follow(root: &Path, read: &impl Fn(&Path) -> Option<String>, reached: &mut BTreeSet<PathBuf>) {
    let folder = root.parent().unwrap_or(Path::new(""));
    follow_module(root, folder, read, reached);
}

/// `folder` is where the files of the module's own modules lie.
fn follow_module(
    file: &Path,
    folder: &Path,
    read: &impl Fn(&Path) -> Option<String>,
    reached: &mut BTreeSet<PathBuf>,
) {
    let Some(text) = read(file) else {
        // A module of another configuration, or text that only looks like one.
        return;
    };
    if !reached.insert(file.to_owned()) {
        return;
    }
    let beside = file.parent().unwrap_or(Path::new(""));
    for module in modules(&text) {
        let inner = module
            .inside
            .iter()
            .fold(folder.to_owned(), |path, name| path.join(name));
        if let Some(path) = &module.path {
            // Relative to the file, or inside an inline module to that module's folder.
            let base = if module.inside.is_empty() {
                beside
            } else {
                &inner
            };
            let file = base.join(path);
            let folder = file.parent().unwrap_or(Path::new("")).to_owned();
            follow_module(&file, &folder, read, reached);
        } else {
            let own = inner.join(&module.name);
            follow_module(&own.with_extension("rs"), &own, read, reached);
            follow_module(&own.join("mod.rs"), &own, read, reached);
        }
    }
}

/// A line `mod name;`.
#[derive(Debug, PartialEq, Eq)]
struct Module {
    name: String,
    /// Its `#[path = "..."]`.
    path: Option<String>,
    /// The inline modules it stands in.
    inside: Vec<String>,
}

/// The `mod` lines of a file as rustfmt writes them: one on a line, and the end of an inline module
/// indented as its beginning.
fn modules(text: &str) -> Vec<Module> {
    let mut found = Vec::new();
    let mut inside: Vec<(usize, String)> = Vec::new();
    let mut path = None;
    for line in text.lines() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if code == "}" && inside.last().is_some_and(|(start, _)| *start == indent) {
            inside.pop();
        } else if let Some(rest) = code.strip_prefix("#[path = \"") {
            path = rest.split('"').next().map(str::to_owned);
        } else if let Some(rest) = after_mod(code) {
            if let Some(name) = rest.strip_suffix(';') {
                found.push(Module {
                    name: name.to_owned(),
                    path: path.take(),
                    inside: inside.iter().map(|(_, name)| name.clone()).collect(),
                });
            } else if let Some(name) = rest.strip_suffix(" {") {
                inside.push((indent, name.to_owned()));
            }
        } else if !code.starts_with("#[") {
            path = None;
        }
    }
    found
}

/// What follows `mod` in a line that declares a module.
fn after_mod(code: &str) -> Option<&str> {
    let code = match code.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1,
        Some(rest) => rest,
        None => code,
    };
    code.trim_start().strip_prefix("mod ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn reached(files: &[(&str, &str)], root: &str) -> Vec<String> {
        let files: BTreeMap<PathBuf, &str> = files
            .iter()
            .map(|(path, text)| (PathBuf::from(path), *text))
            .collect();
        let read = |path: &Path| files.get(path).map(|text| (*text).to_owned());
        let mut reached = BTreeSet::new();
        follow(Path::new(root), &read, &mut reached);
        reached
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn modules_are_files_beside_and_below_their_parent() {
        let files = [
            ("src/lib.rs", "mod a;\npub mod b;\npub(crate) mod c;\n"),
            ("src/a.rs", "mod inner;\n"),
            ("src/a/inner.rs", ""),
            ("src/b/mod.rs", "mod deep;\n"),
            ("src/b/deep.rs", ""),
            ("src/c.rs", ""),
        ];
        let all: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        let mut found = reached(&files, "src/lib.rs");
        found.sort_by_key(|path| all.iter().position(|one| one == path));
        assert_eq!(found, all);
    }

    /// As it was in this code base: tests in a file of their own, and an inline module of that name.
    #[test]
    fn a_file_beside_an_inline_module_of_its_name_is_an_orphan() {
        let files = [
            ("src/lib.rs", "mod classify;\n"),
            (
                "src/classify.rs",
                "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n",
            ),
            ("src/classify/tests.rs", "#[test]\nfn never_run() {}\n"),
        ];
        assert_eq!(
            reached(&files, "src/lib.rs"),
            ["src/classify.rs", "src/lib.rs"]
        );
    }

    #[test]
    fn a_path_is_relative_to_the_file_that_names_it() {
        let files = [
            (
                "tests/a/main.rs",
                "#[path = \"../b/shared.rs\"]\n#[cfg(unix)]\nmod shared;\nmod own;\n",
            ),
            ("tests/a/../b/shared.rs", ""),
            ("tests/a/own.rs", ""),
            ("tests/a/shared.rs", ""),
        ];
        assert_eq!(
            reached(&files, "tests/a/main.rs"),
            [
                "tests/a/../b/shared.rs",
                "tests/a/main.rs",
                "tests/a/own.rs"
            ]
        );
    }

    #[test]
    fn modules_in_inline_modules_lie_in_folders_of_their_names() {
        let files = [
            (
                "src/lib.rs",
                "mod outer {\n    mod first;\n}\nmod second;\n",
            ),
            ("src/outer/first.rs", ""),
            ("src/second.rs", ""),
            ("src/first.rs", ""),
        ];
        assert_eq!(
            reached(&files, "src/lib.rs"),
            ["src/lib.rs", "src/outer/first.rs", "src/second.rs"]
        );
    }
}
