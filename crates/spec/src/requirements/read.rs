//! From the texts of a document to a [`RequirementSet`].

use std::collections::BTreeMap;

use super::{
    InstallOptions, RequirementSet, Sources,
    hosts::Refused,
    lines::{LogicalLine, logical_lines},
    lock,
    options::{Name, OptionError, take_apart},
    requirement::{Requirement, is_hash},
};
use crate::failure::Sentence;

/// The texts of a document that a requirement file may name.
pub(crate) type Files = BTreeMap<String, String>;

/// Files within each other; pip has no bound, and no list that a person wrote comes near it.
const DEEPEST: usize = 20;

/// What is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileError {
    /// The file among [`Files`]; `None` is the first one.
    pub(crate) file: Option<String>,
    /// What was there; empty where it may hold a password.
    pub(crate) value: String,
    /// What is allowed, with the line's number.
    pub(crate) allowed: Sentence,
}

/// Reads a requirement file and those it names.
pub(crate) fn read(
    text: &str,
    files: &Files,
    sources: &Sources,
) -> (RequirementSet, Vec<FileError>) {
    let mut reader = FileReader::new(files, sources);
    reader.file(None, text, false);
    reader.finish()
}

/// Reads lines that stand in a list of another file, such as `[project] dependencies`.
pub(super) fn read_list(lines: &[String], sources: &Sources) -> (RequirementSet, Vec<FileError>) {
    let files = Files::new();
    let mut reader = FileReader::new(&files, sources);
    for (index, text) in lines.iter().enumerate() {
        let line = LogicalLine {
            number: index + 1,
            text: text.clone(),
        };
        match Requirement::parse(text) {
            Ok(requirement) => reader.take(&line, None, requirement, false),
            Err(refused) => reader.refuse(None, &line, refused),
        }
    }
    reader.finish()
}

/// Adds indexes by the names that an operator gave them.
///
/// # Errors
/// A sentence for each name that is none, by its place in the list.
pub(crate) fn with_indexes(
    set: &mut RequirementSet,
    names: &[String],
    sources: &Sources,
) -> Vec<(usize, Sentence)> {
    let mut errors = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match sources.named(name) {
            Ok(found) => {
                let url = found.url.to_string();
                if !set.options.extra_index_urls.contains(&url) {
                    set.options.extra_index_urls.push(url);
                }
                if found.login.is_some() && !set.options.logins.contains(name) {
                    set.options.logins.push(name.clone());
                }
            }
            Err(refused) => errors.push((index, refused.allowed)),
        }
    }
    errors
}

struct FileReader<'a> {
    files: &'a Files,
    sources: &'a Sources,
    /// The files that lead to the present one.
    open: Vec<String>,
    requirements: Vec<Requirement>,
    /// Where a requirement without a hash stands first.
    without_hash: Option<(Option<String>, LogicalLine)>,
    constraints: Vec<Requirement>,
    options: InstallOptions,
    errors: Vec<FileError>,
}

impl<'a> FileReader<'a> {
    fn new(files: &'a Files, sources: &'a Sources) -> Self {
        Self {
            files,
            sources,
            open: Vec::new(),
            requirements: Vec::new(),
            without_hash: None,
            constraints: Vec::new(),
            options: InstallOptions::default(),
            errors: Vec::new(),
        }
    }

    fn finish(mut self) -> (RequirementSet, Vec<FileError>) {
        let any_hash = self.requirements.iter().any(|one| !one.hashes.is_empty());
        self.options.require_hashes |= any_hash;
        if self.options.require_hashes
            && self.constraints.iter().all(|one| one.hashes.is_empty())
            && let Some((file, line)) = self.without_hash.take()
        {
            self.refuse(file.as_deref(), &line, Refused::plain(Sentence::new(
                "没有 --hash，而文件中的其他包有；pip 要求要么全部带 hash，要么全部不带",
                "has no --hash although others have; pip wants hashes for all of them or for none",
            )));
        }
        let lines = |list: &[Requirement]| list.iter().map(Requirement::line).collect();
        let set = RequirementSet {
            requirements: lines(&self.requirements),
            constraints: lines(&self.constraints),
            options: self.options,
        };
        (set, self.errors)
    }

    fn refuse(&mut self, file: Option<&str>, line: &LogicalLine, refused: Refused) {
        let Sentence { zh, en } = refused.allowed;
        self.errors.push(FileError {
            file: file.map(str::to_owned),
            value: if refused.is_secret {
                String::new()
            } else {
                line.text.clone()
            },
            allowed: Sentence::new(
                format!("（第 {} 行）{zh}", line.number),
                format!("on line {} {en}", line.number),
            ),
        });
    }

    fn file(&mut self, name: Option<&str>, text: &str, constraint: bool) {
        let other = lock::other_format(text).or_else(|| name.and_then(lock::other_format_by_name));
        if let Some(allowed) = other {
            self.errors.push(FileError {
                file: name.map(str::to_owned),
                value: String::new(),
                allowed,
            });
            return;
        }
        for line in logical_lines(text) {
            if let Err(refused) = self.line(name, &line, constraint) {
                self.refuse(name, &line, refused);
            }
        }
    }

