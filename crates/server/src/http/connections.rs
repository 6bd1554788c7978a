//! Open connections, and which one is closed when there is no room for another.
//!
//! A connection is idle while it has no request under way; a request counts once its head has arrived. When a limit
//! is reached, the oldest idle connection is closed, then the oldest that is still sending a body. So a new client is
//! served however many others only hold connections. Connections that wait for an answer or follow a build stay.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::options::ConnectionLimits;

/// How long the request of a new connection may be on its way without the connection counting as idle.
const MOMENT: Duration = Duration::from_secs(1);

/// All open connections.
#[derive(Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// By number, which grows: a lower one is older.
    by_number: HashMap<u64, Activity>,
    by_address: HashMap<IpAddr, OfAddress>,
    next: u64,
}

/// The connections of one address.
#[derive(Debug, Default)]
struct OfAddress {
    count: usize,
    /// Those without a request under way.
    idle: BTreeSet<u64>,
    /// Those whose every request is still sending its body.
    receiving: BTreeSet<u64>,
}

/// What one connection does.
#[derive(Debug)]
struct Activity {
    address: IpAddr,
    /// Cancelled when it must go.
    close: CancellationToken,
    /// Requests whose answers are not written to their end.
    requests: usize,
    /// Requests among them whose bodies are still arriving.
    receiving: usize,
    /// Whether any request was answered.
    served: bool,
    /// Since when no request is under way.
    idle_since: Instant,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            open: Mutex::default(),
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // A panic elsewhere leaves nothing half done in it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in, in place of another one where there is no room; `None` where every other one is
    /// at work.
    pub(super) fn accept(self: &Arc<Self>, address: IpAddr) -> Option<Connection> {
        let address = of_one_client(address);
        let mut open = self.open();
        let own = open.by_address.get(&address).map_or(0, |own| own.count);
        if own >= self.limits.per_address && !open.evict_of(address) {
            return None;
        }
        if open.by_number.len() >= self.limits.total && !open.evict() {
            return None;
        }
        let close = CancellationToken::new();
        let number = open.add(address, close.clone());
        Some(Connection {
            number,
            close,
            connections: Arc::clone(self),
        })
    }

    /// Closes one connection that is not at work, if there is one: the process has no descriptors left.
    pub(super) fn evict(&self) {
        self.open().evict();
    }

    #[cfg(test)]
    fn total(&self) -> usize {
        self.open().by_number.len()
    }
}

impl Open {
    fn add(&mut self, address: IpAddr, close: CancellationToken) -> u64 {
        let number = self.next;
        self.next += 1;
        self.by_number.insert(
            number,
            Activity {
                address,
                close,
                requests: 0,
                receiving: 0,
                served: false,
                idle_since: Instant::now(),
            },
        );
        let own = self.by_address.entry(address).or_default();
        own.count += 1;
        own.idle.insert(number);
        number
    }

    /// Closes a connection of the address that has the most, or of any other.
    fn evict(&mut self) -> bool {
        let most = self.by_address.iter().max_by_key(|(_, own)| own.count);
        let most = most.map(|(address, _)| *address);
        if most.is_some_and(|address| self.evict_of(address)) {
            return true;
        }
        let addresses: Vec<IpAddr> = self.by_address.keys().copied().collect();
        addresses.into_iter().any(|address| self.evict_of(address))
    }

    /// Closes the oldest idle connection of an address, else the oldest that is still sending.
    fn evict_of(&mut self, address: IpAddr) -> bool {
        let Some(activity) = self
            .victim_of(address)
            .and_then(|number| self.remove(number))
        else {
            return false;
        };
        activity.close.cancel();
        true
    }

    /// A connection that was idle for a moment only may have its request on the way: who is still sending goes
    /// before it.
    fn victim_of(&self, address: IpAddr) -> Option<u64> {
        let own = self.by_address.get(&address)?;
        let is_settled = |number: &&u64| {
            let activity = self.by_number.get(number);
            activity.is_some_and(|activity| activity.idle_since.elapsed() >= MOMENT)
        };
        let idle = own.idle.first();
        let settled = idle.filter(is_settled);
        settled.or(own.receiving.first()).or(idle).copied()
    }

    fn remove(&mut self, number: u64) -> Option<Activity> {
        let activity = self.by_number.remove(&number)?;
        if let Some(own) = self.by_address.get_mut(&activity.address) {
            own.count -= 1;
            own.idle.remove(&number);
            own.receiving.remove(&number);
            if own.count == 0 {
                self.by_address.remove(&activity.address);
            }
        }
        Some(activity)
    }

    /// Changes what a connection does, where it is not closed already.
    fn change(&mut self, number: u64, change: impl FnOnce(&mut Activity)) {
        let Some(activity) = self.by_number.get_mut(&number) else {
            return;
        };
        change(activity);
        let (is_idle, is_receiving) = (
            activity.requests == 0,
            activity.requests > 0 && activity.requests == activity.receiving,
        );
        if let Some(own) = self.by_address.get_mut(&activity.address) {
            for (set, belongs) in [(&mut own.idle, is_idle), (&mut own.receiving, is_receiving)] {
                if belongs {
                    set.insert(number);
                } else {
                    set.remove(&number);
                }
            }
        }
    }
}

/// A connection for as long as it is open.
#[derive(Debug)]
pub(super) struct Connection {
    number: u64,
    /// Cancelled when it must go.
    pub(super) close: CancellationToken,
    connections: Arc<Connections>,
}

