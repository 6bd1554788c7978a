//! The folders a service needs: what they are for, whether they are there, and making them.

use std::{fmt, fs, io, path::PathBuf};

use crate::{config::Config, starter};

/// A folder the service cannot do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Its key in the configuration.
    pub key: &'static str,
    /// Where it should be.
    pub path: PathBuf,
    /// What it is for.
    pub purpose: &'static str,
}

/// The folders that are missing; its text is what an operator reads at a start that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingFolders(pub Vec<Needed>);

impl fmt::Display for MissingFolders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{} folder(s) the service needs are missing:",
            self.0.len()
        )?;
        for Needed { key, path, purpose } in &self.0 {
            writeln!(formatter, "  - {key}: {} ({purpose})", path.display())?;
        }
        formatter.write_str(
            "Run `fastbuild init` with the same configuration to make them, or point the keys \
             named elsewhere.",
        )
    }
}

impl std::error::Error for MissingFolders {}

/// The folders a service with this configuration needs.
pub fn needed(config: &Config) -> [Needed; 3] {
    [
        Needed {
            key: "source_dir",
            path: config.folders.source_dir.clone(),
            purpose: "mirror files, <apt|yum|pip|conda>/<group>/<file>",
        },
        Needed {
            key: "tools_dir",
            path: config.folders.tools_dir.clone(),
            purpose: "installers of Python, pip and conda",
        },
        Needed {
            key: "task_dir",
            path: config.folders.task_dir.clone(),
            purpose: "one folder per build with its request, Dockerfile and step logs",
        },
    ]
}

/// Whether every folder is there.
///
/// # Errors
/// Those that are not.
pub fn check(config: &Config) -> Result<(), MissingFolders> {
    let missing: Vec<Needed> = needed(config)
        .into_iter()
        .filter(|folder| !folder.path.is_dir())
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(MissingFolders(missing))
    }
}

/// Makes every folder that is missing, with the folders of each kind inside, and lays down the
/// mirror files of the starter catalog that are missing, if that is wanted.
///
/// # Errors
/// The first folder that cannot be made, or file that cannot be written, by its path and why.
pub fn init(config: &Config, with_starter: bool) -> io::Result<String> {
    let folders = &config.folders;
    let mut paths = vec![folders.task_dir.clone()];
    for kind in ["apt", "yum", "pip", "conda"] {
        paths.push(folders.source_dir.join(kind));
    }
    for kind in ["python", "pip/pip2", "pip/pip3", "conda"] {
        paths.push(folders.tools_dir.join(kind));
    }
    let mut report = Vec::new();
    for path in paths {
        let existed = path.is_dir();
        fs::create_dir_all(&path).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the folder {} cannot be made: {error}", path.display()),
            )
        })?;
        let what = if existed { "there already" } else { "made" };
        report.push(format!("{}: {what}", path.display()));
    }
    if with_starter {
        let laid = starter::lay_down(&folders.source_dir)?;
        let source_dir = folders.source_dir.display();
        for path in &laid {
            report.push(format!("{source_dir}/{path}: laid down"));
        }
        report.push(format!(
            "{} mirror file(s) of the starter catalog laid down, {} there already and left as they are.",
            laid.len(),
            starter::FILES.len() - laid.len()
        ));
    }
    report.push("Everything is there. Start the service with `fastbuild serve`.".to_owned());
    Ok(report.join("\n"))
}
