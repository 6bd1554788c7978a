//! A TCP proxy on loopback in front of an engine, a registry or a database. A test sets the fault it
//! needs; the server behind it goes on serving other tests.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, ToSocketAddrs},
    sync::watch,
    task::JoinHandle,
};

/// What the proxy does to connections, open and new ones alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkFault {
    /// Passes everything on at once.
    None,
    /// Passes everything on, each chunk this much later.
    Delay(Duration),
    /// Holds everything back; it arrives unharmed once the fault is over.
    Stall,
    /// Resets open connections, and new ones as soon as they are accepted.
    Reset,
    /// Resets a connection once its client has sent more than so many bytes: what breaks an upload
    /// and lets questions through.
    ResetAfter(usize),
}

/// A running proxy; ends when dropped, with every connection through it.
#[derive(Debug)]
pub struct TcpProxy {
    /// Where it listens.
    pub address: SocketAddr,
    fault: watch::Sender<NetworkFault>,
    accepting: JoinHandle<()>,
}

impl TcpProxy {
    /// Starts a proxy on a free port of 127.0.0.1 in front of `upstream`, `host:port`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(upstream: impl Into<String>) -> Result<Self> {
        Self::start_on("127.0.0.1:0", upstream).await
    }

    /// Starts a proxy on an address, such as that of one that was closed.
    ///
    /// # Errors
    /// When the address is in use.
    pub async fn start_on(
        address: impl ToSocketAddrs,
        upstream: impl Into<String>,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (fault, current) = watch::channel(NetworkFault::None);
        let upstream: Arc<str> = upstream.into().into();
        let accepting = tokio::spawn(async move {
            // Connections end with the proxy: they are tasks of this set.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(relay(client, upstream.clone(), current.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            address,
            fault,
            accepting,
        })
    }

    /// Changes the fault for open and new connections.
    pub fn set_fault(&self, fault: NetworkFault) {
        self.fault.send_replace(fault);
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends it; new connections are refused once this returns.
    pub async fn close(mut self) {
        self.accepting.abort();
        // It was aborted, so its result says nothing.
        (&mut self.accepting).await.ok();
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Relays one connection until an end closes it or a fault resets it.
async fn relay(client: TcpStream, upstream: Arc<str>, mut fault: watch::Receiver<NetworkFault>) {
    let relayed = async {
        let server = TcpStream::connect(&*upstream).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut client_in, mut client_out) = client.into_split();
        let (mut server_in, mut server_out) = server.into_split();
        let outcome = {
            let up = copy(
                &mut client_in,
                &mut server_out,
                fault.clone(),
                Direction::Up,
            );
            let down = copy(
                &mut server_in,
                &mut client_out,
                fault.clone(),
                Direction::Down,
            );
            tokio::select! {
                // One direction may end long before the other (half-close); both must.
                ends = async { tokio::try_join!(up, down) } => ends.map(drop),
                () = reset(&mut fault) => Err(std::io::ErrorKind::ConnectionReset.into()),
            }
        };
        if outcome.is_err() {
            // With no linger, a socket that is closed resets rather than ends.
            for stream in [
                client_in.reunite(client_out).ok(),
                server_in.reunite(server_out).ok(),
            ]
            .into_iter()
            .flatten()
            {
                stream.set_zero_linger()?;
            }
        }
        outcome
    };
    // What becomes of a connection is its two ends' business.
    let _: std::io::Result<()> = relayed.await;
}

/// Resolves once connections are to be reset.
async fn reset(fault: &mut watch::Receiver<NetworkFault>) {
    if fault
        .wait_for(|now| *now == NetworkFault::Reset)
        .await
        .is_err()
    {
        std::future::pending::<()>().await;
    }
}

/// Which way bytes go: up to the server or down to the client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// Copies one direction until its end, which is passed on.
async fn copy(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    mut fault: watch::Receiver<NetworkFault>,
    direction: Direction,
) -> std::io::Result<()> {
    let mut chunk = vec![0; 64 * 1024];
    let mut passed = 0;
    loop {
        let length = from.read(&mut chunk).await?;
        passed += length;
        let now = *fault.borrow();
        match now {
            NetworkFault::Delay(delay) => tokio::time::sleep(delay).await,
            NetworkFault::Stall => {
                if fault
                    .wait_for(|now| *now != NetworkFault::Stall)
                    .await
                    .is_err()
                {
                    return Err(std::io::ErrorKind::ConnectionReset.into());
                }
            }
            NetworkFault::ResetAfter(limit) if direction == Direction::Up && passed > limit => {
                return Err(std::io::ErrorKind::ConnectionReset.into());
            }
            NetworkFault::None | NetworkFault::Reset | NetworkFault::ResetAfter(_) => {}
        }
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.into_split();
                    tokio::io::copy(&mut reader, &mut writer).await
                });
            }
        });
        address
    }

    async fn say(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
        stream.write_all(text.as_bytes()).await?;
        let mut heard = vec![0; text.len()];
        stream.read_exact(&mut heard).await?;
        Ok(String::from_utf8_lossy(&heard).into_owned())
    }

    #[tokio::test]
    async fn everything_passes_with_and_without_a_delay() {
        let proxy = TcpProxy::start(echo().await.to_string()).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(say(&mut stream, "fair").await.unwrap(), "fair");
        proxy.set_fault(NetworkFault::Delay(Duration::from_millis(5)));
        assert_eq!(say(&mut stream, "slow").await.unwrap(), "slow");
    }

    #[tokio::test]
    async fn stalled_bytes_arrive_after_the_fault() {
        let proxy = TcpProxy::start(echo().await.to_string()).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        say(&mut stream, "first").await.unwrap();
        proxy.set_fault(NetworkFault::Stall);
        let (mut reader, mut writer) = stream.split();
        let mut heard = [0; 4];
        writer.write_all(b"held").await.unwrap();
        tokio::select! {
            biased;
            _ = reader.read_exact(&mut heard) => panic!("bytes passed a stalled proxy"),
            () = tokio::task::yield_now() => proxy.set_fault(NetworkFault::None),
        }
        reader.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"held");
    }

    #[tokio::test]
    async fn reset_hits_open_and_new_connections_until_it_is_over() {
        let proxy = TcpProxy::start(echo().await.to_string()).await.unwrap();
        let mut open = TcpStream::connect(proxy.address).await.unwrap();
        say(&mut open, "open").await.unwrap();
        proxy.set_fault(NetworkFault::Reset);
        assert!(say(&mut open, "open").await.is_err());
        let refused = async {
            let mut new = TcpStream::connect(proxy.address).await?;
            say(&mut new, "new").await
        };
        assert!(refused.await.is_err());
        proxy.set_fault(NetworkFault::None);
        let mut again = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(say(&mut again, "again").await.unwrap(), "again");
    }

    #[tokio::test]
    async fn reset_after_lets_small_requests_through_and_breaks_uploads() {
        let proxy = TcpProxy::start(echo().await.to_string()).await.unwrap();
        proxy.set_fault(NetworkFault::ResetAfter(8));
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(say(&mut stream, "question").await.unwrap(), "question");
        assert!(say(&mut stream, "!").await.is_err());
    }

    #[tokio::test]
    async fn a_closed_proxy_refuses_and_another_takes_its_address() {
        let upstream = echo().await.to_string();
        let proxy = TcpProxy::start(upstream.clone()).await.unwrap();
        let address = proxy.address;
        proxy.close().await;
        assert!(TcpStream::connect(address).await.is_err());
        let again = TcpProxy::start_on(address, upstream).await.unwrap();
        let mut stream = TcpStream::connect(again.address).await.unwrap();
        assert_eq!(say(&mut stream, "again").await.unwrap(), "again");
    }
}
