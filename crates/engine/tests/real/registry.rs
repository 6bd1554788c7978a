//! Logging in, pulling, pushing, removing.

use fastbuild_engine::{EngineError, ProgressSender, RegistryClient, RegistryError};
use fastbuild_spec::{event::Progress, failure::ReasonCode, settings::RegistrySettings};
use secrecy::ExposeSecret as _;

use crate::common::{
    account, channel, drain, engine, env, image, log_of, of, plain_engine, registry, request,
    tls_engine, unique,
};

fn wrong_password(settings: &RegistrySettings) -> RegistrySettings {
    // Characters whose plain base64 has `+` and `/`: engines read only the URL-safe alphabet.
    RegistrySettings {
        password: "~~~???>>>ÿÿÿ".to_owned().into(),
        ..settings.clone()
    }
}

#[tokio::test]
async fn login_works_with_and_without_tls() {
    let env = env();
    for engine in [plain_engine(&env), tls_engine(&env)] {
        for login in [&env.registry.user, &env.registry.second_user] {
            engine.login(&account(&env, login)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn wrong_password_and_unreachable_registry_are_distinguished() {
    let env = env();
    let engine = plain_engine(&env);
    let wrong = engine
        .login(&wrong_password(&registry(&env)))
        .await
        .unwrap_err();
    let failure = wrong.failure();
    assert_eq!(failure.code, ReasonCode::RegistryLoginFailed, "{wrong}");
    assert!(
        failure.message.en.contains(&env.registry.registry)
            && failure.message.en.contains("fastbuild")
    );
    assert!(!format!("{failure:?}{wrong:?}").contains("~~~"));

    let down = RegistrySettings {
        registry: "127.0.0.1:1".into(),
        registry_dns: None,
        ..registry(&env)
    };
    let down = engine.login(&down).await.unwrap_err();
    assert_eq!(
        down.failure().code,
        ReasonCode::RegistryUnavailable,
        "{down}"
    );
}

#[tokio::test]
async fn image_is_pulled_under_both_names_of_its_registry() {
    let env = env();
    let engine = tls_engine(&env);
    for name in [env.image(&env.images.app), env.image_dns(&env.images.app)] {
        let (sender, receiver) = channel();
        let reference = image(&name);
        let pulled = engine
            .pull(&reference, Some(&registry(&env)), &sender)
            .await
            .unwrap();
        assert!(
            pulled.id.starts_with("sha256:") && pulled.size > 1_000_000,
            "{pulled:?}"
        );
        assert_eq!(
            (pulled.architecture.as_str(), pulled.os.as_str()),
            ("amd64", "linux")
        );
        assert!(
            !pulled.config.user.is_empty()
                && !pulled.config.entrypoint.is_empty()
                && !pulled.config.command.is_empty()
        );
        assert!(!pulled.repo_digests.is_empty(), "{pulled:?}");
        assert_eq!(
            engine.find_image(&reference).await.unwrap(),
            Some(pulled.clone())
        );
        let all = drain(sender, receiver).await;
        assert!(log_of(&all).contains("Digest: sha256:"), "{all:?}");

        // The digest names the same image.
        let (_, digest) = pulled.repo_digests[0].rsplit_once('@').unwrap();
        let by_digest = image(&format!("{}@{digest}", reference.name()));
        assert_eq!(
            engine
                .pull(
                    &by_digest,
                    Some(&registry(&env)),
                    &ProgressSender::discarding()
                )
                .await
                .unwrap()
                .id,
            pulled.id
        );
    }
}

#[tokio::test]
async fn failed_pull_has_a_reason() {
    let env = env();
    let engine = plain_engine(&env);
    let (silent, ours) = (ProgressSender::discarding(), registry(&env));
    let pull = async |name: &str, credentials: Option<&RegistrySettings>| {
        let error = engine
            .pull(&image(name), credentials, &silent)
            .await
            .unwrap_err();
        let failure = error.failure();
        assert!(failure.message.zh.ends_with('。'), "{failure:?}");
        failure.code
    };
    let missing = env.image(&format!("{}:1", unique("nothing/here")));
    assert_eq!(
        pull(&missing, Some(&ours)).await,
        ReasonCode::BaseImageNotFound
    );
    let missing_tag = env.image(&format!("base/debian:{}", unique("no")));
    assert_eq!(
        pull(&missing_tag, Some(&ours)).await,
        ReasonCode::BaseImageNotFound
    );
    let missing_digest = env.image(&format!("base/debian@sha256:{}", "ab".repeat(32)));
    assert_eq!(
        pull(&missing_digest, Some(&ours)).await,
        ReasonCode::BaseImageNotFound
    );
    assert_eq!(pull(&missing, None).await, ReasonCode::BaseImagePullDenied);
    assert_eq!(
        pull(&missing, Some(&wrong_password(&ours))).await,
        ReasonCode::RegistryLoginFailed
    );
    assert_eq!(
        pull("127.0.0.1:1/a/b:1", Some(&ours)).await,
        ReasonCode::RegistryUnavailable
    );
    assert_eq!(engine.find_image(&image(&missing)).await.unwrap(), None);
}

#[tokio::test]
async fn push_returns_the_digest_stored_in_the_registry() {
    let env = env();
    let engine = plain_engine(&env);
    let base = image(&env.image(&env.images.debian));
    let request = request(&env, &base, &format!("RUN echo {} > /made", unique("push")));
    let tag = request.tag.clone();
    engine
        .build(request, &ProgressSender::discarding())
        .await
        .unwrap();

    let (sender, receiver) = channel();
    let pushed = engine
        .push(&tag, Some(&registry(&env)), &sender)
        .await
        .unwrap();
    let all = drain(sender, receiver).await;
    assert!(
        all.iter().any(
            |progress| matches!(progress, Progress::Transfer { status, .. } if status == "Pushed")
        ),
        "{all:?}"
    );

    let ca = reqwest::Certificate::from_pem(&std::fs::read(&env.certificates.ca).unwrap()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([ca])
        .no_proxy()
        .build()
        .unwrap();
    let manifest = client
        .head(format!("https://{}/v2/{}/manifests/{}", env.registry.registry, tag.repository(), tag.tag()))
        .basic_auth(&env.registry.user.username, Some(&env.registry.user.password))
        .header("accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json")
        .send()
        .await
        .unwrap();
    assert_eq!(
        manifest.headers()["docker-content-digest"],
        pushed.digest.as_str()
    );

    assert!(engine.remove_image(&tag.to_string()).await.unwrap());
    assert!(!engine.remove_image(&tag.to_string()).await.unwrap());
    assert_eq!(engine.find_image(&tag).await.unwrap(), None);
}

#[tokio::test]
async fn failed_push_has_a_reason() {
    let env = env();
    let engine = plain_engine(&env);
    let silent = ProgressSender::discarding();
    let base = image(&env.image(&env.images.debian));
    let ours = registry(&env);

    let made = request(&env, &base, "RUN true");
    let tag = made.tag.clone();
    engine.build(made, &silent).await.unwrap();
    let denied = engine.push(&tag, None, &silent).await.unwrap_err();
    assert_eq!(denied.failure().code, ReasonCode::PushDenied, "{denied}");
    let wrong = engine
        .push(&tag, Some(&wrong_password(&ours)), &silent)
        .await
        .unwrap_err();
    assert_eq!(
        wrong.failure().code,
        ReasonCode::RegistryLoginFailed,
        "{wrong}"
    );
    assert!(!wrong.to_string().contains(ours.password.expose_secret()));
    engine.remove_image(&tag.to_string()).await.unwrap();

    let nowhere = image(&format!("127.0.0.1:1/{}:1", unique("tests/nowhere")));
    let mut made = request(&env, &base, "RUN true");
    made.tag = nowhere.clone();
    engine.build(made, &silent).await.unwrap();
    let down = engine
        .push(&nowhere, Some(&ours), &silent)
        .await
        .unwrap_err();
    assert_eq!(
        down.failure().code,
        ReasonCode::RegistryUnavailable,
        "{down}"
    );
    engine.remove_image(&nowhere.to_string()).await.unwrap();

    let missing = engine.push(&tag, Some(&ours), &silent).await.unwrap_err();
    assert!(
        matches!(missing, EngineError::ImageLost { .. }),
        "{missing}"
    );
}

#[tokio::test]
async fn registry_client_resolves_a_tag_to_its_digest() {
    let env = env();
    let authorities = std::fs::read(&env.certificates.ca).unwrap();
    let distribution = RegistryClient::new(Some(&authorities)).unwrap();
    let name = env.image(&env.images.app);
    let reference = image(&name);
    let digest = distribution
        .digest_of(&registry(&env), &reference)
        .await
        .unwrap();
    let with_containerd = engine(&of(env.engine_store().unwrap()));
    for engine in [plain_engine(&env), with_containerd] {
        let pulled = engine
            .pull(
                &reference,
                Some(&registry(&env)),
                &ProgressSender::discarding(),
            )
            .await
            .unwrap();
        let there = format!("{}@{digest}", reference.name());
        assert!(pulled.repo_digests.contains(&there), "{pulled:?}");
    }
    // A name with a digest stands for just that.
    let pinned = image(&format!("{}@{digest}", reference.name()));
    let again = distribution.digest_of(&registry(&env), &pinned).await;
    assert_eq!(again.unwrap(), digest);

    let missing = image(&env.image("no/such:1"));
    let gone = distribution.digest_of(&registry(&env), &missing).await;
    assert!(matches!(gone, Err(RegistryError::Gone(_))), "{gone:?}");
    let wrong = wrong_password(&registry(&env));
    let refused = distribution.digest_of(&wrong, &reference).await;
    assert!(
        matches!(refused, Err(RegistryError::Refused { .. })),
        "{refused:?}"
    );
    // The account goes to no other registry.
    let elsewhere = image("127.0.0.1:1/base/app:1");
    let other = distribution.digest_of(&registry(&env), &elsewhere).await;
    assert!(
        matches!(other, Err(RegistryError::Refused { .. })),
        "{other:?}"
    );
}
