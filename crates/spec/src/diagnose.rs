//! From the last lines of a failed step to a reason a person can act on.
//!
//! The rules are tried in order and the first group that finds anything wins, because tools
//! report the consequence after the cause: pip that could not connect says that no such package
//! exists, and apt whose disk is full says that it failed to fetch.

use crate::failure::{Failure, ReasonCode, Sentence};

/// How a rule's line names what is to blame.
#[derive(Debug, Clone, Copy)]
enum Culprit {
    /// It does not.
    Unnamed,
    /// The word behind the needle.
    Word,
    /// Every word behind the needle.
    Words,
    /// From the needle to another text, without which the rule does not match.
    Until(&'static str),
    /// From the needle to another text or the end of the line.
    UpTo(&'static str),
    /// The word behind another text, without which the rule does not match.
    WordAfter(&'static str),
    /// The word in front of the needle, without its quotes.
    Before,
    /// The host of the first URL or `host='...'` in the line.
    Host,
    /// `Version '1.2' for 'git' was not found`: `git=1.2`.
    AptVersion,
    /// The `- name` lines that follow.
    ListBelow,
}

/// One thing a tool says.
struct Rule {
    code: ReasonCode,
    needle: &'static str,
    culprit: Culprit,
}

const fn rule(code: ReasonCode, needle: &'static str, culprit: Culprit) -> Rule {
    Rule {
        code,
        needle,
        culprit,
    }
}

/// The rules, in groups of one code; the first group of which a rule matches decides.
const GROUPS: [&[Rule]; 6] = {
    use Culprit::{
        AptVersion, Before, Host, ListBelow, Unnamed, Until, UpTo, Word, WordAfter, Words,
    };
    use ReasonCode::{
        DependencyConflict, MirrorUnreachable, NoSpaceLeft, OutOfMemory, PackageNotFound,
    };
    [
        &[
            rule(NoSpaceLeft, "No space left on device", Unnamed),
            rule(NoSpaceLeft, "You don't have enough free space in", Unnamed),
            rule(NoSpaceLeft, "NoSpaceLeftError", Unnamed),
            // dnf and yum count before they install.
            rule(NoSpaceLeft, "more space needed on the", Unnamed),
        ],
        &[
            rule(OutOfMemory, "Cannot allocate memory", Unnamed),
            rule(OutOfMemory, "MemoryError", Unnamed),
            rule(OutOfMemory, "virtual memory exhausted", Unnamed),
            rule(OutOfMemory, "Killed signal terminated program", Word),
            rule(OutOfMemory, "exit code: 137", Unnamed),
            rule(OutOfMemory, "returned a non-zero code: 137", Unnamed),
        ],
        &[
            // apt
            rule(MirrorUnreachable, "Could not resolve '", Until("'")),
            rule(
                MirrorUnreachable,
                "Temporary failure resolving '",
                Until("'"),
            ),
            rule(MirrorUnreachable, "Could not connect to ", Word),
            rule(MirrorUnreachable, "E: Failed to fetch ", Host),
            rule(MirrorUnreachable, "W: Failed to fetch ", Host),
            rule(MirrorUnreachable, "does not have a Release file", Host),
            // pip
            rule(MirrorUnreachable, "Max retries exceeded with url", Host),
            rule(MirrorUnreachable, "NewConnectionError", Host),
            rule(MirrorUnreachable, "ConnectTimeoutError", Host),
            rule(MirrorUnreachable, "ReadTimeoutError", Host),
            rule(
                MirrorUnreachable,
                "Failed to establish a new connection",
                Host,
            ),
            // yum and dnf
            rule(MirrorUnreachable, "Could not resolve host: ", Word),
            rule(
                MirrorUnreachable,
                "Cannot find a valid baseurl for repo: ",
                Word,
            ),
            rule(
                MirrorUnreachable,
                "Failed to download metadata for repo '",
                Until("'"),
            ),
            rule(MirrorUnreachable, "No more mirrors to try", Host),
            rule(MirrorUnreachable, "Curl error (", Host),
            // conda
            rule(MirrorUnreachable, "CondaHTTPError", Host),
            rule(MirrorUnreachable, "CONNECTION FAILED for url", Host),
            // any
            rule(
                MirrorUnreachable,
                "Temporary failure in name resolution",
                Host,
            ),
        ],
        &[
            // apt
            rule(PackageNotFound, "Unable to locate package ", Word),
            rule(
                PackageNotFound,
                "Couldn't find any package by regex '",
                Until("'"),
            ),
            rule(
                PackageNotFound,
                "Couldn't find any package by glob '",
                Until("'"),
            ),
            rule(PackageNotFound, "E: Version '", AptVersion),
            rule(PackageNotFound, " has no installation candidate", Before),
            // yum and dnf
            rule(PackageNotFound, "No match for argument: ", Word),
            rule(PackageNotFound, "Unable to find a match: ", Words),
            rule(PackageNotFound, "No package ", Until(" available")),
            // pip
            rule(
                PackageNotFound,
                "No matching distribution found for ",
                UpTo(" (from"),
            ),
            rule(
                PackageNotFound,
                "Could not find a version that satisfies the requirement ",
                UpTo(" (from"),
            ),
            // conda
            rule(PackageNotFound, "PackagesNotFoundError", ListBelow),
            rule(PackageNotFound, "nothing provides requested ", Words),
        ],
        &[
            // pip
            rule(
                DependencyConflict,
                "Cannot install ",
                Until(" because these package versions"),
            ),
            // apt
            rule(DependencyConflict, " : Depends: ", Before),
            rule(DependencyConflict, " : PreDepends: ", Before),
            rule(DependencyConflict, " : Conflicts: ", Before),
            rule(DependencyConflict, " : Breaks: ", Before),
            // dnf
            rule(
                DependencyConflict,
                "nothing provides ",
                WordAfter(" needed by "),
            ),
            rule(DependencyConflict, " Problem: package ", Word),
            // yum
            rule(DependencyConflict, "Error: Package: ", Word),
            // conda
            rule(
                DependencyConflict,
                "specifications were found to be incompatible",
                ListBelow,
            ),
        ],
        &[
            rule(DependencyConflict, "ResolutionImpossible", Unnamed),
            rule(DependencyConflict, "conflicting dependencies", Unnamed),
            rule(DependencyConflict, "have unmet dependencies", Unnamed),
            rule(DependencyConflict, "you have held broken packages", Unnamed),
            rule(DependencyConflict, "conflicting requests", Unnamed),
            rule(DependencyConflict, "UnsatisfiableError", Unnamed),
        ],
    ]
};

/// What the output of a failed step says about its cause; `None` when nothing known is in it.
/// `lines` are the last of the step, oldest first, one line each.
pub fn diagnose(lines: &[String]) -> Option<Failure> {
    GROUPS.iter().find_map(|group| {
        let code = group.first()?.code;
        // An index that listed versions was reached, whatever was tried again before.
        if code == ReasonCode::MirrorUnreachable && index_answered(lines) {
            return None;
        }
        let mut matched =
            code == ReasonCode::OutOfMemory && lines.iter().any(|line| is_killed(line));
        let mut culprits: Vec<String> = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            for rule in *group {
                let Some(found) = rule.culprits(line, &lines[index + 1..]) else {
                    continue;
                };
                matched = true;
                for culprit in found {
                    if !culprit.is_empty() && !culprits.contains(&culprit) {
                        culprits.push(culprit);
                    }
                }
            }
        }
        matched.then(|| failure(code, &culprits, lines))
    })
}

impl Rule {
    /// What the line blames; `None` when the rule does not match it.
    fn culprits(&self, line: &str, following: &[String]) -> Option<Vec<String>> {
        let (before, after) = line.split_once(self.needle)?;
        let one = |text: &str| Some(vec![trimmed(text).to_owned()]);
        match self.culprit {
            Culprit::Unnamed => Some(Vec::new()),
            Culprit::Word => one(first_word(after)),
            Culprit::Words => Some(
                after
                    .split_whitespace()
                    .map(|one| trimmed(one).to_owned())
                    .collect(),
            ),
            Culprit::Until(end) => one(after.split_once(end)?.0),
            Culprit::UpTo(end) => one(after.split_once(end).map_or(after, |(text, _)| text)),
            Culprit::WordAfter(text) => one(first_word(after.split_once(text)?.1)),
            Culprit::Before => one(before.split_whitespace().last().unwrap_or_default()),
            Culprit::Host => one(host(line)),
            Culprit::AptVersion => {
                let (version, rest) = after.split_once("' for '")?;
                let (package, _) = rest.split_once("' was not found")?;
                one(&format!("{package}={version}"))
            }
            Culprit::ListBelow => Some(
                following
                    .iter()
                    .map(|line| without_progress(line).trim())
                    .skip_while(|line| !line.starts_with("- "))
                    .map_while(|line| line.strip_prefix("- "))
                    .map(|item| trimmed(first_word(item)).to_owned())
                    .collect(),
            ),
        }
    }
}

/// The line without the seconds a builder may print in front of it (`12.34 `, `#8 12.34 `).
fn without_progress(line: &str) -> &str {
    line.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '#' | '.' | ' '))
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// A name without the punctuation a sentence puts around it.
fn trimmed(text: &str) -> &str {
    text.trim()
        .trim_start_matches(['\'', '"', '(', '[', '<', '`'])
        .trim_end_matches(['.', ',', ';', ':', '\'', '"', ')', ']', '>'])
}

/// The host of the first URL or `host='...'` in a line, with its port.
fn host(line: &str) -> &str {
    let named = line.split_once("host='").or_else(|| line.split_once("://"));
    let Some((_, rest)) = named else {
        return "";
    };
    let end = rest
        .find(|c: char| c.is_whitespace() || "/'\"<>,)]".contains(c))
        .unwrap_or(rest.len());
    // User name and password of a mirror stay out of the sentence.
    rest[..end].rsplit('@').next().unwrap_or_default()
}

/// Whether pip was told by an index which versions there are.
fn index_answered(lines: &[String]) -> bool {
    lines
        .iter()
        .any(|line| line.contains("(from versions: ") && !line.contains("(from versions: none)"))
}

/// What a shell prints when the kernel ended a process: `Killed`, alone or behind the command.
fn is_killed(line: &str) -> bool {
    let line = line.trim_end();
    line == "Killed" || line.ends_with(" Killed") || line.contains(" Killed  ")
}

fn failure(code: ReasonCode, culprits: &[String], lines: &[String]) -> Failure {
    let names = culprits.join(", ");
    let known = !culprits.is_empty();
    let sentence = match code {
        ReasonCode::NoSpaceLeft => Sentence::new(
            "构建时 Docker 服务器的磁盘空间不足。",
            "The Docker server ran out of disk space during the build.",
        ),
        ReasonCode::OutOfMemory => Sentence::new(
            "构建时内存不足，进程被系统终止。",
            "The build ran out of memory and the system ended one of its processes.",
        ),
        ReasonCode::MirrorUnreachable if known => Sentence::new(
            format!("构建时无法从镜像源 {names} 获取软件包信息或文件。"),
            format!("The build could not get package lists or files from the mirror {names}."),
        ),
        ReasonCode::MirrorUnreachable => Sentence::new(
            "构建时无法从镜像源获取软件包信息或文件。",
            "The build could not get package lists or files from a mirror.",
        ),
        ReasonCode::PackageNotFound if known => Sentence::new(
            format!("在所用的镜像源中找不到软件包 {names}。"),
            format!("The mirrors in use do not have {names}."),
        ),
        ReasonCode::PackageNotFound => Sentence::new(
            "在所用的镜像源中找不到所需的软件包。",
            "The mirrors in use do not have a package that was asked for.",
        ),
        _ if known => Sentence::new(
            format!("软件包的依赖无法同时满足：{names}。"),
            format!("The packages cannot be installed together: {names}."),
        ),
        _ => Sentence::new(
            "所需软件包的依赖无法同时满足。",
            "The packages that were asked for cannot be installed together.",
        ),
    };
    let mut failure = Failure::new(code, sentence.zh, sentence.en);
    if known {
        failure = failure.with_culprit(names);
    }
    let wants_other_python = ["require a different python version", "Requires-Python"];
    if code == ReasonCode::PackageNotFound
        && lines
            .iter()
            .any(|line| wants_other_python.iter().any(|text| line.contains(text)))
    {
        failure = failure.with_hint(
            "该软件包的部分版本需要其他 Python 版本：请更换软件包版本，或选择其他 Python。",
            "Some versions of the package need another Python: choose another version of the \
             package, or another Python.",
        );
    }
    failure
}

#[cfg(test)]
#[path = "diagnose_tests.rs"]
mod tests;
