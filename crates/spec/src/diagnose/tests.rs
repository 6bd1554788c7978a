//! What the tools print when they fail, and what becomes of it.

use super::*;
use ReasonCode::{
    DependencyConflict, MirrorUnreachable, NoSpaceLeft, OutOfMemory, PackageNotFound,
};

fn diagnosed(output: &str) -> Option<(ReasonCode, Option<String>)> {
    let lines: Vec<String> = output.lines().map(str::to_owned).collect();
    diagnose(&lines).map(|failure| (failure.code, failure.culprit))
}

#[track_caller]
fn expect(output: &str, code: ReasonCode, culprit: &str) {
    let culprit = (!culprit.is_empty()).then(|| culprit.to_owned());
    assert_eq!(diagnosed(output), Some((code, culprit)), "{output}");
}

#[test]
fn apt_names_what_it_does_not_find() {
    expect(
        "Reading package lists...\nE: Unable to locate package gti\nE: Unable to locate package no.such\n\
         E: Couldn't find any package by glob 'no.such'",
        PackageNotFound,
        "gti, no.such",
    );
    expect(
        "#9 3.210 E: Version '9.9' for 'git' was not found",
        PackageNotFound,
        "git=9.9",
    );
    expect(
        "Package python2 is not available, but is referred to by another package.\n\
         E: Package 'python2' has no installation candidate",
        PackageNotFound,
        "python2",
    );
}

#[test]
fn apt_conflicts_name_the_packages_that_want_others() {
    expect(
        "The following packages have unmet dependencies:\n \
         libssl-dev : Depends: libssl3 (= 3.0.1) but 3.0.15 is to be installed\n\
         E: Unable to correct problems, you have held broken packages.",
        DependencyConflict,
        "libssl-dev",
    );
}

#[test]
fn apt_without_its_mirror_is_no_missing_package() {
    expect(
        "Err:1 http://mirror.example/debian bookworm InRelease\n  \
         Temporary failure resolving 'mirror.example'\n\
         W: Failed to fetch http://mirror.example/debian/dists/bookworm/InRelease  Temporary failure resolving 'mirror.example'\n\
         E: Unable to locate package git",
        MirrorUnreachable,
        "mirror.example",
    );
    expect(
        "E: Failed to fetch http://user:pass@10.0.0.7:8081/pool/g/git.deb  404  Not Found [IP: 10.0.0.7 8081]",
        MirrorUnreachable,
        "10.0.0.7:8081",
    );
    expect(
        "E: The repository 'http://mirror.example/debian nosuch Release' does not have a Release file.",
        MirrorUnreachable,
        "mirror.example",
    );
}

#[test]
fn yum_and_dnf_name_what_they_do_not_find() {
    expect(
        "No package no-such available.\nError: Nothing to do",
        PackageNotFound,
        "no-such",
    );
    expect(
        "No match for argument: no-such\nError: Unable to find a match: no-such other",
        PackageNotFound,
        "no-such, other",
    );
}

#[test]
fn yum_and_dnf_tell_of_conflicts_and_mirrors() {
    expect(
        "Error: \n Problem: conflicting requests\n  \
         - nothing provides libfoo.so.1()(64bit) needed by bar-1.0-1.el8.x86_64",
        DependencyConflict,
        "bar-1.0-1.el8.x86_64",
    );
    expect(
        "Error: \n Problem: package foo-2-1.noarch requires bar = 2, but none of the providers can be installed\n  \
         - conflicting requests",
        DependencyConflict,
        "foo-2-1.noarch",
    );
    expect(
        "Error: Package: foo-1.0-1.el7.x86_64 (base)\n           Requires: bar >= 2",
        DependencyConflict,
        "foo-1.0-1.el7.x86_64",
    );
    expect(
        "Could not retrieve mirrorlist http://mirrorlist.example/?release=7 error was\n\
         14: curl#6 - \"Could not resolve host: mirrorlist.example; Unknown error\"\n\n\
         Cannot find a valid baseurl for repo: base/7/x86_64",
        MirrorUnreachable,
        "mirrorlist.example, base/7/x86_64",
    );
    expect(
        "Errors during downloading metadata for repository 'baseos':\n  \
         - Curl error (6): Couldn't resolve host name for http://m.example/repodata/repomd.xml [Could not resolve host: m.example]\n\
         Error: Failed to download metadata for repo 'baseos': Cannot download repomd.xml",
        MirrorUnreachable,
        "m.example, baseos",
    );
}

#[test]
fn pip_names_what_it_does_not_find_and_why() {
    expect(
        "ERROR: Could not find a version that satisfies the requirement numpy==99 (from versions: 1.26.3, 1.26.4)\n\
         ERROR: No matching distribution found for numpy==99",
        PackageNotFound,
        "numpy==99",
    );
    expect(
        "ERROR: Could not find a version that satisfies the requirement nosuch (from versions: none)\n\
         ERROR: No matching distribution found for nosuch",
        PackageNotFound,
        "nosuch",
    );
    let lines = [
        "ERROR: Ignored the following versions that require a different python version: 2.0 Requires-Python >=3.12",
        "ERROR: No matching distribution found for numpy==2.0",
    ]
    .map(str::to_owned);
    let failure = diagnose(&lines).unwrap();
    assert!(failure.hint.en.contains("another Python"), "{failure:?}");
}

