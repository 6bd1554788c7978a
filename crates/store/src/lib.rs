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
mod callbacks;
mod cluster;
mod db;
mod engines;
mod entity;
mod error;
mod images;
mod import;
mod migration;
mod settings;

pub use builds::{
    AttemptId, Build, BuildId, MAX_ATTEMPTS, SettingsRevisions,
    claim::{ClaimedBuild, Heartbeat},
    counts::QueueCounts,
    enqueue::NewBuild,
    events::{EventHead, LogChunk, StoredEvent},
    finish::{AttemptOutcome, CancelOutcome, DeliveryMaker, Finished, FinishedImage, Reconciled},
    idempotency::{IdempotencyKey, StoredResponse},
    plans::ImageProvenance,
    position::{QueuePosition, TypicalDuration},
    read::{BuildFilter, DeleteOutcome, Page},
    retention::UncleanedBuild,
    retry::RetryOutcome,
    search::BuildSearch,
    steps::StepRow,
};
pub use callbacks::{
    Delivery, DeliveryAttempt, DeliveryOutcome, DeliveryStatus, NewDelivery, NewDeliveryAttempt,
    OutgoingDelivery,
    claim::{ClaimRoom, ClaimedDelivery},
    failing::FailingReceiver,
    headers::{SecretHeaders, mask_headers},
    redeliver::{CallbackOutcome, DeliveryFilter, DeliveryHistory},
    secret::CallbackSecretRevision,
};
pub use db::{
    Store,
    backup::{self, BackupContents},
    copy::{CopiedTable, copy_to_postgres},
    seal::Seal,
};
pub use engines::{
    CheckedHealth, DEFAULT_ENGINE, DiskUse, EngineChange, EngineHealth, EngineLabels,
    EngineRevision, EngineSettings, HealthState, NamedEngine, NewEngine, OrphanedImage,
    RemoveOutcome,
};
pub use error::{EnqueueError, FencedError, StoreError};
pub use images::{
    Image, ImageFilter, ImageKind, NewBaseImage,
    lifetime::{ImageLifetime, ImageSeen, LifetimeKind},
    profiles::StoredProfile,
};
pub use import::{ImportReport, OldInstallation, TableReport};
pub use settings::{
    DockerServerRevision, HeadersRevision, HostRevision, NewSettings, RegistryRevision,
    history::SettingsKind,
};
