//! The options of a requirement file's line, taken apart as pip does it: the line is cut at its first word that begins
//! with a hyphen, the rest is split like a shell's words (Python's `shlex`) and read like a command line (`optparse`).

/// An option that pip knows in requirement files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    IndexUrl,
    ExtraIndexUrl,
    NoIndex,
    FindLinks,
    TrustedHost,
    Pre,
    PreferBinary,
    NoBinary,
    OnlyBinary,
    RequireHashes,
    UseFeature,
    Requirement,
    Constraint,
    Editable,
    Hash,
    ConfigSettings,
    GlobalOption,
}

impl Name {
    const ALL: [(&'static str, Self); 19] = [
        ("index-url", Self::IndexUrl),
        ("pypi-url", Self::IndexUrl),
        ("extra-index-url", Self::ExtraIndexUrl),
        ("no-index", Self::NoIndex),
        ("find-links", Self::FindLinks),
        ("trusted-host", Self::TrustedHost),
        ("pre", Self::Pre),
        ("prefer-binary", Self::PreferBinary),
        ("no-binary", Self::NoBinary),
        ("only-binary", Self::OnlyBinary),
        ("require-hashes", Self::RequireHashes),
        ("use-feature", Self::UseFeature),
        ("requirement", Self::Requirement),
        ("constraint", Self::Constraint),
        ("editable", Self::Editable),
        ("hash", Self::Hash),
        ("config-settings", Self::ConfigSettings),
        ("config-setting", Self::ConfigSettings),
        ("global-option", Self::GlobalOption),
    ];

    /// The option of this long name, or of the one name that begins so.
    fn long(name: &str) -> Option<Self> {
        if let Some((_, exact)) = Self::ALL.iter().find(|(long, _)| *long == name) {
            return Some(*exact);
        }
        let mut fitting = Self::ALL.iter().filter(|(long, _)| long.starts_with(name));
        match (fitting.next(), fitting.next()) {
            (Some((_, one)), None) => Some(*one),
            _ => None,
        }
    }

    fn short(letter: char) -> Option<Self> {
        Some(match letter {
            'i' => Self::IndexUrl,
            'f' => Self::FindLinks,
            'r' => Self::Requirement,
            'c' => Self::Constraint,
            'e' => Self::Editable,
            'C' => Self::ConfigSettings,
            _ => return None,
        })
    }

    fn takes_value(self) -> bool {
        !matches!(
            self,
            Self::NoIndex | Self::Pre | Self::PreferBinary | Self::RequireHashes
        )
    }

    /// As it is written.
    pub(super) fn text(self) -> String {
        let found = Self::ALL.iter().find(|(_, name)| *name == self);
        found.map_or_else(String::new, |(long, _)| format!("--{long}"))
    }
}

/// A line taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    /// The requirement before the options; empty on a line of options.
    pub(super) requirement: String,
    /// The options with their values.
    pub(super) options: Vec<(Name, String)>,
}

/// Why the options of a line cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OptionError {
    /// A quote is not closed, or a backslash ends the line.
    Quote,
    /// No option that requirement files may have.
    Unknown(String),
    /// An option without its value, or with one that it does not take.
    Value(String),
    /// A word behind the options, which pip passes over in silence.
    Stray(String),
}

/// Takes a logical line apart.
pub(super) fn take_apart(line: &str) -> Result<Parts, OptionError> {
    let begins = |word: &str| word.starts_with('-');
    let words: Vec<&str> = line.split(' ').collect();
    let end = words
        .iter()
        .position(|word| begins(word))
        .unwrap_or(words.len());
    let requirement = words[..end].join(" ").trim().to_owned();
    let mut words = shell_words(&words[end..].join(" "))
        .ok_or(OptionError::Quote)?
        .into_iter();
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        let (written, name, attached) = if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            (format!("--{name}"), Name::long(name), value)
        } else if let Some(letters) = word.strip_prefix('-') {
            let mut letters = letters.chars();
            let letter = letters.next().unwrap_or_default();
            let value = Some(letters.as_str().to_owned()).filter(|value| !value.is_empty());
            (format!("-{letter}"), Name::short(letter), value)
        } else {
            return Err(OptionError::Stray(word));
        };
        let name = name.ok_or_else(|| OptionError::Unknown(written.clone()))?;
        let value = match (name.takes_value(), attached) {
            (true, Some(value)) => value,
            (true, None) => words.next().ok_or(OptionError::Value(written))?,
            (false, None) => String::new(),
            (false, Some(_)) => return Err(OptionError::Value(written)),
        };
        options.push((name, value));
    }
    Ok(Parts {
        requirement,
        options,
    })
}

/// Words of a POSIX shell without comments, as `shlex.split` reads them; `None` where a quote is open.
fn shell_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(characters.next()?),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '"' => break,
                        '\\' => match characters.next()? {
                            escaped @ ('"' | '\\') => word.push(escaped),
                            other => word.extend(['\\', other]),
                        },
                        other => word.push(other),
                    }
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_apart_as_optparse_does() {
        for (line, requirement, options) in [
            ("a==1 ; os_name == 'nt'", "a==1 ; os_name == 'nt'", vec![]),
            (
                "a --hash=sha256:0 --hash sha256:1",
                "a",
                vec![(Name::Hash, "sha256:0"), (Name::Hash, "sha256:1")],
            ),
            (
                "-ihttps://x.example/s -f https://y.example",
                "",
                vec![
                    (Name::IndexUrl, "https://x.example/s"),
                    (Name::FindLinks, "https://y.example"),
                ],
            ),
            (
                "--index https://x.example --no-index",
                "",
                vec![(Name::IndexUrl, "https://x.example"), (Name::NoIndex, "")],
            ),
            (
                "--extra-index-url='https://x.example/a b' --pre",
                "",
                vec![
                    (Name::ExtraIndexUrl, "https://x.example/a b"),
                    (Name::Pre, ""),
                ],
            ),
            (
                "-r \"other file.txt\"",
                "",
                vec![(Name::Requirement, "other file.txt")],
            ),
            ("-c a\\ b", "", vec![(Name::Constraint, "a b")]),
        ] {
            let parts = take_apart(line).unwrap();
            let wanted: Vec<_> = options
                .into_iter()
                .map(|(name, value)| (name, value.to_owned()))
                .collect();
            assert_eq!(
                (parts.requirement.as_str(), parts.options),
                (requirement, wanted),
                "{line}"
            );
        }
    }

    #[test]
    fn what_optparse_refuses_or_passes_over_is_an_error() {
        for (line, error) in [
            ("-r 'x", OptionError::Quote),
            ("--no-bin", OptionError::Value("--no-bin".into())),
            ("--index-url", OptionError::Value("--index-url".into())),
            ("--pre=1", OptionError::Value("--pre".into())),
            ("--p", OptionError::Unknown("--p".into())),
            ("--target x", OptionError::Unknown("--target".into())),
            ("-x", OptionError::Unknown("-x".into())),
            ("a --pre b", OptionError::Stray("b".into())),
        ] {
            assert_eq!(take_apart(line), Err(error), "{line}");
        }
    }
}
