//! The application: configuration, the folders it needs, and its life from start to end.
//!
//! Holds no logic of its own; it puts the rooms together. The binary is `main.rs`.

pub mod app;
pub mod commands;
pub mod config;
pub mod import;
pub mod logging;
pub mod open_files;
pub mod skeleton;
pub mod starter;
