//! Lists of packages in the form their own tools write them: requirements.txt and
//! environment.yml.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    reader::{Place, Reader},
    syntax::{Syntax, read},
};
use crate::{
    failure::Sentence,
    names::{NameError, parse_env_name, parse_env_value, parse_match_spec, parse_requirement},
};

/// What an environment.yml wants.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Match specs.
    pub(super) conda: Vec<String>,
    /// Requirements of its `pip:` part.
    pub(super) pip: Vec<String>,
    /// Its variables.
    pub(super) variables: BTreeMap<String, String>,
}

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

/// What an environment.yml wants. Its name and prefix do not matter: packages go into the
/// environment `default`. One channel beside `defaults` is written before every package; several
/// would need an order that a package cannot say.
pub(super) fn environment(reader: &mut Reader, place: &Place<'_>, text: &str) -> Environment {
    let value = match read(text, Syntax::Yaml) {
        Ok(value) => value,
        Err(error) => {
            let Sentence { zh, en } = error.sentence();
            let allowed = Sentence::new(format!("应为 YAML：{zh}"), format!("must be YAML: {en}"));
            reader.refuse(place, "", allowed);
            return Environment::default();
        }
    };
    // Mistakes in the text are told of the field that holds it, and by their place in it.
    let mut inner = Reader::default();
    let root = inner.object(&Place::root(&value));
    inner.only(
        &root,
        &["name", "channels", "dependencies", "prefix", "variables"],
    );
    let channel = channel(&mut inner, &root.field("channels"));
    let mut environment = Environment::default();
    for item in inner.items(&root.field("dependencies")) {
        if item.value.is_some_and(Value::is_object) {
            inner.only(&item, &["pip"]);
            for requirement in inner.items(&item.field("pip")) {
                if let Some(text) = inner.text_once(&requirement) {
                    let parsed = parse_requirement(&text, "");
                    environment
                        .pip
                        .extend(inner.parsed(&requirement, &text, parsed));
                }
            }
        } else if let Some(text) = inner.text_once(&item) {
            let named = match &channel {
                Some(channel) if !text.contains("::") => format!("{channel}::{text}"),
                _ => text.clone(),
            };
            let parsed = parse_match_spec(&named, "");
            environment.conda.extend(inner.parsed(&item, &text, parsed));
        }
    }
    let variables = inner.object(&root.field("variables"));
    for name in variables.names() {
        let entry = variables.field(name);
        let Some(value) = inner.text_once(&entry) else {
            continue;
        };
        let (name_parsed, value_parsed) = (parse_env_name(name), parse_env_value(&value));
        let name = inner.parsed(&entry, name, name_parsed);
        let value = inner.parsed(&entry, &value, value_parsed);
        environment.variables.extend(name.zip(value));
    }
    for error in inner.errors {
        let Sentence { zh, en } = error.allowed;
        let within = &error.path;
        reader.refuse(
            place,
            &error.value,
            Sentence::new(format!("（{within} 处）{zh}"), format!("at {within} {en}")),
        );
    }
    environment
}

fn channel(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let mut channels = Vec::new();
    for item in reader.items(place) {
        channels.extend(
            reader
                .text_once(&item)
                .filter(|channel| !["defaults", "nodefaults"].contains(&channel.as_str())),
        );
    }
    if channels.len() > 1 {
        reader.refuse(
            place,
            &channels.join(", "),
            Sentence::new(
                "应只含一个频道（defaults 除外）；多个频道请写成 频道::包名",
                "must name one channel beside defaults; write channel::package for several",
            ),
        );
        return None;
    }
    channels.pop()
}
