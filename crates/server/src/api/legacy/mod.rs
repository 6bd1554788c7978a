//! The old protocol: every answer is `{code, msg, data}`. Each controller is one file that submits
//! itself to [`crate::controllers`]; declaring it here is all that adds its routes and their documentation.

mod callback;
mod check_result;
mod config;
mod file;
mod image;
mod image_life;
mod progress;
mod system;
mod task;
mod welcome;
