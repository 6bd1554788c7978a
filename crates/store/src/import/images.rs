//! Images and their lives on the old engine.

use std::collections::HashSet;

use fastbuild_spec::{reference::ImageReference, settings::host_and_port};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};

use super::{
    Fate, Importer, TableReport, newest_of_each,
    source::{OldDatabase, OldRow, shown},
};
use crate::{
    ImageKind, LifetimeKind, StoreError,
    db::time::micros,
    entity::{image, image_lifetime, setting_docker_server},
};

const IMAGES: &str = "fb_image_table";
const LIVES: &str = "fb_image_life_table";

pub(super) async fn import(
    importer: &mut Importer<'_>,
    source: &OldDatabase,
) -> Result<Vec<TableReport>, StoreError> {
    Ok(vec![
        import_images(importer, source).await?,
        import_lives(importer, source).await?,
    ])
}

async fn import_images(
    importer: &mut Importer<'_>,
    source: &OldDatabase,
) -> Result<TableReport, StoreError> {
    let rows = source.rows(IMAGES).await?;
    let mut report = TableReport::new(IMAGES, "images", rows.is_some());
    let rows = rows.unwrap_or_default();
    let newest = newest_of_each(&rows, |row| {
        Some(["name", "tag", "type"].map(|column| row.text(column).to_lowercase()))
    });
    for row in &rows {
        if importer.has(IMAGES, row) {
            report.already += 1;
            continue;
        }
        let fate = take_image(importer, row, &newest).await?;
        importer.settle(&mut report, row, fate).await?;
    }
    Ok(report)
}

async fn take_image(
    importer: &Importer<'_>,
    row: &OldRow,
    newest: &HashSet<i64>,
) -> Result<Fate, StoreError> {
    let (reference, kind, model, remarks) = match read_image(importer, row, newest) {
        Ok(read) => read,
        Err(reason) => return Ok(Err(reason)),
    };
    let there = image::Entity::find()
        .filter(image::Column::Name.eq(reference.name()))
        .filter(image::Column::Tag.eq(reference.tag()))
        .filter(image::Column::Kind.eq(kind.to_string()))
        .one(importer.tx)
        .await?;
    if there.is_some() {
        return Ok(Err(
            "an image of this name, tag and type is there already".to_owned()
        ));
    }
    image::Entity::insert(model)
        .exec_without_returning(importer.tx)
        .await?;
    Ok(Ok(remarks))
}

fn read_image(
    importer: &Importer<'_>,
    row: &OldRow,
    newest: &HashSet<i64>,
) -> Result<(ImageReference, ImageKind, image::ActiveModel, Vec<String>), String> {
    let mut remarks = Vec::new();
    let name = row.needed("name")?;
    let whole = match row.text("tag") {
        "" => name.to_owned(),
        tag => format!("{name}:{tag}"),
    };
    let reference: ImageReference = whole
        .parse()
        .map_err(|_| format!("name and tag are no image's: {}", shown(&whole)))?;
    let kind = match row.needed("type")?.to_lowercase().as_str() {
        "base" => ImageKind::Base,
        "customized" => ImageKind::Customized,
        other => return Err(format!("type is unknown: {}", shown(other))),
    };
    if !newest.contains(&row.id()) {
        return Err("a newer row has the same name, tag and type".to_owned());
    }
    let (created, updated) = row.times(importer.zone, &mut remarks)?;
    let size = size(row.text("size")).unwrap_or_else(|| {
        remarks.push(format!("size is not known: {}", shown(row.text("size"))));
        0
    });
    let interaction = row.text("interaction").to_lowercase();
    let model = image::ActiveModel {
        build_id: Set(row.integer("task_id").unwrap_or_default()),
        name: Set(reference.name()),
        tag: Set(reference.tag().to_owned()),
        kind: Set(kind.to_string()),
        image_id: Set(image_id(row.text("id"))),
        size: Set(size),
        description: Set(row.text("description").to_owned()),
        ssh: Set(interaction.contains("webssh")),
        jupyter_lab: Set(interaction.contains("jupyterlab")),
        created_at: Set(micros(created)),
        updated_at: Set(micros(updated)),
        ..Default::default()
    };
    Ok((reference, kind, model, remarks))
}

