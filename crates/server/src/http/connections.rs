//! Open connections, and which one is closed when there is no room for another.
//!
//! A connection is idle while it has no request under way; a request counts once its head has arrived. When a limit
//! is reached, the oldest idle connection is closed, then the oldest that is still sending a body. So a new client is
//! served however many others only hold connections. Connections that wait for an answer or follow a build stay.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::options::ConnectionLimits;

/// Locks; a panic elsewhere leaves nothing half done in what is locked here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Connections of an address in the order in which they were opened.
    by_address: HashMap<IpAddr, BTreeMap<u64, Arc<Connection>>>,
    total: usize,
    next: u64,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    address: IpAddr,
    number: u64,
    /// Cancelled when it must go.
    pub(super) close: CancellationToken,
    activity: Mutex<Activity>,
}

#[derive(Debug)]
struct Activity {
    /// Requests whose answers are not written to their end.
    requests: usize,
    /// Requests among them whose bodies are still coming.
    receiving: usize,
    /// Whether any request came to its answer.
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

    /// Takes a connection in, in place of another one where there is no room; `None` where every other one is
    /// at work.
    pub(super) fn open(self: &Arc<Self>, address: IpAddr) -> Option<OpenConnection> {
        let address = of_one_client(address);
        let mut open = locked(&self.open);
        let own = open.by_address.get(&address).map_or(0, BTreeMap::len);
        if own >= self.limits.per_address {
            open.evict_of(address).then_some(())?;
        }
        if open.total >= self.limits.total {
            open.evict().then_some(())?;
        }
        let number = open.next;
        open.next += 1;
        open.total += 1;
        let connection = Arc::new(Connection {
            address,
            number,
            close: CancellationToken::new(),
            activity: Mutex::new(Activity {
                requests: 0,
                receiving: 0,
                served: false,
                idle_since: Instant::now(),
            }),
        });
        open.by_address
            .entry(address)
            .or_default()
            .insert(number, Arc::clone(&connection));
        Some(OpenConnection {
            connection,
            connections: Arc::clone(self),
        })
    }

    /// Closes one connection that is not at work, if there is one: the process has no descriptors left.
    pub(super) fn evict(&self) {
        locked(&self.open).evict();
    }

    #[cfg(test)]
    fn total(&self) -> usize {
        locked(&self.open).total
    }
}

impl Open {
    /// Closes a connection of the address that has the most, or of any other.
    fn evict(&mut self) -> bool {
        let most = self.by_address.iter().max_by_key(|(_, own)| own.len());
        let most = most.map(|(address, _)| *address);
        if most.is_some_and(|address| self.evict_of(address)) {
            return true;
        }
        let addresses: Vec<IpAddr> = self.by_address.keys().copied().collect();
        addresses.into_iter().any(|address| self.evict_of(address))
    }

    /// Closes the oldest idle connection of an address, else the oldest that is still sending.
    fn evict_of(&mut self, address: IpAddr) -> bool {
        let own = || {
            self.by_address
                .get(&address)
                .into_iter()
                .flat_map(BTreeMap::values)
        };
        let victim = own()
            .find(|connection| connection.is_idle())
            .or_else(|| own().find(|connection| connection.is_only_receiving()))
            .cloned();
        let Some(victim) = victim else {
            return false;
        };
        victim.close.cancel();
        self.remove(&victim);
        true
    }

    fn remove(&mut self, connection: &Connection) {
        let Some(own) = self.by_address.get_mut(&connection.address) else {
            return;
        };
        if own.remove(&connection.number).is_some() {
            self.total -= 1;
        }
        if own.is_empty() {
            self.by_address.remove(&connection.address);
        }
    }
}

impl Connection {
    fn is_idle(&self) -> bool {
        locked(&self.activity).requests == 0
    }

    fn is_only_receiving(&self) -> bool {
        let activity = locked(&self.activity);
        activity.requests == activity.receiving
    }

    /// Returns once no request was under way for as long as that may be.
    pub(super) async fn idle_for_too_long(&self, limits: ConnectionLimits) {
        loop {
            let until = {
                let activity = locked(&self.activity);
                let limit = if activity.served {
                    limits.idle
                } else {
                    limits.first_request
                };
                if activity.requests > 0 {
                    Instant::now() + limit
                } else {
                    activity.idle_since + limit
                }
            };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// Notes a request until its answer is written or given up.
    pub(super) fn begin_request(self: &Arc<Self>) -> Request {
        locked(&self.activity).requests += 1;
        Request(Arc::clone(self))
    }

    /// Notes that a request's body is coming until it came or was given up.
    pub(super) fn begin_body(self: &Arc<Self>) -> Receiving {
        locked(&self.activity).receiving += 1;
        Receiving(Arc::clone(self))
    }
}

/// A connection for as long as it is open.
#[derive(Debug)]
pub(super) struct OpenConnection {
    pub(super) connection: Arc<Connection>,
    connections: Arc<Connections>,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        locked(&self.connections.open).remove(&self.connection);
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Request(Arc<Connection>);

impl Drop for Request {
    fn drop(&mut self) {
        let mut activity = locked(&self.0.activity);
        activity.requests -= 1;
        activity.served = true;
        activity.idle_since = Instant::now();
    }
}

/// A request's body that is still coming.
#[derive(Debug)]
pub(super) struct Receiving(Arc<Connection>);

impl Drop for Receiving {
    fn drop(&mut self) {
        locked(&self.0.activity).receiving -= 1;
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
    use std::time::Duration;

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
        let open = |text| connections.open(address(text)).unwrap();
        let (first, second, third) = (open("192.0.2.1"), open("192.0.2.1"), open("192.0.2.1"));
        let working = first.connection.begin_request();
        let fourth = open("192.0.2.1");
        assert!(second.connection.close.is_cancelled());
        assert!(!first.connection.close.is_cancelled());
        assert_eq!(connections.total(), 3);
        // What is closed already leaves no gap when it goes.
        drop(second);
        assert_eq!(connections.total(), 3);

        // All places are taken: the address that has the most gives one up.
        let (other, another) = (open("192.0.2.2"), open("192.0.2.3"));
        assert!(third.connection.close.is_cancelled());
        assert!(!fourth.connection.close.is_cancelled() && !other.connection.close.is_cancelled());
        assert_eq!(connections.total(), 4);
        drop((working, first, third, fourth, other, another));
        assert_eq!(connections.total(), 0);
        assert!(locked(&connections.open).by_address.is_empty());
    }

    #[test]
    fn who_sends_a_body_goes_before_who_waits_for_an_answer() {
        let connections = Connections::new(LIMITS);
        let open = || connections.open(address("192.0.2.1"));
        let held: Vec<_> = (0..3).map(|_| open().unwrap()).collect();
        let requests: Vec<_> = held
            .iter()
            .map(|held| held.connection.begin_request())
            .collect();
        assert!(open().is_none());
        let body = held[1].connection.begin_body();
        drop(open().unwrap());
        let closed: Vec<bool> = held
            .iter()
            .map(|held| held.connection.close.is_cancelled())
            .collect();
        assert_eq!(closed, [false, true, false]);
        drop((requests, body));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_idle_for_too_long() {
        let connections = Connections::new(LIMITS);
        let open = connections.open(address("192.0.2.1")).unwrap();
        let begun = Instant::now();
        open.connection.idle_for_too_long(LIMITS).await;
        assert_eq!(begun.elapsed(), LIMITS.first_request);

        let request = open.connection.begin_request();
        let (begun, connection) = (Instant::now(), Arc::clone(&open.connection));
        let idle = tokio::spawn(async move { connection.idle_for_too_long(LIMITS).await });
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
