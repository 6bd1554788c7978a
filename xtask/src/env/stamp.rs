//! Remembering from which recipe a result was made, so that it is made again when the recipe changes.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use sha2::{Digest as _, Sha256};

use super::home::Home;

/// The mark of one result.
pub(super) struct Stamp {
    file: PathBuf,
    content: String,
}

impl Stamp {
    /// The mark for a result made from these texts.
    pub(super) fn new(home: &Home, name: &str, recipe: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for text in recipe {
            hash.update(text.as_bytes());
            hash.update([0]);
        }
        Self {
            file: home.path("cache/stamps").join(name),
            content: format!("{:x}", hash.finalize()),
        }
    }

    /// Whether the result was made from the same recipe.
    pub(super) fn is_current(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|content| content == self.content)
    }

    /// Says that the result is made.
    pub(super) fn set(&self) -> Result<()> {
        Ok(fs::write(&self.file, &self.content)?)
    }

    /// What tells this recipe from others; goes into the recipes that build upon it.
    pub(super) fn content(&self) -> &str {
        &self.content
    }
}