/// An engine's id of an image; the old tables leave out what algorithm it is of.
pub(super) fn image_id(text: &str) -> String {
    let bare = text.len() == 64 && text.chars().all(|character| character.is_ascii_hexdigit());
    if bare {
        format!("sha256:{text}")
    } else {
        text.to_owned()
    }
}

/// Bytes, from text such as `1.43G`: powers of ten, as the old service counted.
fn size(text: &str) -> Option<i64> {
    let text = text.trim_end_matches(['B', 'b']);
    let unit = text.chars().last()?;
    let factor = match unit.to_ascii_uppercase() {
        'G' => 1e9,
        'M' => 1e6,
        'K' => 1e3,
        '0'..='9' => 1.0,
        _ => return None,
    };
    let number: f64 = text
        .trim_end_matches(char::is_alphabetic)
        .trim()
        .parse()
        .ok()?;
    let bytes = (number * factor).round();
    // Beyond it nothing is an image, and the number would not fit.
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (0.0..1e18).contains(&bytes).then_some(bytes as i64)
}

async fn import_lives(
    importer: &mut Importer<'_>,
    source: &OldDatabase,
) -> Result<TableReport, StoreError> {
    let rows = source.rows(LIVES).await?;
    let mut report = TableReport::new(LIVES, "lives of images", rows.is_some());
    // The old table names no engine: it had one.
    let engine = setting_docker_server::Entity::find()
        .order_by_desc(setting_docker_server::Column::Id)
        .one(importer.tx)
        .await?
        .map(|row| host_and_port(&row.host, row.port))
        .unwrap_or_default();
    for row in &rows.unwrap_or_default() {
        if importer.has(LIVES, row) {
            report.already += 1;
            continue;
        }
        let fate = match read_life(importer, row, &engine) {
            Ok((model, remarks)) => {
                image_lifetime::Entity::insert(model)
                    .exec_without_returning(importer.tx)
                    .await?;
                Ok(remarks)
            }
            Err(reason) => Err(reason),
        };
        importer.settle(&mut report, row, fate).await?;
    }
    Ok(report)
}

fn read_life(
    importer: &Importer<'_>,
    row: &OldRow,
    engine: &str,
) -> Result<(image_lifetime::ActiveModel, Vec<String>), String> {
    let mut remarks = Vec::new();
    let name = row.needed("image_name")?;
    let image: ImageReference = name
        .parse()
        .map_err(|_| format!("image_name is no image's: {}", shown(name)))?;
    let text = row.needed("image_type")?;
    let kind: LifetimeKind = text
        .to_lowercase()
        .parse()
        .map_err(|_| format!("image_type is unknown: {}", shown(text)))?;
    let (created, updated) = row.times(importer.zone, &mut remarks)?;
    let generated = row
        .time("generator_time", importer.zone)
        .unwrap_or_else(|problem| {
            remarks.push(format!("{problem}; create_time stands for it"));
            created
        });
    let deleted = match row.text("delete_time") {
        "" => None,
        _ => Some(row.time("delete_time", importer.zone)?),
    };
    let model = image_lifetime::ActiveModel {
        image_name: Set(image.to_string()),
        image_type: Set(kind.to_string()),
        engine: Set(engine.to_owned()),
        generated_at: Set(micros(generated)),
        // The old service did not note uses. Counted from now, so that the first cleaning after
        // the move does not take what was in use until yesterday.
        last_used_at: Set(micros(deleted.unwrap_or(importer.now))),
        deleted_at: Set(deleted.map(micros)),
        created_at: Set(micros(created)),
        updated_at: Set(micros(updated)),
        ..Default::default()
    };
    Ok((model, remarks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_old_service_wrote_them() {
        assert_eq!(size("0.4G"), Some(400_000_000));
        assert_eq!(size("1.43G"), Some(1_430_000_000));
        assert_eq!(size("512MB"), Some(512_000_000));
        assert_eq!(size("17"), Some(17));
        for bad in ["", "G", "big", "-1G", "NaNG", "1e30G"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_bare_id_gets_its_algorithm() {
        let bare = "e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d";
        assert_eq!(image_id(bare), format!("sha256:{bare}"));
        assert_eq!(image_id("sha256:1"), "sha256:1");
    }
}
