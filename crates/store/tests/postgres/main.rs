//! What is remembered, on PostgreSQL: the stories of every database, each on a database of its
//! own, and what only several processes on one server can tell.
#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

mod migrate;
#[path = "../store/parts.rs"]
mod parts;
mod shared;
mod site;
#[path = "../store/stories.rs"]
mod stories;
