//! Reaching an engine, and every way in which that fails.

use std::time::Duration;

use fastbuild_engine::{
    Endpoint, Engine, EngineError, EngineInfo, EngineLimits, NoAnswer, ProgressSender, TlsProblem,
};
use fastbuild_spec::{failure::ReasonCode, settings::TlsMaterial};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::common::{channel, engine, env, material, plain, registry, tls};

async fn tls_problem(endpoint: &Endpoint) -> TlsProblem {
    let error = engine(endpoint).ping().await.unwrap_err();
    assert_eq!(error.failure().code, ReasonCode::EngineTlsFailed, "{error}");
    match error {
        EngineError::Tls { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn ping_works_over_tcp_tls_and_unix_socket() {
    let env = env();
    let over_tcp = engine(&plain(&env)).ping().await.unwrap();
    assert!(over_tcp.buildkit, "{over_tcp:?}");
    assert_eq!(over_tcp.os, "linux");
    let output = env
        .docker(&env.engine_plain)
        .args(["info", "--format", "{{json .DriverStatus}}"])
        .output();
    let driver = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(
        over_tcp.containerd_store,
        driver.contains("io.containerd.snapshotter"),
        "{driver}"
    );
    assert!(over_tcp.cpus > 0 && over_tcp.memory > 0, "{over_tcp:?}");
    assert!(over_tcp.api_version.starts_with("1."), "{over_tcp:?}");

    let over_socket = engine(&Endpoint::Unix(env.engine_plain.socket.clone()))
        .ping()
        .await
        .unwrap();
    // Only the time went on.
    let over_socket = EngineInfo {
        system_time: over_tcp.system_time.clone(),
        ..over_socket
    };
    assert_eq!(over_socket, over_tcp);

    let over_tls = engine(&tls(&env, &env.certificates.client_tar))
        .ping()
        .await
        .unwrap();
    assert_eq!(over_tls.version, over_tcp.version);
}

#[tokio::test]
async fn engine_certificate_of_another_ca_is_rejected() {
    let env = env();
    assert_eq!(
        tls_problem(&tls(&env, &env.certificates.wrong_ca_tar)).await,
        TlsProblem::UnknownIssuer
    );
}

#[tokio::test]
async fn expired_client_certificate_is_always_reported_as_refused() {
    let env = env();
    let expired = tls(&env, &env.certificates.expired_client_tar);
    // The refusal races with our request: it must come out the same each time.
    for _ in 0..20 {
        let problem = tls_problem(&expired).await;
        assert!(
            matches!(problem, TlsProblem::ClientCertificateRefused(_)),
            "{problem:?}"
        );
    }
}

#[tokio::test]
async fn plain_and_tls_ports_are_distinguished() {
    let env = env();
    let (plain_engine, tls_engine) = (&env.engine_plain, &env.engine_tls);
    let material = material(&env.certificates.client_tar);
    let to_plain = Endpoint::Tls {
        host: plain_engine.host.clone(),
        port: plain_engine.port,
        material,
    };
    assert_eq!(tls_problem(&to_plain).await, TlsProblem::PortIsPlain);

    let to_tls = Endpoint::Tcp {
        host: tls_engine.host.clone(),
        port: tls_engine.port,
    };
    assert_eq!(tls_problem(&to_tls).await, TlsProblem::PortWantsTls);
    let image = env.image("base/debian:12").parse().unwrap();
    let error = engine(&to_tls).find_image(&image).await.unwrap_err();
    assert_eq!(error.failure().code, ReasonCode::EngineTlsFailed, "{error}");
}

#[tokio::test]
async fn pem_files_are_validated_without_connecting() {
    let env = env();
    let good = material(&env.certificates.client_tar);
    let other_key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let try_material = |material: TlsMaterial| {
        let endpoint = Endpoint::Tls {
            host: "192.0.2.1".into(),
            port: 2376,
            material,
        };
        match Engine::new(&endpoint, EngineLimits::default()) {
            Err(EngineError::Tls { problem, address }) => (address, problem),
            other => panic!("{other:?}"),
        }
    };
    let (address, problem) = try_material(TlsMaterial {
        key_pem: other_key.into(),
        ..good.clone()
    });
    assert_eq!(
        (address.as_str(), problem),
        ("192.0.2.1:2376", TlsProblem::KeyMismatch)
    );
    for (material, wanted) in [
        (
            TlsMaterial {
                ca_pem: "no PEM".into(),
                ..good.clone()
            },
            "ca",
        ),
        (
            TlsMaterial {
                cert_pem: String::new(),
                ..good.clone()
            },
            "cert",
        ),
        (
            TlsMaterial {
                key_pem: "no PEM".to_owned().into(),
                ..good.clone()
            },
            "key",
        ),
    ] {
        let (_, problem) = try_material(material);
        assert!(
            matches!(&problem, TlsProblem::Unreadable { file, .. } if *file == wanted),
            "{problem:?}"
        );
    }
    let endpoint = Endpoint::Tls {
        host: "192.0.2.1".into(),
        port: 2376,
        material: good.clone(),
    };
    let shown = format!(
        "{:?}{endpoint:?}",
        Engine::new(&endpoint, EngineLimits::default()).unwrap()
    );
    assert!(!shown.contains(good.key_pem.expose_secret().lines().nth(1).unwrap()));
}

#[tokio::test]
async fn closed_port_and_unknown_host_have_their_own_reason() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let refused = engine(&Endpoint::Tcp {
        host: "127.0.0.1".into(),
        port: closed,
    })
    .ping()
    .await
    .unwrap_err();
    let wanted = EngineError::Unreachable {
        address: format!("127.0.0.1:{closed}"),
        reason: NoAnswer::Refused,
    };
    assert_eq!(refused, wanted);
    let failure = refused.failure();
    assert_eq!(failure.code, ReasonCode::EngineUnreachable);
    assert_eq!(
        failure.message.en,
        format!(
            "The Docker Engine at 127.0.0.1:{closed} cannot be reached: the connection was refused, nothing listens on that port."
        )
    );

    let unknown = engine(&Endpoint::Tcp {
        host: "no-such-host.invalid".into(),
        port: 2375,
    })
    .ping()
    .await
    .unwrap_err();
    assert!(
        matches!(
            unknown,
            EngineError::Unreachable {
                reason: NoAnswer::UnknownHost,
                ..
            }
        ),
        "{unknown}"
    );
}

#[tokio::test]
async fn silent_port_and_other_service_are_not_an_engine() {
    let env = env();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Endpoint::Tcp {
        host: "127.0.0.1".into(),
        port: listener.local_addr().unwrap().port(),
    };
    let limits = EngineLimits {
        request: Duration::from_millis(300),
        ..EngineLimits::default()
    };
    let error = Engine::new(&silent, limits)
        .unwrap()
        .ping()
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::Unreachable {
                reason: NoAnswer::Timeout(_),
                ..
            }
        ),
        "{error}"
    );

    let callback = Endpoint::Tcp {
        host: "127.0.0.1".into(),
        port: env.callback.port,
    };
    let error = engine(&callback).ping().await.unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::Unreachable {
                reason: NoAnswer::NotAnEngine(_),
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn connection_closed_before_response_is_lost() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut some = [0; 64];
            let read = stream.read(&mut some).await;
            let written = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nO")
                .await;
            assert!(read.is_ok() && written.is_ok());
        }
    });
    let error = engine(&Endpoint::Tcp {
        host: "127.0.0.1".into(),
        port,
    })
    .ping()
    .await
    .unwrap_err();
    assert_eq!(error.failure().code, ReasonCode::EngineLost, "{error}");
}

