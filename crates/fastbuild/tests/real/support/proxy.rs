//! A way to one of the real parts that a test can close: the part itself serves other tests at the
//! same time.

use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// A TCP relay to a port of this machine.
pub(crate) struct Gate {
    pub(crate) port: u16,
    relay: JoinHandle<()>,
}

impl Gate {
    /// A relay on a free port.
    pub(crate) async fn open(to: u16) -> Self {
        Self::open_on(0, to).await
    }

    /// A relay on a port, such as that of one that was closed.
    pub(crate) async fn open_on(port: u16, to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let relay = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut inner, _)) = listener.accept().await {
                connections.spawn(async move {
                    if let Ok(mut outer) = TcpStream::connect(("127.0.0.1", to)).await {
                        tokio::io::copy_bidirectional(&mut inner, &mut outer)
                            .await
                            .ok();
                    }
                });
            }
        });
        Self { port, relay }
    }

    /// Closes it, with every connection through it.
    pub(crate) async fn close(self) {
        self.relay.abort();
        self.relay.await.ok();
    }
}
