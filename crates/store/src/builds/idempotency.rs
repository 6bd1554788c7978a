//! Requests that may be repeated: a caller that did not hear the answer asks again under the same
//! key, and gets the answer it missed instead of a second build.

use jiff::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    sea_query::Expr,
};

use secrecy::ExposeSecret as _;

use crate::{
    BuildId, Store, StoreError,
    db::{seal::Seal, time::micros},
    entity::idempotency_key,
};

/// The key of a request, and a digest of what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The caller's key.
    pub name: String,
    /// A digest of the request. Sealed in the database: a request may hold a password, and a
    /// digest lets one be guessed.
    pub request_hash: Vec<u8>,
}

/// What became of a request that came under a key before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The digest of that request.
    pub request_hash: Vec<u8>,
    /// The build it became.
    pub build_id: BuildId,
    /// What was answered; `None` when the service ended before it could.
    pub answer: Option<String>,
}

fn purpose(name: &str) -> String {
    format!("idempotency_keys.request_hash/{name}")
}

/// Writes the key in the transaction that queues its build.
pub(crate) async fn insert(
    tx: &DatabaseTransaction,
    seal: &Seal,
    build_id: BuildId,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    idempotency_key::Entity::insert(idempotency_key::ActiveModel {
        name: Set(key.name.clone()),
        request_hash: Set(seal.seal(&purpose(&key.name), &key.request_hash)?),
        build_id: Set(build_id),
        answer: Set(None),
        created_at: Set(micros(now)),
    })
    .exec_without_returning(tx)
    .await?;
    Ok(())
}

impl Store {
    /// What became of the request that came under this key, if one did.
    pub async fn stored_response(&self, name: &str) -> Result<Option<StoredResponse>, StoreError> {
        idempotency_key::Entity::find_by_id(name.to_owned())
            .one(self.reader())
            .await?
            .map(|row| {
                Ok(StoredResponse {
                    request_hash: self
                        .seal
                        .open(&purpose(name), &row.request_hash)?
                        .expose_secret()
                        .to_vec(),
                    build_id: row.build_id,
                    answer: row.answer,
                })
            })
            .transpose()
    }

    /// Remembers what the request under this key was answered.
    pub async fn store_response(&self, name: &str, answer: &str) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        idempotency_key::Entity::update_many()
            .col_expr(idempotency_key::Column::Answer, Expr::value(answer))
            .filter(idempotency_key::Column::Name.eq(name))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}
