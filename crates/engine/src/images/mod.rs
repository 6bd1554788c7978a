//! The images an engine holds: finding, pulling, pushing, probing and removing them.

mod find;
mod probe;
mod prune;
mod pull;
mod push;

pub use find::ImageFound;
pub(crate) use find::{image_ref_on_engine, is_missing};
pub use prune::Discarded;
pub use push::Pushed;
