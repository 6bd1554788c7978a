//! What is remembered: settings revisions, builds and their events, deliveries, profiles and
//! images. Every verb is one transaction.
//!
//! The build table is the queue. A worker takes a build with [`Store::claim`] and gets an
//! [`Attempt`]; every later write says which attempt it speaks for, and a write of an attempt
//! that lost its build is refused with [`FencedError::Lost`]. A build's end state, its image
//! row and its callback delivery are written in one transaction ([`Store::finish`]).
//!
//! Secrets are sealed ([`Seal`]) before they reach the database. Time is an argument.
//!
//! The database is SQLite, or PostgreSQL where several processes share it. Queries go through
//! sea-orm's builder; what the two do not say alike is in one room, `dialect.rs`.

mod builds;
mod callback_secrets;
mod database;
mod deliveries;
mod delivery_claims;
mod dialect;
mod engines;
mod entity;
mod error;
mod event_archives;
mod events;
mod headers;
mod image_life;
mod images;
mod import;
mod leases;
mod link;
mod migration;
mod plans;
mod positions;
mod profiles;
mod redelivery;
mod replicas;
mod request_keys;
mod retention;
mod seal;
mod setting_kinds;
mod settings;
mod steps;
mod tally;
mod time;
mod wake;

pub use builds::{
    Attempt, Build, MAX_ATTEMPTS, SettingsRevisions, TaskId,
    claim::{ClaimedBuild, Heartbeat},
    enqueue::NewBuild,
    finish::{CancelOutcome, DeliveryMaker, End, FinishedImage, PutBack, Reconciled},
    place::{QueuePlace, UsualDuration},
    read::{BuildFilter, DeleteOutcome, Page},
    restart::RestartOutcome,
    search::BuildSearch,
};
pub use callback_secrets::CallbackSecretRevision;
pub use database::Store;
pub use deliveries::{
    Delivery, DeliveryStatus, DeliveryTry, NewDelivery, OutgoingDelivery, Try, TryOutcome,
};
pub use delivery_claims::{ClaimRoom, ClaimedDelivery};
pub use engines::{
    CheckedHealth, DEFAULT_ENGINE, DiskUse, EngineChange, EngineHealth, EngineLabels,
    EngineRevision, EngineSettings, HealthState, Leftover, NamedEngine, NewEngine, RemoveOutcome,
};
pub use error::{EnqueueError, FencedError, StoreError};
pub use events::{EventHead, LogChunk, StoredEvent};
pub use headers::{SecretHeaders, mask_headers};
pub use image_life::{ImageLife, ImageSeen, LifeKind};
pub use images::{Image, ImageFilter, ImageKind, NewBaseImage};
pub use import::{ImportReport, OldInstallation, TableReport};
pub use plans::MadeByPlan;
pub use profiles::StoredProfile;
pub use redelivery::{CallbackOutcome, DeliveryFilter, DeliveryHistory};
pub use request_keys::{KeptAnswer, RequestKey};
pub use retention::UncleanedBuild;
pub use seal::Seal;
pub use setting_kinds::SettingsKind;
pub use settings::{
    DockerServerRevision, HeadersRevision, HostRevision, NewSettings, RegistryRevision,
};
pub use steps::StepRow;
pub use tally::Tally;
