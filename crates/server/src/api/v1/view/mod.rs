//! Answers of version 1: rows of the store in the API's shapes. Pure: each is made from values that
//! were read already.

mod build;
mod callback;
mod engine;
mod image;
mod profile;
mod settings;

pub(super) use build::{BuildList, BuildShown, Cancelled, PlanShown, path as build_path};
pub(super) use callback::{CallbackPiece, CallbackShown, CallbackWithTries, SentAgain};
pub(super) use engine::{
    EngineHistory, EngineList, EngineProven, EngineShown, RevisionShown, path as engine_path,
};
pub(super) use image::{ImagePiece, ImagePulled, ImageRemoved, ImageShown};
pub(super) use profile::ProfiledImage;
pub(super) use settings::{Revision, RevisionList, SettingsInForce};
