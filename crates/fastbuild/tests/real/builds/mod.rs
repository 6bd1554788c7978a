//! What is built, from which request, and what becomes of it.

mod bases;
mod cleanup;
mod failures;
mod images;
mod installers;
mod micromamba;
mod push;
mod reuse;
mod services;
mod uv;