    fn line(
        &mut self,
        file: Option<&str>,
        line: &LogicalLine,
        constraint: bool,
    ) -> Result<(), Refused> {
        if has_variable(&line.text) {
            return Err(Refused::secret(Sentence::new(
                "含有 ${变量}，构建时没有这些变量；请写出内容，账号则请管理员在 [sources.indexes] 中定义",
                "has a ${VARIABLE}, which a build does not have; write what it stands for, and let the operator define \
                 accounts in [sources.indexes]",
            )));
        }
        let parts = take_apart(&line.text).map_err(option_error)?;
        if parts.requirement.is_empty() {
            return self.option_line(file, parts.options);
        }
        let mut requirement = Requirement::parse(&parts.requirement)?;
        for (name, value) in parts.options {
            match name {
                Name::Hash if is_hash(&value) => requirement.hashes.push(value),
                Name::Hash => {
                    return Err(Refused::plain(Sentence::new(
                        "的 --hash 应为 sha256: 加 64 位、sha384: 加 96 位或 sha512: 加 128 位十六进制数",
                        "must have a --hash of sha256: and 64, sha384: and 96, or sha512: and 128 hexadecimal digits",
                    )));
                }
                Name::ConfigSettings | Name::GlobalOption => {
                    return Err(Refused::plain(Sentence::new(
                        format!(
                            "带有 {}，FastBuild 不传递它（旧的 pip 和 uv 没有它）；请使用该包的 wheel",
                            name.text()
                        ),
                        format!(
                            "has {}, which is not passed on, as older pips and uv do not have it; use a wheel of that package",
                            name.text()
                        ),
                    )));
                }
                other => {
                    return Err(Refused::plain(Sentence::new(
                        format!("中的 {} 会被 pip 忽略，请把它单独写成一行", other.text()),
                        format!(
                            "has {}, which pip passes over there; give it a line of its own",
                            other.text()
                        ),
                    )));
                }
            }
        }
        self.take(line, file, requirement, constraint);
        Ok(())
    }

    fn take(
        &mut self,
        line: &LogicalLine,
        file: Option<&str>,
        requirement: Requirement,
        constraint: bool,
    ) {
        if let Some(address) = requirement.address()
            && let Err(refused) = self.sources.check_address(&address)
        {
            self.refuse(file, line, refused);
            return;
        }
        if constraint {
            if requirement.name.contains('[') || requirement.name.is_empty() {
                self.refuse(file, line, Refused::plain(Sentence::new(
                    "是约束，应为不带附加项的包名和版本要求",
                    "is a constraint, which must be a name without extras and a version specifier",
                )));
                return;
            }
            self.constraints.push(requirement);
            return;
        }
        if requirement.hashes.is_empty()
            && self.without_hash.is_none()
            && requirement.marker.is_none()
        {
            self.without_hash = Some((file.map(str::to_owned), line.clone()));
        }
        self.requirements.push(requirement);
    }

    fn option_line(
        &mut self,
        file: Option<&str>,
        mut options: Vec<(Name, String)>,
    ) -> Result<(), Refused> {
        let names_file =
            |name: &Name| matches!(name, Name::Requirement | Name::Constraint | Name::Editable);
        if options.len() > 1 && options.iter().any(|(name, _)| names_file(name)) {
            return Err(Refused::plain(Sentence::new(
                "在一行中有多个选项，其中 -r、-c 和 -e 应单独成行，否则 pip 会忽略其余的",
                "has several options; -r, -c and -e must have a line of their own, as pip passes over the others",
            )));
        }
        // On one line pip looks at them in this order.
        options.sort_by_key(|(name, _)| match name {
            Name::NoIndex => 0,
            Name::IndexUrl => 1,
            _ => 2,
        });
        for (name, value) in options {
            self.option(file, name, value)?;
        }
        Ok(())
    }

