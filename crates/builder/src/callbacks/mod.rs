//! Callbacks: delivery with retries, and what operators do with them.

pub(crate) mod admin;
pub(crate) mod deliver;
pub(crate) mod message;
