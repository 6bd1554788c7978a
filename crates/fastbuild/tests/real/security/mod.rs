//! Secrets, and callers that mean no good.

mod connections;
mod hostile;
mod oversized;
mod secrets;
