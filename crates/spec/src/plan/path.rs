//! The image's PATH: the base image's, with ours before and after it.

use crate::profile::ImageProfile;

/// What a container without `PATH` in its configuration gets.
const DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The folders of PATH, each once.
#[derive(Debug, Clone)]
pub(super) struct SearchPath {
    base: String,
    before: Vec<String>,
    after: Vec<String>,
}

impl SearchPath {
    /// The PATH of an image on this base: the chosen Python first, conda last, so that conda
    /// shadows neither the chosen Python nor the image's own.
    pub(super) fn new(
        profile: &ImageProfile,
        before: impl IntoIterator<Item = String>,
        after: impl IntoIterator<Item = String>,
    ) -> Self {
        let base = profile
            .config
            .env
            .iter()
            .find_map(|entry| entry.strip_prefix("PATH="));
        Self {
            base: base.unwrap_or(DEFAULT).to_owned(),
            before: before.into_iter().collect(),
            after: after.into_iter().collect(),
        }
    }

    /// Whether it differs from the base image's.
    pub(super) fn is_changed(&self) -> bool {
        self.image() != self.base
    }

    /// The whole of it.
    pub(super) fn image(&self) -> String {
        if self.before.is_empty() && self.after.is_empty() {
            return self.base.clone();
        }
        let mut folders: Vec<&str> = vec![];
        let base = self.base.split(':').filter(|folder| !folder.is_empty());
        let before = self.before.iter().map(String::as_str);
        for folder in before
            .chain(base)
            .chain(self.after.iter().map(String::as_str))
        {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders.join(":")
    }
}
