//! What callers ask of a build: submit it, estimate when it starts, retry it; and the names of its
//! files.

mod cancel;
pub(crate) mod document;
pub(crate) mod estimate;
pub mod files;
pub(crate) mod retry;
pub(crate) mod submit;
