//! The catalog: mirrors and tools as they lie on disk, read again when a folder of theirs has changed.

pub mod upload;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use fastbuild_spec::{
    catalog::{Catalog, MirrorFile, MirrorKind, ToolFile, ToolKind},
    failure::{Failure, ReasonCode},
    plan::ContextSource,
};
use strum::IntoEnumIterator as _;

use crate::options::Folders;

/// How long a folder's time of change may stay the same while the folder changes: file systems note it in steps, the
/// coarsest of two seconds.
const GRAIN: Duration = Duration::from_secs(2);

/// For how long a reading serves: not all that is mounted somewhere notes when a folder changes.
const SERVES: Duration = Duration::from_mins(1);

/// The catalog, read again when a folder of it has changed.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    read: Read,
    /// Since when its folders have stood like this.
    since: Instant,
    /// When it was read, if that was so long after that nothing can have been missed.
    settled: Option<Instant>,
}

/// What was found, and how the folders stood before they were read.
#[derive(Debug)]
struct Read {
    catalog: Catalog,
    folders: Vec<(PathBuf, Option<SystemTime>)>,
}

impl Listing {
    /// The mirrors and tools that exist right now. A folder that is not there is empty.
    ///
    /// # Errors
    /// `Internal` naming the folder that cannot be read.
    pub(crate) fn catalog(&self, folders: &Folders) -> Result<Catalog, Failure> {
        self.catalog_at(folders, Instant::now())
    }

    fn catalog_at(&self, folders: &Folders, now: Instant) -> Result<Catalog, Failure> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.take().filter(|kept| kept.read.stands());
        let next = match before {
            Some(kept) if kept.settled.is_some_and(|read| now - read < SERVES) => kept,
            before => {
                let read = Read::of(folders)?;
                let since = before
                    .filter(|before| before.read.folders == read.folders)
                    .map_or(now, |before| before.since);
                Kept {
                    read,
                    since,
                    settled: (now - since > GRAIN).then_some(now),
                }
            }
        };
        Ok(kept.insert(next).read.catalog.clone())
    }
}

impl Read {
    fn of(folders: &Folders) -> Result<Self, Failure> {
        let mut read = Self {
            catalog: Catalog::default(),
            folders: Vec::new(),
        };
        for kind in MirrorKind::iter() {
            let root = folders.source_dir.join(kind.to_string());
            for group in read.names(&root, Wanted::Folders)? {
                for file_name in read.names(&root.join(&group), Wanted::Files)? {
                    read.catalog.mirrors.push(MirrorFile {
                        kind,
                        group: group.clone(),
                        file_name,
                    });
                }
            }
        }
        for kind in ToolKind::iter() {
            let root = folders.tools_dir.join(kind.folder());
            for file_name in read.names(&root, Wanted::Files)? {
                read.catalog.tools.push(ToolFile { kind, file_name });
            }
        }
        Ok(read)
    }

    /// Whether its folders stand as they did, and what was not there is still missing.
    fn stands(&self) -> bool {
        self.folders
            .iter()
            .all(|(folder, changed)| time_of_change(folder) == *changed)
    }

