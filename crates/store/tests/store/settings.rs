//! Settings: rows only added, the newest in force, all or none.

use fastbuild_spec::settings::{DockerServerSettings, HostSettings, RegistrySettings, TlsMaterial};
use fastbuild_store::{NewSettings, SettingsKind, SettingsRevisions};
use secrecy::ExposeSecret as _;

use crate::parts::{Site, at, headers};

pub(crate) fn host(port: u16) -> HostSettings {
    HostSettings {
        host: "fastbuild.site".to_owned(),
        port,
    }
}

pub(crate) fn whole_set() -> NewSettings {
    NewSettings {
        host: Some(host(48001)),
        registry: Some(RegistrySettings {
            username: "admin".to_owned(),
            password: "Harbor-password-1".into(),
            registry: "10.0.0.9:30003".to_owned(),
            registry_dns: Some("harbor.site".to_owned()),
        }),
        docker_server: Some(DockerServerSettings {
            host: "10.0.0.8".to_owned(),
            port: 2376,
            tls: Some(TlsMaterial {
                ca_pem: "-----BEGIN CERTIFICATE-----ca".to_owned(),
                cert_pem: "-----BEGIN CERTIFICATE-----cert".to_owned(),
                key_pem: "-----BEGIN PRIVATE KEY-----client-key-1".into(),
            }),
        }),
        headers: Some(headers().into()),
    }
}

#[tokio::test]
async fn the_newest_of_each_is_in_force_and_the_history_holds_no_secret() {
    let site = Site::new();
    let store = site.open().await;
    let (nothing, none) = store.settings_in_force().await.unwrap();
    assert!(nothing.host.is_none() && nothing.registry.is_none());
    assert_eq!(none, SettingsRevisions::default());

    let first = store.add_settings(whole_set(), at(0)).await.unwrap();
    assert_eq!(store.settings_revisions().await.unwrap(), first);
    let change = NewSettings {
        host: Some(host(48002)),
        ..NewSettings::default()
    };
    let second = store.add_settings(change, at(1)).await.unwrap();
    assert_eq!(
        (second.registry, second.docker_server, second.headers),
        (None, None, None)
    );

    let (settings, revisions) = store.settings_in_force().await.unwrap();
    assert_eq!(
        revisions,
        SettingsRevisions {
            host: second.host,
            ..first
        }
    );
    assert_eq!(settings.host, Some(host(48002)));
    let registry = settings.registry.unwrap();
    assert_eq!(registry.password.expose_secret(), "Harbor-password-1");
    assert!(registry.is_ours("harbor.site"));
    let tls = settings.docker_server.unwrap().tls.unwrap();
    assert_eq!(tls.ca_pem, "-----BEGIN CERTIFICATE-----ca");
    assert_eq!(tls.cert_pem, "-----BEGIN CERTIFICATE-----cert");
    assert_eq!(
        tls.key_pem.expose_secret(),
        "-----BEGIN PRIVATE KEY-----client-key-1"
    );
    assert_eq!(settings.callback_headers, headers());

    let hosts = store.host_history().await.unwrap();
    let ports: Vec<u16> = hosts.iter().map(|row| row.port).collect();
    assert_eq!(ports, [48002, 48001]);
    assert_eq!(hosts[0].created_at, at(1));
    assert_eq!(store.registry_history().await.unwrap()[0].username, "admin");
    assert!(store.docker_server_history().await.unwrap()[0].tls);
    let shown = &store.headers_history().await.unwrap()[0].headers;
    assert_eq!(shown["X-BizType"], "DROS");
    assert_eq!(shown["Authorization"], "***");
}

#[tokio::test]
async fn a_set_is_stored_as_a_whole_or_not_at_all() {
    let site = Site::new();
    let store = site.open().await;
    let before = store.add_settings(whole_set(), at(0)).await.unwrap();
    site.refuse_inserts("setting_docker_servers").await;
    let refused = store.add_settings(whole_set(), at(1)).await.unwrap_err();
    assert!(
        refused.to_string().contains("induced"),
        "the log has the cause: {refused}"
    );
    let told = refused.failure();
    assert!(
        !format!("{told:?}").contains("induced"),
        "people have not: {told:?}"
    );
    assert_eq!(store.settings_revisions().await.unwrap(), before);
    assert_eq!(store.host_history().await.unwrap().len(), 1);
    assert_eq!(store.registry_history().await.unwrap().len(), 1);

    // The connection is good for the next one.
    site.take_inserts("setting_docker_servers").await;
    store.add_settings(whole_set(), at(2)).await.unwrap();
    assert_eq!(store.registry_history().await.unwrap().len(), 2);
}

#[tokio::test]
async fn defaults_are_added_only_where_nothing_is() {
    let site = Site::new();
    let store = site.open().await;
    store
        .ensure_defaults(host(1), headers(), at(0))
        .await
        .unwrap();
    store
        .ensure_defaults(host(2), headers(), at(1))
        .await
        .unwrap();
    assert_eq!(store.host_history().await.unwrap().len(), 1);
    assert_eq!(store.headers_history().await.unwrap().len(), 1);
    let settings = store.settings().await.unwrap();
    assert_eq!(settings.host, Some(host(1)));
    assert!(settings.registry.is_none() && settings.docker_server.is_none());
}

#[tokio::test]
async fn what_was_in_force_is_found_again_with_its_secrets() {
    let site = Site::new();
    let store = site.open().await;
    let first = store.add_settings(whole_set(), at(0)).await.unwrap();
    let change = NewSettings {
        host: Some(host(48002)),
        ..NewSettings::default()
    };
    store.add_settings(change, at(1)).await.unwrap();
    let found = async |kind, revision: Option<i64>| {
        let found = store.settings_of_revision(kind, revision.unwrap()).await;
        found.unwrap().unwrap()
    };
    let old = found(SettingsKind::Host, first.host).await;
    assert_eq!(old.host, Some(host(48001)));
    assert!(old.registry.is_none() && old.docker_server.is_none() && old.headers.is_none());
    let old = found(SettingsKind::Registry, first.registry).await;
    let password = old.registry.unwrap().password;
    assert_eq!(password.expose_secret(), "Harbor-password-1");
    let old = found(SettingsKind::DockerServer, first.docker_server).await;
    let tls = old.docker_server.unwrap().tls.unwrap();
    assert_eq!(
        tls.key_pem.expose_secret(),
        "-----BEGIN PRIVATE KEY-----client-key-1"
    );
    let old = found(SettingsKind::CallbackHeaders, first.headers).await;
    assert_eq!(old.headers.unwrap().expose(), &headers());
    for kind in [
        SettingsKind::Host,
        SettingsKind::Registry,
        SettingsKind::DockerServer,
        SettingsKind::CallbackHeaders,
    ] {
        assert!(
            store
                .settings_of_revision(kind, 99)
                .await
                .unwrap()
                .is_none()
        );
    }
}
