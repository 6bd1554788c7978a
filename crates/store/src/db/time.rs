//! Times as the database keeps them: microseconds since the Unix epoch, which sort, compare and
//! travel between databases as plain integers.

use std::time::Duration;

use jiff::Timestamp;

use crate::StoreError;

/// A time as it is stored.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// The stored time a duration after another; saturates at the end of time.
pub(crate) fn micros_after(micros: i64, duration: Duration) -> i64 {
    micros.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

/// A stored time.
pub(crate) fn timestamp(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|error| StoreError::corrupt("time", error))
}

/// A stored time that may be empty.
pub(crate) fn maybe_timestamp(micros: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    micros.map(timestamp).transpose()
}
