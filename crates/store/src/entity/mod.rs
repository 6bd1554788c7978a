//! The tables as sea-orm sees them. Private to this crate: outside, rows are plain structs.
//!
//! Times are microseconds since the Unix epoch, JSON is text, sealed columns are bytes as
//! [`crate::Seal`] writes them.
#![expect(unreachable_pub, reason = "the entity derive writes `pub` items")]

pub mod build;
pub mod build_request;
pub mod counter;
pub mod delivery;
pub mod delivery_attempt;
pub mod dockerfile;
pub mod engine;
pub mod engine_health;
pub mod engine_revision;
pub mod event;
pub mod event_archive;
pub mod idempotency_key;
pub mod image;
pub mod image_lifetime;
pub mod imported_row;
pub mod lane;
pub mod lease;
pub mod list_position;
pub mod orphaned_image;
pub mod plan;
pub mod profile;
pub mod replica;
pub mod seal_check;
pub mod setting_callback_secret;
pub mod setting_docker_server;
pub mod setting_headers;
pub mod setting_host;
pub mod setting_registry;
pub mod step;
