//! Writes a Dockerfile, instruction by instruction.

use std::fmt::Write as _;

use super::quote;

/// A Dockerfile in the making.
#[derive(Debug, Default)]
pub(super) struct Dockerfile {
    text: String,
    link: bool,
}

/// A mount of one `RUN` (`BuildKit` only).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mount {
    /// A folder that outlives the build and is in no layer. Other builds may use it at the same time: see
    /// [`Script::exclusive`].
    Cache { id: String, target: &'static str },
    /// A folder of the context, to read.
    Context {
        source: &'static str,
        target: &'static str,
    },
    /// A secret as a file under `/run/secrets`.
    Secret { id: &'static str },
}

impl Mount {
    fn option(&self) -> String {
        match self {
            Self::Cache { id, target } => {
                format!("--mount=type=cache,id={id},target={target},sharing=shared")
            }
            Self::Context { source, target } => {
                format!("--mount=type=bind,source={source},target={target}")
            }
            Self::Secret { id } => format!("--mount=type=secret,id={id},required=true"),
        }
    }
}

/// The commands of one `RUN`. The first that fails ends it.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    lines: Vec<Line>,
}

/// A line of shell text.
#[derive(Debug, Clone)]
struct Line {
    text: String,
    /// Whether it is the middle of a compound command, where no `;` may follow.
    open: bool,
}

impl Script {
    /// Adds one line that ends where a command may end.
    pub(super) fn line(&mut self, line: impl Into<String>) -> &mut Self {
        self.push(line.into(), false)
    }

    /// Adds one line that the next one continues: its last word is `then`, `else`, `do`, `{`,
    /// `|`, `||` or `&&`, of our own writing.
    pub(super) fn open(&mut self, line: impl Into<String>) -> &mut Self {
        self.push(line.into(), true)
    }

    fn push(&mut self, text: String, open: bool) -> &mut Self {
        self.lines.push(Line { text, open });
        self
    }

    /// Adds a command with many words, which are shell words already, broken into lines.
    pub(super) fn command<'a>(
        &mut self,
        head: &str,
        words: impl IntoIterator<Item = &'a String>,
    ) -> &mut Self {
        const WIDTH: usize = 92;
        let mut command = head.to_owned();
        let mut column = command.len();
        for word in words {
            if column + 1 + word.len() > WIDTH {
                command.push_str(" \\\n       ");
                column = 7;
            }
            command.push(' ');
            command.push_str(word);
            column += 1 + word.len();
        }
        self.line(command)
    }

    /// Waits, in words now and then, until no other build is in a script that holds the same `folder` of a
    /// cache mount. The engine's own lock (`sharing=locked`) would wait without a word, which looks like a
    /// build that hangs.
    pub(super) fn exclusive(&mut self, folder: &str) -> &mut Self {
        self.line(format!("mkdir -p {folder}"))
            .open("if command -v flock > /dev/null; then")
            .line(format!("exec 9> {folder}/lock"))
            .line("until flock -w 20 9; do echo 'Waiting for another build that uses the same package cache.'; done")
            .line("fi")
    }

    /// Whether nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds the lines of `other`.
    pub(super) fn append(&mut self, other: Self) -> &mut Self {
        self.lines.extend(other.lines);
        self
    }
}

impl Dockerfile {
    /// The text so far.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn instruction(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A comment line of our own words, after an empty line.
    pub(super) fn comment(&mut self, text: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.text, "{gap}# {text}");
    }

    /// `FROM`, the base image of a stage.
    pub(super) fn from(&mut self, image: &str, stage: Option<&str>) {
        match stage {
            Some(stage) => self.instruction(&format!("FROM {image} AS {stage}")),
            None => self.instruction(&format!("FROM {image}")),
        }
    }

    /// `USER`.
    pub(super) fn user(&mut self, user: &str) {
        let plain = user
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c));
        let user = if plain {
            user.to_owned()
        } else {
            quote::dockerfile(user)
        };
        self.instruction(&format!("USER {user}"));
    }

    /// `ENV` of one variable.
    pub(super) fn env(&mut self, name: &str, value: &str) {
        self.instruction(&format!("ENV {name}={}", quote::dockerfile(value)));
    }

    /// `EXPOSE` of one TCP port.
    pub(super) fn expose(&mut self, port: u16) {
        self.instruction(&format!("EXPOSE {port}"));
    }

    /// With `link`, `COPY` makes layers of their own, which stay when what is below them changes. Only for
    /// targets below no symbolic link of the base image.
    pub(super) fn linking(link: bool) -> Self {
        Self {
            link,
            ..Self::default()
        }
    }

    /// `COPY` of context files.
    pub(super) fn copy(&mut self, source: &str, target: &str) {
        let paths = [source, target].map(quote::copy_path).join(", ");
        self.instruction(&format!("COPY [{paths}]"));
    }

    /// `COPY` out of another stage.
    pub(super) fn copy_from(&mut self, stage: &str, source: &str, target: &str) {
        let paths = [source, target].map(quote::copy_path).join(", ");
        // Nothing of a distribution's is in our own folder.
        let own = target.starts_with("/usr/local/dros/");
        let link = if self.link && own { " --link" } else { "" };
        self.instruction(&format!("COPY{link} --from={stage} [{paths}]"));
    }

    /// `RUN` of a script; nothing when it is empty.
    ///
    /// The shell is the base image's own: `sh`, or what its `SHELL` says, which may well be bash
    /// with `pipefail`. So scripts are POSIX text in which no command of a pipeline fails unless
    /// the build should.
    pub(super) fn run(&mut self, mounts: &[Mount], script: &Script) {
        if script.is_empty() {
            return;
        }
        self.text.push_str("RUN ");
        for mount in mounts {
            let _ = write!(self.text, "{} \\\n    ", mount.option());
        }
        self.text.push_str("set -eu; cd /");
        let mut after = ";";
        for line in &script.lines {
            let _ = write!(self.text, "{after} \\\n    {}", line.text);
            after = if line.open { "" } else { ";" };
        }
        self.text.push('\n');
    }

    /// `ENTRYPOINT` in exec form.
    pub(super) fn entrypoint(&mut self, words: &[String]) {
        self.instruction(&format!("ENTRYPOINT {}", exec_form(words)));
    }

    /// `SHELL`.
    pub(super) fn shell(&mut self, words: &[String]) {
        self.instruction(&format!("SHELL {}", exec_form(words)));
    }

    /// `CMD` in exec form.
    pub(super) fn command(&mut self, words: &[String]) {
        self.instruction(&format!("CMD {}", exec_form(words)));
    }

    /// `LABEL` of several names.
    pub(super) fn labels(&mut self, labels: &[(&str, String)]) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}={}", quote::dockerfile(value)))
            .collect();
        self.instruction(&format!("LABEL {}", labels.join(" \\\n      ")));
    }
}

fn exec_form(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote::json(word)).collect();
    format!("[{}]", words.join(", "))
}
