//! Secrets, and callers that mean no good.

mod hostile;
mod oversized;
mod secrets;
