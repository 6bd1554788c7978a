//! Version 1 of the API, under `/api/v1/`: plain JSON, HTTP's own statuses, and problem details for
//! failures. Each controller is one file that submits itself as a [`Controller`](crate::api::Controller); its
//! `mod` line here is all that adds its routes and their documentation.

mod build_query;
mod pagination;
pub(crate) mod problem;
mod view;

mod builds;
mod callbacks;
mod engines;
mod events;
mod images;
mod settings;
