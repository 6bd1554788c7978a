//! What Docker Engine answered for generated names, recorded by the engine crate's test `record_image_names`.

use sha2::{Digest as _, Sha256};

/// The seed of the recorded names.
pub(crate) const SEED: u64 = 20_261_130;
/// How many names were recorded.
pub(crate) const COUNT: usize = 100_000;
/// What stands for a refused name.
pub(crate) const REFUSED: u16 = 0;

/// What stands for a name that the engine takes, and calls `familiar`: part of a hash, never [`REFUSED`].
pub(crate) fn accepted(familiar: &str) -> u16 {
    let hash = Sha256::digest(familiar.as_bytes());
    u16::from_le_bytes([hash[0], hash[1]]) | 1
}
