//! What is remembered, on SQLite: the stories of every database, each on a file of its own, and
//! what only files can tell.
#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

mod backups;
mod disk;
mod files;
mod parts;
mod site;
mod start;
#[path = "stories.rs"]
mod stories;