/// An engine that begins to answer pulls and pushes and never ends; it reports each connection that its
/// client gave up.
async fn endless_engine() -> (Engine, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (given_up, reports) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let given_up = given_up.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                if head.starts_with(b"GET ") {
                    let version =
                        b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"ApiVersion\":\"1.41\"}";
                    return stream.write_all(version).await;
                }
                let begun =
                    b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{\"status\":\"Preparing\"}\n";
                stream.write_all(begun).await?;
                // Nothing more is sent by the client but the end.
                while stream.read_u8().await.is_ok() {}
                given_up.send(()).map_err(std::io::Error::other)
            });
        }
    });
    let endpoint = Endpoint::Tcp {
        host: "127.0.0.1".into(),
        port,
    };
    (engine(&endpoint), reports)
}

#[tokio::test]
async fn dropping_a_pull_or_push_closes_its_connection() {
    let (engine, mut reports) = endless_engine().await;
    let image = "r.example/a/b:1".parse().unwrap();
    for pushing in [false, true] {
        let (sender, mut receiver) = channel();
        let work = async {
            if pushing {
                engine.push(&image, None, &sender).await.map(drop)
            } else {
                engine.pull(&image, None, &sender).await.map(drop)
            }
        };
        tokio::select! {
            ended = work => panic!("{ended:?}"),
            progress = receiver.recv() => assert!(progress.is_some()),
        }
        assert_eq!(
            tokio::time::timeout(Duration::from_secs(2), reports.recv()).await,
            Ok(Some(()))
        );
    }
}

/// An engine that answers `/_ping` and `/version` with this API version, and any versioned path with `refusal`.
async fn engine_of_api(newest: &'static str, refusal: &'static str) -> Engine {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut some = [0; 1024];
                match stream.read(&mut some).await {
                    Ok(read) if read > 0 => head.extend_from_slice(&some[..read]),
                    _ => break,
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let versioned = head
                .split(' ')
                .nth(1)
                .is_some_and(|path| path.starts_with("/v1."));
            let (status, body) = if versioned {
                ("400 Bad Request", format!(r#"{{"message":"{refusal}"}}"#))
            } else {
                let body = format!(
                    r#"{{"Version":"x","ApiVersion":"{newest}","Os":"linux","Arch":"amd64"}}"#
                );
                ("200 OK", body)
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nApi-Version: {newest}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            // A client that has gone needs no answer.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    engine(&Endpoint::Tcp {
        host: "127.0.0.1".into(),
        port,
    })
}

#[tokio::test]
async fn engine_without_a_common_api_version_is_unsupported_in_every_call() {
    let too_new = "client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version";
    for (newest, says) in [("1.24", "1.24"), ("1.41", "1.44")] {
        let engine = engine_of_api(newest, too_new).await;
        let registry = registry(&env());
        let image = "debian:12".parse().unwrap();
        let progress = ProgressSender::discarding();
        for (what, error) in [
            ("ping", engine.ping().await.unwrap_err()),
            ("login", engine.login(&registry).await.unwrap_err()),
            ("find", engine.find_image(&image).await.unwrap_err()),
            (
                "pull",
                engine.pull(&image, None, &progress).await.unwrap_err(),
            ),
            (
                "push",
                engine.push(&image, None, &progress).await.unwrap_err(),
            ),
        ] {
            let failure = error.failure();
            assert_eq!(
                failure.code,
                ReasonCode::EngineUnsupported,
                "{what} {newest}: {error}"
            );
            assert!(failure.message.en.contains(says), "{what}: {failure:?}");
            assert_eq!(failure.culprit.as_deref(), Some(engine.address()), "{what}");
            assert!(failure.hint.en.contains("1.40"), "{what}: {failure:?}");
        }
    }
}
