//! The secret callbacks are signed with, as it was set while the service ran. Rows are only ever
//! added, the newest is in force; the secret goes in and comes out for signing alone.

use fastbuild_spec::callback::SigningSecret;
use jiff::Timestamp;
use sea_orm::{ActiveValue::Set, EntityTrait as _, QueryOrder as _};
use secrecy::ExposeSecret as _;

use crate::{
    Store, StoreError,
    db::time::{micros, timestamp},
    entity::setting_callback_secret,
};

/// Where a signing secret belongs, for the seal.
const PURPOSE: &str = "setting_callback_secrets.secret";

/// The newest revision of the signing secret.
#[derive(Debug, Clone)]
pub struct CallbackSecretRevision {
    /// The row's number.
    pub id: i64,
    /// The secret; `None` turns signing off.
    pub secret: Option<SigningSecret>,
    /// When it came into force.
    pub created_at: Timestamp,
    /// When the row last changed: never after that.
    pub updated_at: Timestamp,
}

impl Store {
    /// Puts a signing secret in force; `None` turns signing off.
    pub async fn add_callback_secret(
        &self,
        secret: Option<&SigningSecret>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sealed = secret
            .map(|secret| self.seal.seal(PURPOSE, secret.expose().as_bytes()))
            .transpose()?;
        let tx = self.begin().await?;
        setting_callback_secret::Entity::insert(setting_callback_secret::ActiveModel {
            secret: Set(sealed),
            created_at: Set(micros(now)),
            updated_at: Set(micros(now)),
            ..Default::default()
        })
        .exec_without_returning(&tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The signing secret that was set last; `None` when none ever was.
    pub async fn callback_secret(&self) -> Result<Option<CallbackSecretRevision>, StoreError> {
        let row = setting_callback_secret::Entity::find()
            .order_by_desc(setting_callback_secret::Column::Id)
            .one(self.reader())
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let secret = row
            .secret
            .map(|sealed| {
                let plain = self.seal.open(PURPOSE, &sealed)?;
                std::str::from_utf8(plain.expose_secret())
                    .ok()
                    .and_then(|text| SigningSecret::parse(text).ok())
                    .ok_or_else(|| {
                        StoreError::corrupt("signing secret", "it is not in the stored form")
                    })
            })
            .transpose()?;
        Ok(Some(CallbackSecretRevision {
            id: row.id,
            secret,
            created_at: timestamp(row.created_at)?,
            updated_at: timestamp(row.updated_at)?,
        }))
    }
}
