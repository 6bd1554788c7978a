//! environment.yml, as CEP 24 has it: channels in their order, match specs, a `pip:` part and variables.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    reader::{Place, Reader},
    syntax::{Syntax, read},
};
use crate::{
    failure::Sentence,
    image_spec::CondaChannels,
    names::{is_channel, parse_env_name, parse_env_value, parse_match_spec, parse_requirement},
};

/// What an environment.yml wants. Its name and prefix do not matter: packages go into the environment `default`.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// The channels, first of all the one to prefer.
    pub(super) channels: CondaChannels,
    /// Match specs.
    pub(super) conda: Vec<String>,
    /// Requirements of its `pip:` part.
    pub(super) pip: Vec<String>,
    /// Its variables.
    pub(super) variables: BTreeMap<String, String>,
}

/// Reads an environment.yml. Keys that conda does not know are passed over, as conda does.
pub(super) fn environment(reader: &mut Reader, place: &Place<'_>, text: &str) -> Environment {
    if text.trim_start().starts_with("@EXPLICIT") || text.contains("\n@EXPLICIT") {
        reader.refuse(
            place,
            "@EXPLICIT",
            Sentence::new(
                "是带有网址的显式清单，构建时不会访问其中的主机；请用 conda env export --no-builds 导出 environment.yml",
                "is an explicit list of URLs, whose hosts builds do not reach; export an environment.yml with conda env export --no-builds",
            ),
        );
        return Environment::default();
    }
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
    let mut environment = Environment {
        channels: channels(&mut inner, &root.field("channels")),
        ..Environment::default()
    };
    for item in inner.items(&root.field("dependencies")) {
        if item.value.is_some_and(Value::is_object) {
            for requirement in inner.items(&item.field("pip")) {
                if let Some(text) = inner.text_once(&requirement) {
                    let parsed = parse_requirement(&text, "");
                    environment
                        .pip
                        .extend(inner.parsed(&requirement, &text, parsed));
                }
            }
        } else if let Some(text) = inner.text_once(&item) {
            let parsed = parse_match_spec(&text, "");
            environment.conda.extend(inner.parsed(&item, &text, parsed));
        }
    }
    // conda itself adds it, and says so.
    let has_pip = environment.conda.iter().any(|spec| {
        let name = spec.rsplit("::").next().unwrap_or(spec);
        name.strip_prefix("pip").is_some_and(|rest| {
            !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "._-".contains(c))
        })
    });
    if !environment.pip.is_empty() && !has_pip {
        environment.conda.push("pip".to_owned());
    }
    let variables = inner.object(&root.field("variables"));
    for name in variables.names() {
        let entry = variables.field(name);
        let Some(value) = scalar(&mut inner, &entry) else {
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

/// A variable's value, which YAML may take for a number or a truth value; these are written as Python does.
fn scalar(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    match place.value {
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::Bool(true)) => Some("True".to_owned()),
        Some(Value::Bool(false)) => Some("False".to_owned()),
        _ => reader.text_once(place),
    }
}

fn channels(reader: &mut Reader, place: &Place<'_>) -> CondaChannels {
    let mut channels = CondaChannels::default();
    for item in reader.items(place) {
        let Some(name) = reader.text_once(&item) else {
            continue;
        };
        if name == "nodefaults" {
            channels.without_defaults = true;
        } else if is_channel(&name) {
            if !channels.names.contains(&name) {
                channels.names.push(name);
            }
        } else {
            reader.refuse(
                &item,
                &name,
                Sentence::new(
                    "应为频道名，例如 conda-forge；频道的网址请由 mirrors.conda 选定的镜像源给出",
                    "must be a channel's name, such as conda-forge; where channels come from is the mirror's matter: choose one with mirrors.conda",
                ),
            );
        }
    }
    channels
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_text(text: &str) -> (Environment, Vec<String>) {
        let mut reader = Reader::default();
        let value = json!(text);
        let environment = environment(&mut reader, &Place::root(&value), text);
        let mistakes = reader.errors.into_iter().map(|error| error.allowed.en);
        (environment, mistakes.collect())
    }

    #[test]
    fn channels_keep_their_order_and_specs_stay_as_written() {
        let (environment, mistakes) = read_text(
            "name: ours\nchannels: [pytorch, nvidia/label/cuda-12.1.0, conda-forge, nodefaults]\n\
             dependencies: [python=3.10, 'numpy >=1.23, <2', conda-forge::scipy, 'pytorch[build=*cuda*]', {pip: [flask==3.0.3]}]\n\
             variables: {WORKERS: 4, RATIO: 0.5, MODE: fast}\nprefix: /opt/x\ncategory: main\n",
        );
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!(
            environment.channels.names,
            ["pytorch", "nvidia/label/cuda-12.1.0", "conda-forge"]
        );
        assert!(environment.channels.without_defaults);
        assert_eq!(
            environment.conda,
            [
                "python=3.10",
                "numpy>=1.23,<2",
                "conda-forge::scipy",
                "pytorch[build='*cuda*']",
                "pip"
            ]
        );
        assert_eq!(environment.pip, ["flask==3.0.3"]);
        assert_eq!(environment.variables["WORKERS"], "4");
        assert_eq!(environment.variables["RATIO"], "0.5");
    }

    #[test]
    fn a_channels_url_is_one_mistake_with_the_way_out() {
        let (_, mistakes) = read_text(
            "channels: [https://mirror.example/anaconda/cloud/conda-forge/, defaults]\ndependencies: [python=3.10, scipy]\n",
        );
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(
            mistakes[0].contains("channels[0]") || mistakes[0].contains("/channels/0"),
            "{mistakes:?}"
        );
        assert!(mistakes[0].contains("mirrors.conda"), "{mistakes:?}");
    }

    #[test]
    fn pip_is_added_only_where_it_is_not_named() {
        let (environment, _) = read_text("dependencies: [pip=23.3, {pip: [six]}]\n");
        assert_eq!(environment.conda, ["pip=23.3"]);
        let (environment, _) = read_text("dependencies: [pip-tools, {pip: [six]}]\n");
        assert_eq!(environment.conda, ["pip-tools", "pip"]);
    }

    #[test]
    fn an_explicit_list_is_refused_with_the_command_that_exports_another() {
        let (_, mistakes) =
            read_text("# platform: linux-64\n@EXPLICIT\nhttps://c.example/x.conda\n");
        assert!(mistakes[0].contains("conda env export"), "{mistakes:?}");
    }
}