#[test]
fn pip_that_cannot_connect_is_no_missing_package() {
    let retries = "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection \
         broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f>: Failed to \
         establish a new connection: [Errno 111] Connection refused')': /simple/numpy/";
    expect(
        &format!(
            "{retries}\nERROR: Could not find a version that satisfies the requirement numpy (from versions: none)\n\
             ERROR: No matching distribution found for numpy"
        ),
        MirrorUnreachable,
        "",
    );
    expect(
        "Could not fetch URL https://index.example/simple/numpy/: There was a problem: HTTPSConnectionPool(host='index.example', \
         port=443): Max retries exceeded with url: /simple/numpy/ - skipping\n\
         ERROR: No matching distribution found for numpy",
        MirrorUnreachable,
        "index.example",
    );
    // One retry that went well afterwards is not to blame for a version that does not exist.
    expect(
        &format!(
            "{retries}\nERROR: Could not find a version that satisfies the requirement numpy==99 (from versions: 1.0)\n\
             ERROR: No matching distribution found for numpy==99"
        ),
        PackageNotFound,
        "numpy==99",
    );
}

#[test]
fn pip_conflicts_name_both_sides() {
    expect(
        "ERROR: Cannot install numpy==1.20 and pandas==2.2 because these package versions have conflicting dependencies.\n\
         ERROR: ResolutionImpossible: for help visit the documentation",
        DependencyConflict,
        "numpy==1.20 and pandas==2.2",
    );
    expect(
        "ERROR: ResolutionImpossible: for help",
        DependencyConflict,
        "",
    );
}

#[test]
fn conda_tells_of_packages_conflicts_and_channels() {
    expect(
        "PackagesNotFoundError: The following packages are not available from current channels:\n\n  \
         - nosuch=1\n  - other\n\nCurrent channels:\n\n  - https://c.example/main",
        PackageNotFound,
        "nosuch=1, other",
    );
    expect(
        "LibMambaUnsatisfiableError: Encountered problems while solving:\n  \
         - package scipy-1.9.3-py38 requires python 3.8, but none of the providers can be installed",
        DependencyConflict,
        "",
    );
    expect(
        "UnsatisfiableError: The following specifications were found to be incompatible with each other:\n\n  - python=3.12\n  - scipy=1.2\n",
        DependencyConflict,
        "python=3.12, scipy=1.2",
    );
    expect(
        "CondaHTTPError: HTTP 000 CONNECTION FAILED for url <https://c.example/main/linux-64/repodata.json>",
        MirrorUnreachable,
        "c.example",
    );
}

#[test]
fn a_full_disk_and_spent_memory_come_before_their_consequences() {
    expect(
        "E: Failed to fetch http://m.example/x.deb  Error writing to file - write (28: No space left on device)",
        NoSpaceLeft,
        "",
    );
    expect(
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        NoSpaceLeft,
        "",
    );
    expect(
        "c++: fatal error: Killed signal terminated program cc1plus\nmake: *** [x.o] Error 1",
        OutOfMemory,
        "cc1plus",
    );
    expect("Killed", OutOfMemory, "");
    expect(
        "/bin/sh: line 1:    12 Killed                  pip install torch",
        OutOfMemory,
        "",
    );
    expect(
        "process \"/bin/sh -c make\" did not complete successfully: exit code: 137",
        OutOfMemory,
        "",
    );
    expect(
        "OSError: [Errno 12] Cannot allocate memory",
        OutOfMemory,
        "",
    );
}

#[test]
fn unknown_words_are_left_alone() {
    assert_eq!(diagnosed(""), None);
    assert_eq!(diagnosed("make: *** [all] Error 2\nexit code: 1"), None);
    assert_eq!(diagnosed("No package manager here"), None);
}

#[test]
fn the_sentence_names_the_package_in_both_languages() {
    let failure = diagnose(&["E: Unable to locate package gti".to_owned()]).unwrap();
    assert_eq!(failure.message.zh, "在所用的镜像源中找不到软件包 gti。");
    assert_eq!(failure.message.en, "The mirrors in use do not have gti.");
}

/// What real tools printed against mirrors that misbehave, each file with the code and the culprit that are right.
#[test]
fn the_corpus_of_real_outputs_is_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnose/corpus");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, output) = text.split_once("\n---\n").unwrap();
        let (code, culprit) = head.split_once('\n').unwrap();
        let code = code.strip_prefix("expect: ").unwrap();
        let culprit = culprit.strip_prefix("culprit:").unwrap().trim();
        let (found, named) = match diagnosed(output) {
            Some((found, named)) => (found.to_string(), named.unwrap_or_default()),
            None => ("StepFailed".to_owned(), String::new()),
        };
        count += 1;
        if found != code || !named.contains(culprit) {
            wrong.push(format!(
                "{}: {code} {culprit} is read as {found} {named}",
                path.file_name().unwrap().display()
            ));
        }
    }
    wrong.sort();
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count >= 200, "{count}");
}
