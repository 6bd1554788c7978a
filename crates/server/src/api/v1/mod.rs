//! Version 1 of the API, under `/api/v1/`: plain JSON, HTTP's own statuses, and problem details
//! for failures. Each file here is one controller and enters itself into [`crate::controllers`]
//! under its file's name with `v1 ` before it; nothing lists them.

automod::dir!("src/api/v1");
