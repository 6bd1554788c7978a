//! How callers are told.

mod delivery;
