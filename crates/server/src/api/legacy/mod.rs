//! The old protocol, under `/api/fast-build/` and `/task/`: every answer is `{code, msg, data}`. Each
//! controller is one file that submits itself as a [`Controller`](crate::api::Controller); its `mod` line here is
//! all that adds its routes and their documentation.

pub(crate) mod envelope;
mod parameters;
mod settings_form;
mod view;

mod callback;
mod check_result;
mod config;
mod file;
mod image;
mod image_life;
mod progress;
mod system;
mod task;
mod task_files;
mod welcome;