impl Connection {
    fn change(&self, change: impl FnOnce(&mut Activity)) {
        self.connections.open().change(self.number, change);
    }

    /// Until when it may do nothing; `None` while a request is under way.
    fn idle_until(&self) -> Option<Instant> {
        let open = self.connections.open();
        let activity = open.by_number.get(&self.number)?;
        let limits = self.connections.limits;
        let limit = if activity.served {
            limits.idle
        } else {
            limits.first_request
        };
        (activity.requests == 0).then(|| activity.idle_since + limit)
    }

    /// Returns once no request was under way for as long as that may be.
    pub(super) async fn idle_for_too_long(&self) {
        loop {
            let now = Instant::now();
            let until = self
                .idle_until()
                .unwrap_or(now + self.connections.limits.idle);
            if until <= now {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// Counts a request until its answer is written or given up.
    pub(super) fn begin_request(self: &Arc<Self>) -> Request {
        self.change(|activity| activity.requests += 1);
        Request(Arc::clone(self))
    }

    /// Counts a request's body until it has arrived or was given up.
    pub(super) fn begin_body(self: &Arc<Self>) -> Receiving {
        self.change(|activity| activity.receiving += 1);
        Receiving(Arc::clone(self))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.open().remove(self.number);
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Request(Arc<Connection>);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.change(|activity| {
            activity.requests -= 1;
            activity.served = true;
            activity.idle_since = Instant::now();
        });
    }
}

/// A request's body that is still arriving.
#[derive(Debug)]
pub(super) struct Receiving(Arc<Connection>);

impl Drop for Receiving {
    fn drop(&mut self) {
        self.0.change(|activity| activity.receiving -= 1);
    }
}

/// What counts as one client: an IPv4 address, or the 64 bits of an IPv6 address that name a network, as one
/// machine has all addresses behind them (RFC 4291, section 2.5.1).
fn of_one_client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        total: 4,
        per_address: 3,
        first_request: Duration::from_secs(10),
        idle: Duration::from_mins(1),
    };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_oldest_idle_connection_makes_room() {
        let connections = Connections::new(LIMITS);
        let accept = |text| Arc::new(connections.accept(address(text)).unwrap());
        let (first, second) = (accept("192.0.2.1"), accept("192.0.2.1"));
        let third = accept("192.0.2.1");
        let working = first.begin_request();
        let fourth = accept("192.0.2.1");
        let closed = |connection: &Arc<Connection>| connection.close.is_cancelled();
        assert!(closed(&second) && !closed(&first));
        assert_eq!(connections.total(), 3);
        // What is closed already leaves no gap when it goes.
        drop(second);
        assert_eq!(connections.total(), 3);

        // All places are taken: the address that has the most gives one up.
        let (other, another) = (accept("192.0.2.2"), accept("192.0.2.3"));
        assert!(closed(&third) && !closed(&fourth) && !closed(&other));
        assert_eq!(connections.total(), 4);
        drop((working, first, third, fourth, other, another));
        assert_eq!(connections.total(), 0);
        assert!(connections.open().by_address.is_empty());
    }

    #[test]
    fn who_sends_a_body_goes_before_who_waits_for_an_answer() {
        let connections = Connections::new(LIMITS);
        let accept = || connections.accept(address("192.0.2.1")).map(Arc::new);
        let held: Vec<_> = (0..3).map(|_| accept().unwrap()).collect();
        let requests: Vec<_> = held.iter().map(Connection::begin_request).collect();
        assert!(accept().is_none());
        let body = held[1].begin_body();
        drop(accept().unwrap());
        let closed: Vec<bool> = held.iter().map(|held| held.close.is_cancelled()).collect();
        assert_eq!(closed, [false, true, false]);
        drop((requests, body));
        // An answered connection is idle again.
        let (fourth, fifth) = (accept().unwrap(), accept().unwrap());
        assert!(held[0].close.is_cancelled());
        drop((fourth, fifth));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_is_not_idle_before_its_request_can_have_come() {
        let connections = Connections::new(LIMITS);
        let accept = || connections.accept(address("192.0.2.1")).map(Arc::new);
        let (sending, new) = (accept().unwrap(), accept().unwrap());
        let request = sending.begin_request();
        let body = sending.begin_body();
        let (third, fourth) = (accept().unwrap(), accept().unwrap());
        assert!(sending.close.is_cancelled() && !new.close.is_cancelled());
        tokio::time::sleep(MOMENT).await;
        let fifth = accept().unwrap();
        assert!(new.close.is_cancelled());
        drop((request, body, third, fourth, fifth));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_idle_for_too_long() {
        let connections = Connections::new(LIMITS);
        let connection = Arc::new(connections.accept(address("192.0.2.1")).unwrap());
        let begun = Instant::now();
        connection.idle_for_too_long().await;
        assert_eq!(begun.elapsed(), LIMITS.first_request);

        let request = connection.begin_request();
        let (begun, same) = (Instant::now(), Arc::clone(&connection));
        let idle = tokio::spawn(async move { same.idle_for_too_long().await });
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert!(!idle.is_finished());
        drop(request);
        idle.await.unwrap();
        assert!(begun.elapsed() >= Duration::from_hours(1) + LIMITS.idle);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let same = |one, other| of_one_client(address(one)) == of_one_client(address(other));
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }
}