    /// The sorted names in a folder; links are followed, names that are not UTF-8 left out.
    fn names(&mut self, folder: &Path, wanted: Wanted) -> Result<Vec<String>, Failure> {
        let unreadable = |error: io::Error| unreadable(folder, &error);
        self.folders
            .push((folder.to_owned(), time_of_change(folder)));
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            // It vanished between listing and asking, or is a link to what may come yet.
            let Ok(metadata) = fs::metadata(entry.path()) else {
                self.folders.push((entry.path(), None));
                continue;
            };
            let fits = match wanted {
                Wanted::Folders => metadata.is_dir(),
                Wanted::Files => metadata.is_file(),
            };
            if fits
                && let Ok(name) = entry.file_name().into_string()
                && !upload::is_arriving(&name)
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

fn time_of_change(folder: &Path) -> Option<SystemTime> {
    fs::metadata(folder).ok()?.modified().ok()
}

/// Where a file of the catalog lies; `None` for text of ours.
pub(crate) fn locate(folders: &Folders, source: &ContextSource) -> Option<PathBuf> {
    match source {
        ContextSource::Inline(_) => None,
        ContextSource::Mirror(file) => Some(
            folders
                .source_dir
                .join(file.kind.to_string())
                .join(&file.group)
                .join(&file.file_name),
        ),
        ContextSource::Tool(file) => Some(
            folders
                .tools_dir
                .join(file.kind.folder())
                .join(&file.file_name),
        ),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Folders,
    Files,
}

fn unreadable(folder: &Path, error: &io::Error) -> Failure {
    Failure::new(
        ReasonCode::Internal,
        format!("无法读取目录 {}：{error}。", folder.display()),
        format!("The folder {} cannot be read: {error}.", folder.display()),
    )
    .with_culprit(folder.display().to_string())
    .with_hint(
        "请管理员检查该目录的权限。",
        "Ask the operator to check the folder's permissions.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_what_lies_on_disk_now() {
        let base = tempfile::tempdir().unwrap();
        let folders = Folders {
            source_dir: base.path().join("source"),
            tools_dir: base.path().join("tools"),
            task_dir: base.path().join("task"),
        };
        let listing = Listing::default();
        assert_eq!(listing.catalog(&folders).unwrap(), Catalog::default());

        for path in [
            "source/apt/ali/ubuntu-18.04.list",
            "source/conda/ali/.condarc",
            "source/apt/loose-file",
            "tools/python/Python-3.8.10.tgz",
            "tools/pip/pip3/get-pip.py",
        ] {
            let path = base.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let catalog = listing.catalog(&folders).unwrap();
        let mirrors: Vec<String> = catalog
            .mirrors
            .iter()
            .map(|file| format!("{}/{}/{}", file.kind, file.group, file.file_name))
            .collect();
        assert_eq!(mirrors, ["apt/ali/ubuntu-18.04.list", "conda/ali/.condarc"]);
        let tools: Vec<String> = catalog
            .tools
            .iter()
            .map(|file| format!("{}/{}", file.kind.folder(), file.file_name))
            .collect();
        assert_eq!(tools, ["python/Python-3.8.10.tgz", "pip/pip3/get-pip.py"]);
        for source in catalog.mirrors.into_iter().map(ContextSource::Mirror) {
            assert!(locate(&folders, &source).unwrap().is_file());
        }
        for source in catalog.tools.into_iter().map(ContextSource::Tool) {
            assert!(locate(&folders, &source).unwrap().is_file());
        }
    }

    #[test]
    fn is_read_once_until_a_folder_changes() {
        let base = tempfile::tempdir().unwrap();
        let folders = Folders {
            source_dir: base.path().join("source"),
            tools_dir: base.path().join("tools"),
            task_dir: base.path().join("task"),
        };
        let group = base.path().join("source/pip/ali");
        std::fs::create_dir_all(&group).unwrap();
        std::fs::write(group.join("pip.conf"), "").unwrap();
        let listing = Listing::default();
        let start = Instant::now();
        let names_at = |seconds: u64| {
            let catalog = listing.catalog_at(&folders, start + Duration::from_secs(seconds));
            let kept = listing.kept.lock().unwrap();
            let settled = kept.as_ref().unwrap().settled.is_some();
            (catalog.unwrap().mirrors.len(), settled)
        };
        // Within the grain of its time a folder may change unseen.
        assert_eq!(names_at(0), (1, false));
        assert_eq!(names_at(1), (1, false));
        assert_eq!(names_at(3), (1, true));
        // What is settled comes without a look into the folder: a file that is taken away behind its back stays.
        let changed = std::fs::metadata(&group).unwrap().modified().unwrap();
        std::fs::remove_file(group.join("pip.conf")).unwrap();
        let back = std::fs::File::open(&group).unwrap();
        back.set_modified(changed).unwrap();
        assert_eq!(names_at(4), (1, true));
        // Any change of a folder's time has it read, also of a group that comes or goes.
        back.set_modified(changed + Duration::from_secs(9)).unwrap();
        assert_eq!(names_at(5), (0, false));
        std::fs::create_dir(base.path().join("source/pip/own")).unwrap();
        std::fs::write(base.path().join("source/pip/own/pip.conf"), "").unwrap();
        assert_eq!(names_at(6), (1, false));
        std::fs::remove_dir_all(&group).unwrap();
        assert_eq!(names_at(7), (1, false));
        assert_eq!(names_at(10), (1, true));
        // What a link leads to may come later.
        let target = base.path().join("mounted-later");
        std::os::unix::fs::symlink(&target, base.path().join("source/pip/own/linked")).unwrap();
        assert_eq!(names_at(11), (1, false));
        assert_eq!(names_at(14), (1, true));
        std::fs::write(target, "").unwrap();
        assert_eq!(names_at(15), (2, false));
        assert_eq!(names_at(18), (2, true));
        // A reading does not serve for ever, whatever the folders' times say.
        let own = std::fs::File::open(base.path().join("source/pip/own")).unwrap();
        let changed = own.metadata().unwrap().modified().unwrap();
        std::fs::write(base.path().join("source/pip/own/more"), "").unwrap();
        own.set_modified(changed).unwrap();
        assert_eq!(names_at(77), (2, true));
        assert_eq!(names_at(78), (3, true));
    }
}
