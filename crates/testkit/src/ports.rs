//! Ports for parts that are stopped and started again.

use std::{net::TcpListener, ops::Range};

use anyhow::{Context as _, Result};

/// Below the range from which outgoing connections take their ports, so that a part that was stopped finds its
/// port free again.
const PORTS: Range<u16> = 20_000..32_000;

/// Chooses ports of 127.0.0.1 that nobody listens on.
///
/// # Errors
/// When there are none.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // Kept open until all are chosen, so that none is chosen twice.
    let mut listeners = Vec::new();
    for _ in 0..1000 {
        if listeners.len() == N {
            break;
        }
        let port = rand::random_range(PORTS);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            listeners.push((listener, port));
        }
    }
    let ports: Vec<u16> = listeners.iter().map(|(_, port)| *port).collect();
    ports
        .try_into()
        .ok()
        .context("no free ports were found on 127.0.0.1")
}
