//! From the lines of a failed step to a reason a person can act on.
//!
//! [`rules`] says what tools print; the rules are tried in order and the first group that finds anything wins, because
//! tools report the consequence after the cause: pip that could not connect says that no such package exists, and apt
//! whose disk is full says that it failed to fetch. [`message`] says it to a person.

mod build_dependencies;
mod message;
mod rules;

use self::rules::{Culprit, GROUPS, Rule};
use crate::failure::{Failure, ReasonCode};

/// What the output of a failed step says about its cause; `None` when nothing known is in it.
/// `lines` are those of the step, oldest first, one line each.
pub fn diagnose(lines: &[String]) -> Option<Failure> {
    let lines = &unwrapped(lines);
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
        // pip tells of a connection that broke by its path alone.
        if matched && culprits.is_empty() && code == ReasonCode::MirrorUnreachable {
            culprits = indexes(lines);
        }
        matched.then(|| message::failure(code, &culprits, lines))
    })
}

/// The lines with those put together that uv before 0.10 broke at the width of a terminal, and without the frames that
/// it draws around causes.
fn unwrapped(lines: &[String]) -> Vec<String> {
    let mut whole: Vec<String> = Vec::new();
    let mut in_cause = false;
    for line in lines {
        let bare = line.trim_start_matches([
            ' ', '\u{d7}', '\u{2502}', '\u{251c}', '\u{2570}', '\u{2500}', '\u{25b6}', '>',
        ]);
        let framed = line.contains(['\u{d7}', '\u{251c}', '\u{2570}']);
        let indented = line.starts_with("      ");
        match whole.last_mut() {
            Some(last)
                if in_cause && indented && !framed && !bare.is_empty() && !last.ends_with('.') =>
            {
                last.push(' ');
                last.push_str(bare);
            }
            _ => whole.push(line.clone()),
        }
        in_cause = (in_cause && indented) || (framed && line.contains("\u{25b6} "));
    }
    whole
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
            Culprit::Host => Some(vec![host(line)]),
            Culprit::HostUnless(text) => (!line.contains(text)).then(|| vec![host(line)]),
            Culprit::Header => {
                let header = before.split_whitespace().last().unwrap_or_default();
                let (_, extension) = header.rsplit_once('.')?;
                (extension == "h").then(|| vec![header.to_owned()])
            }
            Culprit::Is(what) => one(what),
            Culprit::AptVersion => {
                let (version, rest) = after.split_once("' for '")?;
                let (package, _) = rest.split_once("' was not found")?;
                one(&format!("{package}={version}"))
            }
            Culprit::NameBelow => one(first_word(following.first().map_or("", String::as_str))),
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

/// The host of the last URL, or of the first `host='...'`, in a line, with its port. A redirect is told behind the
/// address that was asked for.
fn host(line: &str) -> String {
    if let Some((_, rest)) = line.split_once("host='") {
        let name = rest.split('\'').next().unwrap_or_default();
        let port = rest.split_once("port=").map(|(_, port)| {
            port.trim_start_matches(|c: char| !c.is_ascii_digit())
                .split(|c: char| !c.is_ascii_digit())
                .next()
                .unwrap_or_default()
        });
        return match port {
            None | Some("" | "80" | "443") => name.to_owned(),
            Some(port) => format!("{name}:{port}"),
        };
    }
    let Some((_, rest)) = line.rsplit_once("://") else {
        return String::new();
    };
    let end = rest
        .find(|c: char| c.is_whitespace() || "/'\"`<>,)]".contains(c))
        .unwrap_or(rest.len());
    // User name and password of a mirror stay out of the sentence.
    let authority = rest[..end].rsplit('@').next().unwrap_or_default();
    trimmed(authority).to_owned()
}

/// The hosts of the indexes that pip says it looks in.
fn indexes(lines: &[String]) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    let named = lines
        .iter()
        .filter_map(|line| line.split_once("Looking in indexes: "));
    for url in named.flat_map(|(_, urls)| urls.split(", ")) {
        let host = host(url);
        if !host.is_empty() && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
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

#[cfg(test)]
mod tests;
