//! Clients that only hold connections, or send half of a request.

use fastbuild::open_files;
use fastbuild_testkit::memory::Memory;
use reqwest::StatusCode;
use tokio::net::TcpStream;

use crate::support::installation::Installation;

/// More than one address may hold.
const CLIENTS: usize = 5_000;
/// Megabytes that the service may hold in all, whoever holds its connections. The tests' program is not
/// optimized and needs more than the 150 that an installed one is held to.
const MEMORY: f64 = 170.0;
const HALF_A_HEAD: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n";

/// The head of a build request with the start of its body.
fn half_a_body() -> Vec<u8> {
    let mut sent = b"POST /api/fast-build/task/build-image HTTP/1.1\r\nhost: x\r\n\
                     content-length: 1000000\r\n\r\n"
        .to_vec();
    sent.resize(sent.len() + 8_000, b' ');
    sent
}

#[tokio::test]
async fn clients_that_hold_connections_cost_little_and_keep_nobody_out() {
    open_files::raise();
    let installation = Installation::unconfigured(&[]).await;
    let service = &installation.service;
    for sent in [Vec::new(), HALF_A_HEAD.to_vec(), half_a_body()] {
        let mut held = Vec::new();
        for _ in 0..CLIENTS {
            let stream = TcpStream::connect(("127.0.0.1", service.port))
                .await
                .unwrap();
            stream.writable().await.unwrap();
            stream.try_write(&sent).ok();
            held.push(stream);
        }
        let url = format!("http://127.0.0.1:{}/healthz", service.port);
        assert_eq!(reqwest::get(url).await.unwrap().status(), StatusCode::OK);
        let memory = Memory::of(service.pid()).unwrap();
        assert!(
            memory.resident < MEMORY,
            "{memory:?} after {} bytes each",
            sent.len()
        );
    }
}
