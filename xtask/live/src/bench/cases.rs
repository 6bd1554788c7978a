//! The cases of the benchmark: what is asked for, against what it is measured, and what is expected.

use serde::{Deserialize, Serialize};

/// One line of the table.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Case {
    /// apt and pip packages, nothing built yet, downloads cached.
    Warm,
    /// The same with every cache of the engine empty.
    Cold,
    /// One pip package more than the build before.
    OneMore,
    /// The same again under a new name.
    Again,
    /// Four identical requests at once.
    FourIdentical,
    /// Four different requests at once.
    FourDifferent,
    /// The Dockerfile as rendered, through the service.
    Through,
    /// Bytes in the registry.
    Size,
    /// Python from source, the second time on the same base.
    Python,
    /// Looking into an image that nobody looked into before.
    Check,
}

/// What a side does in one round: one case, or several that are measured upon the same images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// An image that is built, weighed, asked for again, and asked for with one package more.
    Image,
    /// See [`Case::FourIdentical`].
    FourIdentical,
    /// See [`Case::FourDifferent`].
    FourDifferent,
    /// See [`Case::Through`].
    Through,
    /// See [`Case::Check`].
    Check,
    /// See [`Case::Python`].
    Python,
    /// See [`Case::Cold`].
    Cold,
}

impl Round {
    /// All of them; the one that empties the caches is last.
    pub(super) const ALL: [Self; 7] = [
        Self::Image,
        Self::FourIdentical,
        Self::FourDifferent,
        Self::Through,
        Self::Check,
        Self::Python,
        Self::Cold,
    ];

    /// What it measures, in the order of its figures.
    pub(super) fn cases(self) -> &'static [Case] {
        match self {
            Self::Image => &[Case::Warm, Case::Size, Case::Again, Case::OneMore],
            Self::FourIdentical => &[Case::FourIdentical],
            Self::FourDifferent => &[Case::FourDifferent],
            Self::Through => &[Case::Through],
            Self::Check => &[Case::Check],
            Self::Python => &[Case::Python],
            Self::Cold => &[Case::Cold],
        }
    }
}

impl Case {
    /// Its name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Warm => "apt+pip, nothing built yet, downloads cached",
            Self::Cold => "apt+pip, everything cold",
            Self::OneMore => "one pip package more",
            Self::Again => "the same again under a new name",
            Self::FourIdentical => "four identical at once",
            Self::FourDifferent => "four different at once",
            Self::Through => "Dockerfile as rendered, through the service",
            Self::Size => "size in the registry, apt+pip",
            Self::Python => "Python from source, second time",
            Self::Check => "check-image, unknown image",
        }
    }

    /// What it is measured against.
    pub(super) fn baseline(self) -> &'static str {
        match self {
            Self::Through => "engine alone",
            Self::Check => "one container start",
            _ => "old way",
        }
    }

    /// What is measured.
    pub(super) fn unit(self) -> &'static str {
        if self == Self::Size { "MB" } else { "s" }
    }

    /// How many times less than the baseline it is expected to take.
    pub(super) fn wanted(self) -> f64 {
        match self {
            Self::Warm => 4.0,
            Self::Cold | Self::FourDifferent => 2.0,
            Self::OneMore => 7.0,
            Self::Again => 1.0,
            Self::FourIdentical => 10.0,
            Self::Through => 1.0 / 1.03,
            Self::Size => 1.0 / 0.7,
            Self::Python => 50.0,
            Self::Check => 0.5,
        }
    }
}
