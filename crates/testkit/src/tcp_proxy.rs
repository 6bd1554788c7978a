//! A TCP proxy on loopback whose connections can be cut, held up or refused while they run: what a
//! network does to a service, on demand.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What the proxy does with connections, those that are open and those that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Passes everything on at once.
    Fair,
    /// Passes everything on, each piece this much later.
    Slow(Duration),
    /// Holds everything back; what was sent arrives unharmed once the weather is fair.
    Held,
    /// Resets open connections, and new ones as soon as they are accepted.
    Cut,
}

/// A running proxy; ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    weather: watch::Sender<Weather>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy on a free port of 127.0.0.1 in front of `upstream`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(upstream: impl Into<String>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (weather, seen) = watch::channel(Weather::Fair);
        let upstream: Arc<str> = upstream.into().into();
        let accepting = tokio::spawn(async move {
            // Connections end with the proxy: they are tasks of this set.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, upstream.clone(), seen.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            address,
            weather,
            accepting,
        })
    }

    /// Changes the weather for open and new connections.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries one connection until an end closes it or the weather cuts it.
async fn carry(client: TcpStream, upstream: Arc<str>, mut weather: watch::Receiver<Weather>) {
    let carried = async {
        let server = TcpStream::connect(&*upstream).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut client_in, mut client_out) = client.into_split();
        let (mut server_in, mut server_out) = server.into_split();
        let outcome = {
            let up = pass(&mut client_in, &mut server_out, weather.clone());
            let down = pass(&mut server_in, &mut client_out, weather.clone());
            tokio::select! {
                // One direction may end long before the other (half-close); both must.
                ends = async { tokio::try_join!(up, down) } => ends.map(drop),
                () = cut(&mut weather) => Err(std::io::ErrorKind::ConnectionReset.into()),
            }
        };
        if outcome.is_err() {
            // Closed with something unread or with no linger, a socket resets rather than ends.
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
    let _: std::io::Result<()> = carried.await;
}

/// Resolves once the weather cuts connections.
async fn cut(weather: &mut watch::Receiver<Weather>) {
    if weather.wait_for(|now| *now == Weather::Cut).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Carries one direction until its end, which is passed on.
async fn pass(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) -> std::io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut piece).await?;
        let now = *weather.borrow();
        match now {
            Weather::Slow(delay) => tokio::time::sleep(delay).await,
            Weather::Held => {
                if weather.wait_for(|now| *now != Weather::Held).await.is_err() {
                    return Err(std::io::ErrorKind::ConnectionReset.into());
                }
            }
            Weather::Fair | Weather::Cut => {}
        }
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..length]).await?;
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
    async fn fair_and_slow_weather_carry_everything() {
        let proxy = Proxy::start(echo().await.to_string()).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(say(&mut stream, "fair").await.unwrap(), "fair");
        proxy.set(Weather::Slow(Duration::from_millis(5)));
        assert_eq!(say(&mut stream, "slow").await.unwrap(), "slow");
    }

    #[tokio::test]
    async fn what_is_held_arrives_later_and_unharmed() {
        let proxy = Proxy::start(echo().await.to_string()).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        say(&mut stream, "first").await.unwrap();
        proxy.set(Weather::Held);
        let (mut reader, mut writer) = stream.split();
        let mut heard = [0; 4];
        writer.write_all(b"held").await.unwrap();
        tokio::select! {
            biased;
            _ = reader.read_exact(&mut heard) => panic!("held weather let something through"),
            () = tokio::task::yield_now() => proxy.set(Weather::Fair),
        }
        reader.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"held");
    }

    #[tokio::test]
    async fn a_cut_resets_open_and_new_connections_until_it_is_fair() {
        let proxy = Proxy::start(echo().await.to_string()).await.unwrap();
        let mut open = TcpStream::connect(proxy.address).await.unwrap();
        say(&mut open, "open").await.unwrap();
        proxy.set(Weather::Cut);
        assert!(say(&mut open, "open").await.is_err());
        let refused = async {
            let mut new = TcpStream::connect(proxy.address).await?;
            say(&mut new, "new").await
        };
        assert!(refused.await.is_err());
        proxy.set(Weather::Fair);
        let mut again = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(say(&mut again, "again").await.unwrap(), "again");
    }
}
