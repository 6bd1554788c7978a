//! Named points on a build's way at which a debug build of the service kills itself (SIGKILL) when
//! it was told so at its start. The tests go through all of them. A release has none of it: there
//! [`pass`] does nothing, and nobody can arm a point.
//!
//! The whole list is here, in the lowest room of those that a build goes through.

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
        // Nobody comes back from here; where the signal could not be sent, the test says so.
        signal::kill(Pid::this(), signal::Signal::SIGKILL).ok();
    }
    #[cfg(not(debug_assertions))]
    let _ = point;
}
