//! The protocol of the callers in the field, under `/api/fast-build/`. Each file here is one
//! controller and enters itself into [`crate::controllers`]; nothing lists them.

automod::dir!("src/api/legacy");