    fn option(&mut self, file: Option<&str>, name: Name, value: String) -> Result<(), Refused> {
        let options = &mut self.options;
        match name {
            Name::IndexUrl | Name::ExtraIndexUrl => {
                let url = self.sources.check_index(&value)?;
                // Once there is no index, pip passes over those that follow.
                if options.no_index {
                    return Ok(());
                }
                options.logins.extend(login(self.sources, &url));
                if name == Name::IndexUrl {
                    options.extra_index_urls.clear();
                    options.index_url = Some(value);
                } else {
                    options.extra_index_urls.push(value);
                }
            }
            Name::NoIndex => {
                options.no_index = true;
                options.index_url = None;
                options.extra_index_urls.clear();
            }
            Name::FindLinks => {
                self.sources.check_index(&value)?;
                options.find_links.push(value);
            }
            Name::TrustedHost => {
                self.sources.check_trusted(&value)?;
                options.trusted_hosts.push(value);
            }
            Name::Pre => options.pre = true,
            Name::PreferBinary => options.prefer_binary = true,
            Name::RequireHashes => options.require_hashes = true,
            Name::NoBinary | Name::OnlyBinary => {
                for package in value.split(',') {
                    let fits = [":all:", ":none:"].contains(&package)
                        || crate::names::split_requirement(package)
                            .is_ok_and(|(name, rest)| rest.is_empty() && !name.contains('['));
                    if !fits {
                        return Err(Refused::plain(Sentence::new(
                            "应为包名、:all: 或 :none:，用逗号分隔",
                            "must have names of packages, :all: or :none:, with commas between them",
                        )));
                    }
                    options.formats.push(format!("{}={package}", name.text()));
                }
            }
            // Also from a list of constraints: these are requirements then.
            Name::Requirement => return self.include(file, &value, false),
            Name::Constraint => return self.include(file, &value, true),
            Name::Editable => {
                return Err(Refused::plain(Sentence::new(
                    "是可编辑安装，指向本机上的文件夹，构建时没有它；请把包发布到索引后写包名，或写成 包名 @ git+https://…@标签",
                    "installs a folder of your own machine in place, which a build does not have; publish the package in an \
                 index and name it, or write name @ git+https://...@ref",
                )));
            }
            Name::UseFeature => {
                return Err(Refused::plain(Sentence::new(
                    "打开 pip 某个版本的试验功能，别的版本和 uv 没有它；请删去这一行",
                    "turns on a feature of some versions of pip, which others and uv do not have; leave the line out",
                )));
            }
            Name::Hash | Name::ConfigSettings | Name::GlobalOption => {
                return Err(Refused::plain(Sentence::new(
                    format!("{} 应跟在一个包之后，写在同一行", name.text()),
                    format!(
                        "must have {} behind a package, on the same line",
                        name.text()
                    ),
                )));
            }
        }
        Ok(())
    }

    /// Reads a file that another one names, relative to that one as pip has it.
    fn include(&mut self, file: Option<&str>, path: &str, constraint: bool) -> Result<(), Refused> {
        let folder = file
            .and_then(|file| file.rsplit_once('/'))
            .map_or("", |(folder, _)| folder);
        let name = resolved(folder, path);
        let Some((name, text)) = name
            .as_deref()
            .and_then(|name| self.files.get_key_value(name))
        else {
            let shown = name.unwrap_or_else(|| path.to_owned());
            return Err(Refused::plain(Sentence::new(
                format!("指向另一个文件，构建时没有它；请把它的内容写入 pip.files，名字为 {shown}"),
                format!(
                    "names another file, which a build does not have; put its text into pip.files under the name {shown}"
                ),
            )));
        };
        if self.open.contains(name) || self.open.len() >= DEEPEST {
            return Err(Refused::plain(Sentence::new(
                format!("又回到 {name}，文件互相包含"),
                format!("leads back to {name}: the files include each other"),
            )));
        }
        self.open.push(name.clone());
        self.file(Some(name), text, constraint);
        self.open.pop();
        Ok(())
    }
}

fn login(sources: &Sources, url: &url::Url) -> Option<String> {
    let name = sources.name_of(url)?;
    sources.named(name).ok()?.login.as_ref()?;
    Some(name.to_owned())
}

/// pip puts variables of the environment in place of `${NAME}`.
fn has_variable(text: &str) -> bool {
    text.match_indices("${").any(|(place, _)| {
        let rest = &text[place + 2..];
        rest.split_once('}').is_some_and(|(name, _)| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        })
    })
}

/// The path as a name of [`Files`], without `.` and `..`; `None` where it leads out of them.
fn resolved(folder: &str, path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains("://") {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

fn option_error(error: OptionError) -> Refused {
    Refused::plain(match error {
        OptionError::Quote => Sentence::new(
            "有未闭合的引号，或以反斜杠结尾",
            "has a quote that is not closed, or ends in a backslash",
        ),
        OptionError::Unknown(option) => Sentence::new(
            format!("的 {option} 不是 requirements.txt 中可用的选项"),
            format!("has {option}, which is no option of a requirements.txt"),
        ),
        OptionError::Value(option) => Sentence::new(
            format!("的 {option} 缺少值，或不接受值"),
            format!("has {option} without its value, or with one that it does not take"),
        ),
        OptionError::Stray(word) => Sentence::new(
            format!("在选项之后还有 {word}，pip 会忽略它"),
            format!("has {word} behind the options, which pip passes over"),
        ),
    })
}

/// Whether all a set has are names with versions, which need no file.
pub(crate) fn simple(set: &RequirementSet) -> bool {
    set.constraints.is_empty()
        && set.options == InstallOptions::default()
        && set.requirements.iter().all(|line| {
            Requirement::parse(line).is_ok_and(|one| one.is_simple()) && !line.contains(" --")
        })
}

#[cfg(test)]
mod tests;
