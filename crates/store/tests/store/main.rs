//! What is remembered, on SQLite: the stories of every database, each on a file of its own, and
//! what only files can tell.

mod files;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod parts;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod site;
#[path = "stories.rs"]
mod stories;
