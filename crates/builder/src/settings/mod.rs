//! Configuring a site while the service runs: what is new is proved, then stored. Nothing is
//! parsed here; the server hands over typed settings.

mod rollback;

use fastbuild_spec::{
    failure::Failure,
    settings::{
        CallbackHeaders, DockerServerSettings, HostSettings, RegistrySettings, SiteSettings,
        check_headers,
    },
};
use fastbuild_store::NewSettings;

use crate::{
    common::Common,
    engines::{Engines, context::prove},
};

/// The settings of the site as operators change them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SettingsAdmin {
    common: Common,
    engines: Engines,
}

impl SettingsAdmin {
    pub(crate) fn new(common: Common, engines: Engines) -> Self {
        Self { common, engines }
    }

    /// Proves and stores the whole site: all three rows or none.
    ///
    /// # Errors
    /// What the engine or the registry answered.
    pub async fn configure(&self, site: SiteSettings) -> Result<(), Failure> {
        prove(&site.docker_server, Some(&site.registry)).await?;
        self.add(NewSettings {
            host: Some(site.host),
            registry: Some(site.registry),
            docker_server: Some(site.docker_server),
            headers: None,
        })
        .await?;
        self.engines.changed();
        Ok(())
    }

    /// Stores this service's own address.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn update_host(&self, host: HostSettings) -> Result<(), Failure> {
        self.add(NewSettings {
            host: Some(host),
            ..NewSettings::default()
        })
        .await
    }

    /// Proves and stores the registry. The proof needs an engine; without one yet the
    /// registry is stored unproven, as building stays refused until there is one.
    ///
    /// # Errors
    /// What the engine or the registry answered.
    pub async fn update_registry(&self, registry: RegistrySettings) -> Result<(), Failure> {
        let settings = self.common.store.settings().await?;
        if let Some(server) = &settings.docker_server {
            prove(server, Some(&registry)).await?;
        }
        self.add(NewSettings {
            registry: Some(registry),
            ..NewSettings::default()
        })
        .await?;
        self.engines.changed();
        Ok(())
    }

    /// Proves and stores the engine; it must be able to log in to the registry in force,
    /// if there is one.
    ///
    /// # Errors
    /// What the engine or the registry answered.
    pub async fn update_docker_server(&self, server: DockerServerSettings) -> Result<(), Failure> {
        let settings = self.common.store.settings().await?;
        prove(&server, settings.registry.as_ref()).await?;
        self.add(NewSettings {
            docker_server: Some(server),
            ..NewSettings::default()
        })
        .await?;
        self.engines.changed();
        Ok(())
    }

    /// Stores the headers of callbacks.
    ///
    /// # Errors
    /// `SpecInvalid` naming every header that HTTP does not allow (RFC 9110, section 5).
    pub async fn update_headers(&self, headers: CallbackHeaders) -> Result<(), Failure> {
        check_headers(&headers)?;
        self.add(NewSettings {
            headers: Some(headers.into()),
            ..NewSettings::default()
        })
        .await
    }

    pub(crate) async fn add(&self, settings: NewSettings) -> Result<(), Failure> {
        self.common
            .store
            .add_settings(settings, self.common.now())
            .await?;
        Ok(())
    }
}
