//! What an image should be, and everything that follows from it without touching the world: no I/O,
//! no async runtime, no clock. All other crates use this one; it uses none of them.
//!
//! The rooms, along the way of a build:
//!
//! | room | what is in it |
//! |---|---|
//! | [`request`] | the two request formats, one reader, one set of rules → [`image_spec::ImageSpec`] |
//! | [`settings`] | what a site configures: its forms, engine documents, callback headers |
//! | [`names`], [`mod@reference`] | parsers of names by the rules of the tool that reads them; image references |
//! | [`limits`] | how long a build may take |
//! | [`catalog`], [`mirror_match`] | package mirrors and tool files on disk; whether a mirror fits an image |
//! | [`probe`], [`profile`], [`distro`] | the script that inspects a base image, and what it finds |
//! | [`plan`] | spec + profile + catalog → Dockerfile, context files, secrets; the plan's key |
//! | [`state`], [`event`], [`log_line`] | states and steps of a build with their one transition table; its events; its log |
//! | [`build_reason`] | why an image was built and not reused |
//! | [`failure`], [`diagnose`] | the closed list of reason codes; from a step's last lines to a reason |
//! | [`callback`] | body, address and signature of callbacks |
//!
//! # From a request to a Dockerfile
//!
//! ```
//! use fastbuild_spec::{
//!     catalog::Catalog,
//!     limits::{BuildLimits, LimitBounds},
//!     plan::{Dialect, PlanContext, plan},
//!     probe,
//!     profile::ImageConfig,
//!     request::{RequestPolicy, Syntax, WireKey, parse_document, read},
//! };
//!
//! // A build document becomes an image spec.
//! let hour = BuildLimits { total: 3600, silence: 3600, push: 3600 };
//! let policy = RequestPolicy {
//!     wire_key: WireKey::new("0123456789abcdef", "0000000000000000")?,
//!     limits: LimitBounds { default: hour, longest: hour },
//!     sources: Default::default(),
//! };
//! let body = read("{base: debian:12, target: registry.example/team/git:1, system: [git]}", Syntax::Yaml)
//!     .expect("it is YAML");
//! let request = parse_document(&body, &policy).expect("it has no mistakes");
//!
//! // The probe script ran in a container of the base image and printed this.
//! let output = "@@os ID=debian\n@@os VERSION_ID=12\n@@apt apt 2.6.1 (amd64)\n@@end 1\n";
//! let profile = probe::parse(output, "sha256:0", 117_000_000, "amd64", ImageConfig::default())?;
//!
//! // Both together, with the operator's files, become a Dockerfile.
//! let context = PlanContext {
//!     dialect: Dialect::BuildKit,
//!     link: true,
//!     lists_fresh_minutes: 60,
//!     build_id: 7,
//! };
//! let plan = plan(&request.spec, &profile, &Catalog::default(), &context)?;
//! assert!(plan.dockerfile.contains("FROM debian:12"), "{}", plan.dockerfile);
//! assert!(plan.dockerfile.contains("apt-get"));
//! assert!(plan.secrets.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod build_reason;
pub mod callback;
pub mod catalog;
pub mod diagnose;
pub mod distro;
pub mod event;
pub mod failure;
pub mod image_spec;
pub mod limits;
pub mod log_line;
pub mod mirror_match;
pub mod names;
pub mod plan;
pub mod probe;
pub mod profile;
pub mod reference;
pub mod request;
pub mod requeue;
pub mod requirements;
pub mod settings;
pub mod state;
mod unicode;
