//! Images.

use fastbuild_builder::PulledImage;
use fastbuild_store::{self as store, ImageKind};
use serde::Serialize;
use utoipa::ToSchema;

/// An image on the list.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
pub(crate) struct Image {
    /// Its number.
    #[schema(example = 7)]
    id: i64,
    /// Its name, with its tag.
    #[schema(example = "registry.example:5000/team/first:1.0")]
    image: String,
    /// `base` where somebody registered it, `built` where a build made it.
    #[schema(example = "built")]
    kind: &'static str,
    /// The build that made it.
    build: Option<i64>,
    /// The engine's id of it; empty for a base image that was not used yet.
    image_id: String,
    /// The digest the registry knows it by.
    digest: Option<String>,
    /// Bytes it takes on the engine.
    size: u64,
    /// Its description.
    description: String,
    /// Whether it takes SSH logins.
    ssh: bool,
    /// Whether it serves JupyterLab.
    jupyter_lab: bool,
    /// When it was first made or registered (RFC 3339).
    created_at: String,
    /// When it was last made or registered.
    updated_at: String,
}

impl From<store::Image> for Image {
    fn from(image: store::Image) -> Self {
        let (kind, build) = match image.kind {
            ImageKind::Base => ("base", None),
            ImageKind::Customized => ("built", Some(image.build_id)),
        };
        Self {
            id: image.id,
            image: format!("{}:{}", image.name, image.tag),
            kind,
            build,
            image_id: image.image_id,
            digest: image.digest,
            size: image.size,
            description: image.description,
            ssh: image.ssh,
            jupyter_lab: image.jupyter_lab,
            created_at: image.created_at.to_string(),
            updated_at: image.updated_at.to_string(),
        }
    }
}

/// A page of images.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImagePage {
    /// The images, newest first.
    pub(crate) images: Vec<Image>,
    /// `cursor` for the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// An image that is on the engine now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImagePulled {
    /// Its name, with its tag.
    image: String,
    /// The engine's id of it.
    image_id: String,
    /// Whether the engine had this very image before.
    was_present: bool,
}

impl From<PulledImage> for ImagePulled {
    fn from(pulled: PulledImage) -> Self {
        Self {
            image: pulled.image.to_string(),
            image_id: pulled.image_id,
            was_present: pulled.was_present,
        }
    }
}

/// An image that was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageRemoved {
    /// Its name, with its tag.
    pub(crate) image: String,
    /// What went and what stays, for a person.
    pub(crate) detail: String,
}
