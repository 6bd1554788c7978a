//! Answers of version 1: rows of the store in the API's shapes. Pure: each is made from values that
//! were read already.

mod build;
mod callback;
mod engine;
mod image;
mod profile;
mod settings;

pub(super) use build::{Build, BuildPage, CancelResult, RenderedPlan, path as build_path};
pub(super) use callback::{
    Callback, CallbackDetail, CallbackPage, RedeliveredCallbacks, TestedCallback,
};
pub(super) use engine::{
    Engine, EngineHistory, EngineList, EngineProof, EngineRevision, path as engine_path,
};
pub(super) use image::{Image, ImagePage, ImagePulled, ImageRemoved};
pub(super) use profile::ProfiledImage;
pub(super) use settings::{CurrentSettings, SettingsHistory, SettingsRevision};
