//! What the tests and the task runner share: the description of the real parts (engines, registry,
//! callback receiver, fixtures) that `cargo xtask env up` starts, the service as a process of its
//! own, a caller of it, and requests as callers write them.

pub mod base_image;
