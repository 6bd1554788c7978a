//! Crash points: a debug build of the service kills itself (SIGKILL) at the point named at its start, for
//! tests of recovery. In a release [`pass`] does nothing and no point can be armed.
//!
//! The list is in this crate because it is the lowest one a build passes through.

/// A moment on a build's way, in the order in which it comes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::EnumString, strum::EnumIter,
)]
#[strum(serialize_all = "kebab-case")]
pub enum CrashPoint {
    /// The build is queued, and its caller was not told yet.
    Queued,
    /// A worker has claimed it.
    Claimed,
    /// Its engine and its registry are known.
    SiteKnown,
    /// In the midst of the base image's pull.
    Pulling,
    /// The base image is on the engine.
    Pulled,
    /// A container that looks into the base image is on the engine.
    Probing,
    /// What the base image contains is known, and not written.
    Probed,
    /// The Dockerfile is written.
    Planned,
    /// In the midst of the build.
    Building,
    /// The image is on the engine.
    Built,
    /// The image may be pushed.
    BeforePush,
    /// In the midst of the push.
    Pushing,
    /// The image is in the registry.
    Pushed,
    /// Before the build's end is written.
    BeforeEnd,
    /// The build's end is written, with its callback.
    AfterEnd,
    /// Before a claimed try of its callback.
    BeforeTry,
    /// The callback was sent, and its try is not recorded.
    AfterTry,
    /// The callback's try is recorded.
    Recorded,
}

#[cfg(debug_assertions)]
static ARMED: std::sync::OnceLock<CrashPoint> = std::sync::OnceLock::new();

/// Makes this process kill itself once it comes to `point`. The first call counts.
#[cfg(debug_assertions)]
pub fn arm(point: CrashPoint) {
    ARMED.get_or_init(|| point);
}

/// Says that a build has come to this point.
#[inline]
pub fn pass(point: CrashPoint) {
    #[cfg(debug_assertions)]
    if ARMED.get() == Some(&point) {
        use nix::{sys::signal, unistd::Pid};
        // Does not return. If the signal cannot be sent, the test fails.
        signal::kill(Pid::this(), signal::Signal::SIGKILL).ok();
    }
    #[cfg(not(debug_assertions))]
    let _ = point;
}
