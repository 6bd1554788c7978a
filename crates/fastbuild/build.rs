//! Writes down what the program is built of: the commit of the repository it lies in, if it lies in
//! one, and the compiler. Whoever builds from an archive may name the commit in `BUILD_COMMIT`. None of
//! these is called `FASTBUILD_...`: cargo sets them when it runs the program too, which would take them for its
//! configuration.

#![expect(
    clippy::disallowed_methods,
    reason = "this is how cargo speaks to a build script"
)]

use std::{path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=BUILD_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    let named = std::env::var("BUILD_COMMIT").ok();
    if let Some(commit) = named.filter(|commit| !commit.is_empty()).or_else(commit) {
        println!("cargo::rustc-env=BUILT_FROM_COMMIT={commit}");
    }
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    if let Some(version) = said(&rustc, &["--version"]) {
        println!("cargo::rustc-env=BUILT_WITH_RUSTC={version}");
    }
}

/// The commit that is checked out. A repository around this one, in which a copy of the sources
/// lies, has nothing to say of it.
fn commit() -> Option<String> {
    said("git", &["ls-files", "--error-unmatch", "build.rs"])?;
    // Another commit comes with another entry in the log of HEAD.
    for file in ["HEAD", "logs/HEAD"] {
        let path = said("git", &["rev-parse", "--git-path", file])?;
        // A file that is not there would have the script run every time.
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    said("git", &["rev-parse", "--short=12", "HEAD"])
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
