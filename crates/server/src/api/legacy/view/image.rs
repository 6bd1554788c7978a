//! Images and their times on engines as rows of the old protocol.

use fastbuild_builder::clock::local_time;
use fastbuild_store::{Image, ImageLifetime};
use serde::Serialize;
use utoipa::ToSchema;

use super::PageInfo;

/// An image that people choose as a base, or that a build made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageRow {
    /// The row's number.
    primary_id: i64,
    /// The build that made it; 0 for a base image.
    #[schema(example = 1_795_426_218_678_i64)]
    task_id: i64,
    /// Local time, ISO 8601 with microseconds and without a zone.
    #[schema(example = "2026-11-23T09:35:34.308539")]
    create_time: String,
    /// When the row last changed.
    update_time: String,
    /// Its name with the registry, without the tag.
    #[schema(example = "registry.example:5000/base/ubuntu")]
    name: String,
    /// Its tag.
    #[schema(example = "20.04")]
    tag: String,
    /// Names the row: the engine's id of the image, 64 hexadecimal digits. A further name of the same image has
    /// `-` and its `primary_id` behind it, and so has an image that the engine never had.
    #[schema(example = "e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d")]
    id: String,
    /// The engine's id of the image alone, 64 hexadecimal digits; empty until the engine had it.
    #[schema(example = "e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d")]
    image_id: String,
    /// `Base`: registered by an operator; `Customized`: made by a build.
    #[serde(rename = "type")]
    #[schema(example = "Customized")]
    kind: String,
    /// Its description.
    description: String,
    /// Its size on the engine in units of 10^9 bytes; empty until the engine had it.
    #[schema(example = "0.4G")]
    size: String,
    /// How a container of it can be used: `WebSSH`, `JupyterLab`, both or neither.
    #[schema(example = "WebSSH, JupyterLab")]
    interaction: String,
}

impl ImageRow {
    /// An image's row. `oldest` is the oldest row of the same engine's id.
    pub(crate) fn new(image: Image, oldest: Option<i64>) -> Self {
        let services = [(image.ssh, "WebSSH"), (image.jupyter_lab, "JupyterLab")];
        let interaction: Vec<&str> = services
            .into_iter()
            .filter_map(|(has, name)| has.then_some(name))
            .collect();
        let id = row_id(&image, oldest);
        Self {
            id,
            primary_id: image.id,
            task_id: image.build_id,
            create_time: local_time(image.created_at),
            update_time: local_time(image.updated_at),
            name: image.name,
            tag: image.tag,
            size: if image.image_id.is_empty() {
                String::new()
            } else {
                gigabytes(image.size)
            },
            image_id: hexadecimal(&image.image_id).to_owned(),
            kind: image.kind.to_string(),
            description: image.description,
            interaction: interaction.join(", "),
        }
    }
}

/// An engine's id without the name of its digest.
fn hexadecimal(image_id: &str) -> &str {
    image_id.trim_start_matches("sha256:")
}

/// A name that no other row has: callers key their rows by it. The oldest row of an image keeps the bare id.
fn row_id(image: &Image, oldest: Option<i64>) -> String {
    let id = hexadecimal(&image.image_id);
    if !id.is_empty() && oldest.is_none_or(|oldest| oldest == image.id) {
        id.to_owned()
    } else {
        format!("{id}-{}", image.id)
    }
}

/// Units of 10^9 bytes with at most two decimals and no zeros at the end.
fn gigabytes(bytes: u64) -> String {
    let hundredths = bytes.saturating_add(5_000_000) / 10_000_000;
    let (whole, part) = (hundredths / 100, hundredths % 100);
    match (part, part % 10) {
        (0, _) => format!("{whole}G"),
        (_, 0) => format!("{whole}.{}G", part / 10),
        _ => format!("{whole}.{part:02}G"),
    }
}

/// A page of images.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageList {
    /// Which part of the list it is.
    pub(crate) page: PageInfo,
    /// The images, newest first.
    pub(crate) image_list: Vec<ImageRow>,
}

/// An image's time on an engine.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageLifeRow {
    /// The row's number.
    primary_id: i64,
    /// The image, with its tag.
    image_name: String,
    /// `pull` or `build`: how it came to the engine.
    #[schema(example = "build")]
    image_type: String,
    /// When it came: local time, ISO 8601 with microseconds and without a zone.
    generator_time: String,
    /// When it was removed; null while it is there.
    delete_time: Option<String>,
    /// When the row was made.
    create_time: String,
    /// When it last changed: at each use, and at the removal.
    update_time: String,
}

impl From<ImageLifetime> for ImageLifeRow {
    fn from(life: ImageLifetime) -> Self {
        Self {
            primary_id: life.id,
            image_name: life.image_name,
            image_type: life.kind.to_string(),
            generator_time: local_time(life.generated_at),
            delete_time: life.deleted_at.map(local_time),
            create_time: local_time(life.created_at),
            update_time: local_time(life.updated_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_decimals_and_no_zeros_at_the_end() {
        let shown: Vec<String> = [
            0,
            4_000_000,
            6_000_000,
            400_000_000,
            404_999_999,
            484_000_000,
            1_000_000_000,
            1_430_000_000,
            49_999_999_999,
        ]
        .into_iter()
        .map(gigabytes)
        .collect();
        assert_eq!(shown.join(" "), "0G 0G 0.01G 0.4G 0.4G 0.48G 1G 1.43G 50G");
    }
}
