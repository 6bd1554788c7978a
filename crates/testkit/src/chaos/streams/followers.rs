//! Who follows the build, and when each loses its connection: drawn from a seed.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

/// Set apart from what else a seed decides.
const STREAM: u64 = 0x0073_7472_6561_6d73;

/// How a client wants the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As a browser: server-sent events.
    ServerSentEvents,
    /// As a program: one JSON object a line.
    Lines,
}

impl Format {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::ServerSentEvents => "text/event-stream",
            Self::Lines => "application/x-ndjson",
        }
    }
}

/// How a client that comes back says where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// In the header `Last-Event-ID`.
    Header,
    /// In the address, `?after=`.
    Address,
    /// In the header, with the address of its first visit: as a browser does.
    HeaderAndFirstAddress,
}

/// A connection that a client loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// Time since it was made.
    pub after: Duration,
    /// Time until the client comes back.
    pub away: Duration,
    /// How it then says where it was.
    pub resume: Resume,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    /// Its number in the run, from 0.
    pub number: usize,
    /// How it wants the events.
    pub format: Format,
    /// When it comes, after the build was asked for.
    pub comes: Duration,
    /// The connections it loses, one after the other; it keeps the next one.
    pub breaks: Vec<Break>,
}

/// The clients of a run whose build takes about `span`. Exactly half of them lose connections, until
/// the build has ended and a little longer.
pub fn followers(seed: u64, count: usize, span: Duration) -> Vec<Follower> {
    let mut random = StdRng::seed_from_u64(seed ^ STREAM);
    let mut steady: Vec<bool> = (0..count).map(|number| number % 2 == 0).collect();
    steady.shuffle(&mut random);
    let steady = steady.into_iter().enumerate();
    steady
        .map(|(number, steady)| {
            let format = if random.random_bool(0.5) {
                Format::ServerSentEvents
            } else {
                Format::Lines
            };
            let comes = span.mul_f64(random.random_range(0.0..0.3));
            let breaks = if steady {
                Vec::new()
            } else {
                breaks(&mut random, (span + span / 10).saturating_sub(comes), span)
            };
            Follower {
                number,
                format,
                comes,
                breaks,
            }
        })
        .collect()
}

/// Breaks that fill `time`; a connection lasts for up to a fifth of `span`.
fn breaks(random: &mut StdRng, time: Duration, span: Duration) -> Vec<Break> {
    let mut breaks = Vec::new();
    let mut filled = Duration::ZERO;
    while filled < time {
        let one = Break {
            after: span.mul_f64(random.random_range(0.0..0.2)),
            away: span.mul_f64(random.random_range(0.001..0.02)),
            resume: match random.random_range(0..3) {
                0 => Resume::Header,
                1 => Resume::Address,
                _ => Resume::HeaderAndFirstAddress,
            },
        };
        filled += one.after + one.away;
        breaks.push(one);
    }
    breaks
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(10);

    #[test]
    fn a_seed_gives_the_same_clients() {
        assert_eq!(followers(7, 40, SPAN), followers(7, 40, SPAN));
        assert_ne!(followers(7, 40, SPAN), followers(8, 40, SPAN));
    }

    #[test]
    fn half_of_them_break_off_and_there_is_something_of_everything() {
        let followers = followers(1, 100, SPAN);
        let breaking = followers.iter().filter(|one| !one.breaks.is_empty());
        assert_eq!(breaking.count(), 50);
        for format in [Format::ServerSentEvents, Format::Lines] {
            assert!(followers.iter().any(|one| one.format == format));
        }
        for resume in [
            Resume::Header,
            Resume::Address,
            Resume::HeaderAndFirstAddress,
        ] {
            let mut breaks = followers.iter().flat_map(|one| &one.breaks);
            assert!(breaks.any(|one| one.resume == resume), "{resume:?}");
        }
    }
}
