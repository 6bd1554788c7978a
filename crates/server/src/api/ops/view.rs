//! Answers of the health endpoints.

use fastbuild_builder::{Dependency, Found};
use fastbuild_spec::failure::Language;
use serde::Serialize;
use utoipa::ToSchema;

use crate::options::BuildInfo;

/// The sign of life.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

impl Default for Alive {
    fn default() -> Self {
        Self { status: "ok" }
    }
}

/// Whether builds can be made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether they can.
    ready: bool,
    /// What the service depends on, each as it was found.
    dependencies: Vec<DependencyStatus>,
}

impl Readiness {
    /// What was found, in a language.
    pub(crate) fn new(ready: bool, dependencies: &[Dependency], language: Language) -> Self {
        Self {
            ready,
            dependencies: dependencies
                .iter()
                .map(|dependency| DependencyStatus::new(dependency, language))
                .collect(),
        }
    }
}

/// Something the service depends on, as it was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DependencyStatus {
    /// `database`, `disk`, `open_files`, `host`, `engine`, `registry`, `callbacks`, `clock` or
    /// `receiver`. The last two do not decide whether the service is ready.
    #[schema(example = "engine")]
    kind: String,
    /// Which engine, clock or receiver; null for what there is one of.
    #[schema(example = "default")]
    name: Option<String>,
    /// `good`, `warning` (usable, and a person should act), `bad`, `not_configured`, or `not_seen` where something before it is bad.
    #[schema(example = "good")]
    state: &'static str,
    /// What was found, for a person.
    detail: String,
    /// The stable code of the reason, where it is bad.
    code: Option<String>,
    /// The remedy, where it is bad.
    hint: Option<String>,
    /// Milliseconds the check took.
    duration_ms: u64,
}

impl DependencyStatus {
    fn new(dependency: &Dependency, language: Language) -> Self {
        let (state, detail) = match &dependency.found {
            Found::Good(said) => ("good", said),
            Found::Warning(failure) => ("warning", &failure.message),
            Found::Bad(failure) => ("bad", &failure.message),
            Found::NotConfigured(said) => ("not_configured", said),
            Found::NotSeen(said) => ("not_seen", said),
        };
        let failure = match &dependency.found {
            Found::Warning(failure) | Found::Bad(failure) => Some(failure),
            _ => None,
        };
        Self {
            kind: dependency.kind.to_string(),
            name: dependency.name.clone(),
            state,
            detail: detail.in_language(language).to_owned(),
            code: failure.map(|failure| failure.code.to_string()),
            hint: failure.map(|failure| failure.hint.in_language(language).to_owned()),
            duration_ms: u64::try_from(dependency.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Which version of the service this is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct About {
    /// The service's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The commit it was built from; null where it was built from no repository.
    #[schema(example = "3a4571a0c9d2")]
    commit: Option<&'static str>,
    /// The compiler it was built with.
    #[schema(example = "rustc 1.95.0")]
    rustc: Option<&'static str>,
    /// Where each version of the API lies.
    api: [&'static str; 2],
}

impl From<BuildInfo> for About {
    fn from(info: BuildInfo) -> Self {
        Self {
            version: info.version,
            commit: info.commit,
            rustc: info.rustc,
            api: ["/api/fast-build/", "/api/v1/"],
        }
    }
}

/// What the service is and where to go on from here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Root {
    /// Always `FastBuild`.
    #[schema(example = "FastBuild")]
    service: &'static str,
    /// The service's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The page that shows all endpoints and lets you try them.
    #[schema(example = "/docs")]
    docs: &'static str,
    /// The OpenAPI document.
    #[schema(example = "/openapi.json")]
    openapi: &'static str,
}

impl Root {
    /// The answer of this version.
    pub(crate) fn new(info: BuildInfo) -> Self {
        Self {
            service: "FastBuild",
            version: info.version,
            docs: "/docs",
            openapi: "/openapi.json",
        }
    }
}
