//! How the services start with the container, before the base image's own command.

use super::{ContextSource, Planner, conda, quote};

/// The image's entrypoint when it has services.
pub(super) const ENTRYPOINT: &str = "/usr/local/dros/bin/fastbuild-start";
/// Starts the SSH server, as root.
pub(super) const SSHD_HELPER: &str = "/usr/local/dros/libexec/fastbuild-sshd";
const JUPYTER_HELPER: &str = "/usr/local/dros/libexec/fastbuild-jupyter";
const WAIT_HELPER: &str = "/usr/local/dros/libexec/fastbuild-wait";

const START: &str = include_str!("scripts/start.sh");
const SSHD: &str = include_str!("scripts/sshd.sh");
const JUPYTER: &str = include_str!("scripts/jupyter.sh");
const WAIT: &str = include_str!("scripts/wait.sh");

/// Copies the start script and its helpers.
///
/// A service that the base image has from an earlier build keeps its own helper.
pub(super) fn scripts(planner: &mut Planner<'_>) {
    if !planner.has_services() {
        return;
    }
    planner
        .out
        .comment("What starts the services, before the image's own command.");
    let start = START
        .replace(
            "@ENTRYPOINT_WORDS@",
            &base_entrypoint(planner).len().to_string(),
        )
        .replace(
            "@IS_OWN_COMMAND@",
            &are_words(&planner.profile.config.command),
        );
    let mut scripts = vec![
        ("start/fastbuild-start", ENTRYPOINT, start),
        ("start/fastbuild-wait", WAIT_HELPER, WAIT.to_owned()),
    ];
    if planner.spec.ssh {
        scripts.push(("start/fastbuild-sshd", SSHD_HELPER, SSHD.to_owned()));
    }
    if planner.spec.jupyter_lab {
        let own = planner
            .pip
            .as_ref()
            .and_then(super::pip::PipEnvironment::bin);
        let own = own.or_else(|| planner.python.as_ref().map(super::python::PythonTool::bin));
        let command = own.map_or("jupyter-lab".to_owned(), |bin| format!("{bin}/jupyter-lab"));
        let kernel = if conda::has_kernel(planner.spec) {
            format!("--MultiKernelManager.default_kernel_name={}", conda::KERNEL)
        } else {
            String::new()
        };
        let text = JUPYTER
            .replace("@JUPYTER_LAB@", &quote::shell(&command))
            .replace("@DEFAULT_KERNEL@", &kernel);
        scripts.push(("start/fastbuild-jupyter", JUPYTER_HELPER, text));
    }
    for (path, target, text) in scripts {
        planner.file(path, 0o755, ContextSource::Inline(text));
        planner.out.copy(path, target);
    }
}

/// A shell's condition: the positional parameters are these words.
fn are_words(words: &[String]) -> String {
    std::iter::once(format!("[ \"$#\" -eq {} ]", words.len()))
        .chain(
            words.iter().enumerate().map(|(index, word)| {
                format!("[ \"${{{}}}\" = {} ]", index + 1, quote::shell(word))
            }),
        )
        .collect::<Vec<_>>()
        .join(" && ")
}

/// The base image's own entrypoint, without the start script of an earlier build.
fn base_entrypoint<'a>(planner: &Planner<'a>) -> &'a [String] {
    let entrypoint = planner.profile.config.entrypoint.as_slice();
    match entrypoint.split_first() {
        Some((first, rest)) if first == ENTRYPOINT => rest,
        _ => entrypoint,
    }
}

/// `ENTRYPOINT` and `CMD`: untouched without services. Setting the one clears the other, so the
/// base image's command is said again.
pub(super) fn entrypoint(planner: &mut Planner<'_>) {
    if !planner.has_services() {
        return;
    }
    let mut entrypoint = vec![ENTRYPOINT.to_owned()];
    entrypoint.extend_from_slice(base_entrypoint(planner));
    planner.out.entrypoint(&entrypoint);
    if !planner.profile.config.command.is_empty() {
        planner.out.command(&planner.profile.config.command);
    }
}
