//! Version 1 of the API: plain JSON, and problem details (RFC 9457) for failures. Each controller is
//! one file that submits itself to [`crate::controllers`]; declaring it here is all that adds its routes
//! and their documentation.

mod builds;
mod callbacks;
mod engines;
mod events;
mod images;
mod settings;
