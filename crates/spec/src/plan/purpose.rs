//! What a step of a rendered Dockerfile is for, in words: a failure names a step by that, never by its script.

use crate::failure::Sentence;

/// What the step is for that an engine calls `step`: BuildKit's `[python-packages 2/3] RUN ...` or `[2/5] RUN ...`, the
/// classic builder's `Step 2/5 : RUN ...`. `None` where the Dockerfile has no such step.
pub fn purpose(dockerfile: &str, step: &str) -> Option<Sentence> {
    let comment = if let Some(rest) = step.strip_prefix("Step ") {
        classic_step(dockerfile, rest.split_once('/')?.0.parse().ok()?)
    } else {
        let inside = step.strip_prefix('[')?.split_once(']')?.0;
        let (stage, count) = inside.rsplit_once(' ').unwrap_or(("", inside));
        buildkit_step(dockerfile, stage, count.split_once('/')?.0.parse().ok()?)
    }?;
    Some(words(comment))
}

/// An instruction of a Dockerfile of ours, with the comment above it.
struct Instruction<'a> {
    text: &'a str,
    comment: &'a str,
}

/// The instructions. Those of ours begin a line; what continues one is indented.
fn instructions(dockerfile: &str) -> impl Iterator<Item = Instruction<'_>> {
    let mut comment = "";
    dockerfile.lines().filter_map(move |text| {
        if let Some(words) = text.strip_prefix("# ") {
            comment = words;
            return None;
        }
        text.starts_with(|first: char| first.is_ascii_uppercase())
            .then_some(Instruction { text, comment })
    })
}

/// The comment of the instruction with this number, from 1.
fn classic_step(dockerfile: &str, number: usize) -> Option<&str> {
    let found = instructions(dockerfile).nth(number.checked_sub(1)?)?;
    Some(found.comment)
}

/// The comment of a stage's step with this number: its base image is the first, and only what changes files counts.
fn buildkit_step<'a>(dockerfile: &'a str, stage: &str, number: usize) -> Option<&'a str> {
    let (mut stages, mut in_stage, mut count) = (0_usize, false, 0);
    for instruction in instructions(dockerfile) {
        if let Some(base) = instruction.text.strip_prefix("FROM ") {
            let name = base
                .split_once(" AS ")
                .map_or_else(|| format!("stage-{stages}"), |(_, name)| name.to_owned());
            in_stage = stage.is_empty() || name == stage;
            stages += 1;
            count = usize::from(in_stage);
        } else if in_stage
            && ["RUN ", "COPY ", "ADD ", "WORKDIR "]
                .iter()
                .any(|verb| instruction.text.starts_with(verb))
        {
            count += 1;
            if count == number {
                return Some(instruction.comment);
            }
        }
    }
    None
}

/// A comment of ours in both languages.
fn words(comment: &str) -> Sentence {
    let name = comment.strip_suffix('.').unwrap_or(comment);
    let (zh, en) = match name {
        "pip packages" => ("pip 软件包", "pip packages"),
        "conda packages" => ("conda 软件包", "conda packages"),
        "System packages" => ("系统软件包", "system packages"),
        "JupyterLab" => ("JupyterLab", "JupyterLab"),
        "Python" | "Python, compiled in a stage of its own" => ("Python", "Python"),
        "conda" | "conda, installed in a stage of its own" => ("conda", "conda"),
        "The Python environment for pip" => {
            ("pip 的 Python 环境", "the Python environment for pip")
        }
        "The mirror for pip" => ("pip 镜像源", "the mirror for pip"),
        "The mirror for conda" => ("conda 镜像源", "the mirror for conda"),
        "The mirror for system packages" => ("系统软件包镜像源", "the mirror for system packages"),
        "What Python and the services need of the system" => (
            "Python 与服务所需的系统软件包",
            "what Python and the services need of the system",
        ),
        "What starts the services, before the image's own command" => {
            ("服务启动脚本", "the services' start scripts")
        }
        "The passwords, already hashed, for this build alone" => {
            ("写入密码", "setting the passwords")
        }
        other => (other, other),
    };
    Sentence::new(zh, en)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKERFILE: &str = "# What both stand on.\nFROM base AS ground\nUSER root\n\n# System packages.\nRUN set -eu; \\\n    apt-get install git\n\n\
         # The Python packages, beside the rest.\nFROM ground AS python-packages\n\n# pip packages.\nRUN pip install\n\n# The image.\nFROM ground\n\
         # How the image runs.\nENV A=b\nCOPY [\"a\", \"b\"]\n";

    fn english(step: &str) -> Option<String> {
        purpose(DOCKERFILE, step).map(|words| words.en)
    }

    #[test]
    fn a_step_is_called_by_the_comment_above_it() {
        assert_eq!(
            english("[ground 2/2] RUN set -eu; apt-get"),
            Some("system packages".into())
        );
        assert_eq!(
            english("[python-packages 2/2] RUN pip"),
            Some("pip packages".into())
        );
        assert_eq!(
            english("[stage-2 2/2] COPY"),
            Some("How the image runs".into())
        );
        assert_eq!(
            english("Step 3/9 : RUN set"),
            Some("system packages".into())
        );
        assert_eq!(english("Step 5/9 : RUN pip"), Some("pip packages".into()));
    }

    #[test]
    fn a_step_that_is_not_there_has_no_purpose() {
        for step in [
            "[ground 9/9] RUN x",
            "[nowhere 2/2] RUN x",
            "Step 0/9 : RUN",
            "exporting to image",
            "",
        ] {
            assert_eq!(english(step), None, "{step}");
        }
    }

    #[test]
    fn one_stage_is_not_named() {
        let dockerfile = "# The image.\nFROM base\n# conda packages.\nRUN conda create\n";
        assert_eq!(
            purpose(dockerfile, "[2/2] RUN conda").unwrap().zh,
            "conda 软件包"
        );
    }
}
