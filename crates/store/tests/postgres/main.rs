//! What is remembered, on PostgreSQL: the stories of every database, each on a database of its
//! own, and what only several processes on one server can tell.

#[path = "../store/parts.rs"]
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod parts;
mod shared;
#[expect(
    clippy::unwrap_used,
    reason = "a story whose parts cannot be made has failed"
)]
mod site;
#[path = "../store/stories.rs"]
mod stories;
