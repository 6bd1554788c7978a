//! requirements.txt, as pip reads it.

use super::reader::{Place, Reader};
use crate::{
    failure::Sentence,
    names::{NameError, parse_requirement},
};

/// The requirements of a requirements.txt. Comments and line continuations are pip's; options,
/// URLs and markers are refused, as they would reach other hosts, or pip itself.
pub(super) fn requirements(reader: &mut Reader, place: &Place<'_>, text: &str) -> Vec<String> {
    let mut requirements = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let mut logical = first.to_owned();
        while let Some(open) = logical.strip_suffix('\\') {
            let more = lines.next().map_or("", |(_, line)| line);
            logical = format!("{open}{more}");
        }
        let requirement = without_comment(&logical);
        if requirement.is_empty() {
            continue;
        }
        match parse_requirement(requirement, "") {
            Ok(parsed) => requirements.push(parsed),
            Err(error) => {
                let allowed = on_line(index + 1, &error);
                reader.refuse(place, requirement, allowed);
            }
        }
    }
    requirements
}

/// A comment begins at the start of a line or after a blank, as pip has it.
fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') {
        return "";
    }
    let end = line.find(" #").or_else(|| line.find("\t#"));
    line[..end.unwrap_or(line.len())].trim()
}

fn on_line(number: usize, error: &NameError) -> Sentence {
    Sentence::new(
        format!("（第 {number} 行）{}", error.allowed.zh),
        format!("on line {number} {}", error.allowed.en),
    )
}
