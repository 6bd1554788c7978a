//! Tasks and their steps.

use std::collections::HashSet;

use fastbuild_spec::{
    callback::part_login,
    failure::{Failure, ReasonCode},
    reference::ImageReference,
    state::{BuildState, Step, StepStatus},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _,
    sea_query::OnConflict,
};

use super::{
    Fate, Importer, TableReport, newest_of_each,
    source::{OldDatabase, OldRow, shown},
};
use crate::{
    StoreError,
    builds::{enqueue::TASK_IDS, to_json},
    db::time::micros,
    entity::{build, counter, step},
};

const TASKS: &str = "fb_task_table";
const STEPS: &str = "fb_progress_table";

pub(super) async fn import(
    importer: &mut Importer<'_>,
    source: &OldDatabase,
) -> Result<Vec<TableReport>, StoreError> {
    Ok(vec![
        import_tasks(importer, source).await?,
        import_steps(importer, source).await?,
    ])
}

async fn import_tasks(
    importer: &mut Importer<'_>,
    source: &OldDatabase,
) -> Result<TableReport, StoreError> {
    let rows = source.rows(TASKS).await?;
    let mut report = TableReport::new(TASKS, "builds", rows.is_some());
    let rows = rows.unwrap_or_default();
    let mut known = Known::read(importer).await?;
    let mut largest = None;
    for row in &rows {
        if importer.has(TASKS, row) {
            report.already += 1;
            continue;
        }
        let fate = match read_task(importer, row, &known) {
            Ok((model, remarks)) => {
                known.task_ids.insert(model.task_id);
                known.folders.insert(model.work_dir_name.clone());
                largest = largest.max(Some(model.task_id));
                insert(importer, model).await?;
                Ok(remarks)
            }
            Err(reason) => Err(reason),
        };
        importer.settle(&mut report, row, fate).await?;
    }
    if let Some(largest) = largest {
        reserve_numbers(importer, largest).await?;
    }
    Ok(report)
}

/// What no two builds may share.
struct Known {
    task_ids: HashSet<i64>,
    folders: HashSet<String>,
}

impl Known {
    async fn read(importer: &Importer<'_>) -> Result<Self, StoreError> {
        let rows: Vec<(i64, String)> = build::Entity::find()
            .select_only()
            .column(build::Column::Id)
            .column(build::Column::WorkDirName)
            .into_tuple()
            .all(importer.tx)
            .await?;
        let (task_ids, folders) = rows.into_iter().unzip();
        Ok(Self { task_ids, folders })
    }
}

/// A task in its last state.
struct Ended {
    task_id: i64,
    name: String,
    created: jiff::Timestamp,
    updated: jiff::Timestamp,
    state: BuildState,
    failure: Option<Failure>,
    base_image: String,
    target_image: String,
    target_name: String,
    target_tag: String,
    description: String,
    work_dir_name: String,
    callback_url: String,
    worker: Option<String>,
}

fn read_task(
    importer: &Importer<'_>,
    row: &OldRow,
    known: &Known,
) -> Result<(Ended, Vec<String>), String> {
    let mut remarks = Vec::new();
    let task_id = row.integer("task_id")?;
    if task_id <= 0 {
        return Err(format!("task_id is not positive: {task_id}"));
    }
    if known.task_ids.contains(&task_id) {
        return Err("a build with this task_id is there already".to_owned());
    }
    let (state, failure) = end_state(row.needed("state")?, &mut remarks)?;
    let (created, updated) = row.times(importer.zone, &mut remarks)?;
    let target = match row.text("target_image_name") {
        "" => row
            .needed("image_name")
            .map_err(|_| "target_image_name and image_name are empty".to_owned())?,
        target => target,
    };
    let (target_image, target_name, target_tag) = image_parts(target);
    let (base_image, _, _) = image_parts(row.text("base_image_name"));
    let folder = row.text("work_dir_name");
    let work_dir_name = if is_folder_name(folder) && !known.folders.contains(folder) {
        folder.to_owned()
    } else {
        let own = format!("legacy-{task_id}");
        remarks.push(
            "work_dir_name is empty, taken or no folder's name; it got one of its own".to_owned(),
        );
        own
    };
    let callback_url = match part_login(row.text("callback_url")) {
        Some(parted) if parted.login.is_none() => parted.url,
        Some(parted) => {
            // Nothing is sent for a build that has ended.
            remarks.push("callback_url held a login, which is left out".to_owned());
            parted.url
        }
        None => {
            remarks
                .push("callback_url is no address, may hold a login, and is left out".to_owned());
            String::new()
        }
    };
    let worker = row.text("pid");
    let task = Ended {
        task_id,
        name: row.text("name").to_owned(),
        created,
        updated,
        state,
        failure,
        base_image,
        target_image,
        target_name,
        target_tag,
        description: row.text("description").to_owned(),
        work_dir_name,
        callback_url,
        worker: (!worker.is_empty()).then(|| worker.to_owned()),
    };
    Ok((task, remarks))
}

/// The state a build is remembered in: its own where it had ended. A task that had not ended runs
/// nowhere any more.
fn end_state(
    text: &str,
    remarks: &mut Vec<String>,
) -> Result<(BuildState, Option<Failure>), String> {
    let state: BuildState = text
        .to_ascii_uppercase()
        .parse()
        .map_err(|_| format!("state is unknown: {}", shown(text)))?;
    if state == BuildState::PushSuccess {
        return Ok((state, None));
    }
    if state.is_terminal() {
        let failure = Failure::new(
            ReasonCode::Internal,
            "该任务在旧系统中失败，旧系统没有记录原因。",
            "This build failed in the old installation, which did not record why.",
        )
        .with_hint(
            "如仍需要该镜像，请重新提交。",
            "Submit the request again if the image is still wanted.",
        );
        return Ok((state, Some(failure)));
    }
    remarks.push(format!(
        "it had not ended ({state}) and is taken as BUILD_ABORT"
    ));
    let failure = Failure::new(
        ReasonCode::EngineLost,
        format!("该任务在旧系统中没有结束（{state}），迁移时标记为中止。"),
        format!("This build had not ended in the old installation ({state}) when it was moved."),
    )
    .with_hint(
        "如仍需要该镜像，请重新提交。",
        "Submit the request again if the image is still wanted.",
    );
    Ok((BuildState::BuildAbort, Some(failure)))
}

/// An image's whole name, its name and its tag. What is no image reference stays as it is: it is
/// only shown.
fn image_parts(text: &str) -> (String, String, String) {
    match text.parse::<ImageReference>() {
        Ok(image) => (image.to_string(), image.name(), image.tag().to_owned()),
        Err(_) => (text.to_owned(), text.to_owned(), String::new()),
    }
}

/// Whether a text can be the name of one folder: it becomes part of paths and addresses.
fn is_folder_name(text: &str) -> bool {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    !text.is_empty() && text.len() <= 200 && !text.starts_with('.') && text.chars().all(plain)
}

async fn insert(importer: &Importer<'_>, task: Ended) -> Result<(), StoreError> {
    let failure = task
        .failure
        .as_ref()
        .map(|failure| to_json("failure", failure))
        .transpose()?;
    build::Entity::insert(build::ActiveModel {
        id: Set(task.task_id),
        name: Set(task.name),
        created_at: Set(micros(task.created)),
        updated_at: Set(micros(task.updated)),
        state: Set(task.state.to_string()),
        base_image: Set(task.base_image),
        target_image: Set(task.target_image),
        target_name: Set(task.target_name),
        target_tag: Set(task.target_tag),
        active_target: Set(None),
        description: Set(task.description),
        work_dir_name: Set(task.work_dir_name),
        callback_url: Set(task.callback_url),
        attempt: Set(1),
        handed_back: Set(0),
        worker: Set(task.worker),
        cancel_requested: Set(false),
        last_event: Set(0),
        failure: Set(failure),
        started_at: Set(Some(micros(task.created))),
        finished_at: Set(Some(micros(task.updated))),
        ..Default::default()
    })
    .exec_without_returning(importer.tx)
    .await?;
    Ok(())
}

/// No new build may get the number of an old one, even where a clock was ahead.
async fn reserve_numbers(importer: &Importer<'_>, largest: i64) -> Result<(), StoreError> {
    let given = counter::Entity::find_by_id(TASK_IDS.to_owned())
        .one(importer.tx)
        .await?
        .map_or(0, |row| row.value);
    counter::Entity::insert(counter::ActiveModel {
        name: Set(TASK_IDS.to_owned()),
        value: Set(given.max(largest)),
    })
    .on_conflict(
        OnConflict::column(counter::Column::Name)
            .update_column(counter::Column::Value)
            .to_owned(),
    )
    .exec_without_returning(importer.tx)
    .await?;
    Ok(())
}

async fn import_steps(
    importer: &mut Importer<'_>,
    source: &OldDatabase,
) -> Result<TableReport, StoreError> {
    let rows = source.rows(STEPS).await?;
    let mut report = TableReport::new(STEPS, "steps of builds", rows.is_some());
    let rows = rows.unwrap_or_default();
    let key = |row: &OldRow| {
        Some((
            row.integer("task_id").ok()?,
            row.text("action").to_lowercase(),
        ))
    };
    let newest = newest_of_each(&rows, key);
    let task_ids = Known::read(importer).await?.task_ids;
    for row in &rows {
        if importer.has(STEPS, row) {
            report.already += 1;
            continue;
        }
        let fate = take_step(importer, row, &task_ids, &newest).await?;
        importer.settle(&mut report, row, fate).await?;
    }
    Ok(report)
}

async fn take_step(
    importer: &Importer<'_>,
    row: &OldRow,
    task_ids: &HashSet<i64>,
    newest: &HashSet<i64>,
) -> Result<Fate, StoreError> {
    let (model, remarks) = match read_step(importer, row, task_ids, newest) {
        Ok(read) => read,
        Err(reason) => return Ok(Err(reason)),
    };
    let (Set(task_id), Set(action)) = (&model.build_id, &model.action) else {
        return Ok(Err("it has no task_id".to_owned()));
    };
    let there = step::Entity::find()
        .filter(step::Column::BuildId.eq(*task_id))
        .filter(step::Column::Action.eq(action.as_str()))
        .one(importer.tx)
        .await?;
    if there.is_some() {
        return Ok(Err("the build has this step already".to_owned()));
    }
    step::Entity::insert(model)
        .exec_without_returning(importer.tx)
        .await?;
    Ok(Ok(remarks))
}

fn read_step(
    importer: &Importer<'_>,
    row: &OldRow,
    task_ids: &HashSet<i64>,
    newest: &HashSet<i64>,
) -> Result<(step::ActiveModel, Vec<String>), String> {
    let mut remarks = Vec::new();
    let task_id = row.integer("task_id")?;
    if !task_ids.contains(&task_id) {
        return Err("its task was not taken".to_owned());
    }
    let text = row.needed("action")?;
    let action: Step = text
        .to_lowercase()
        .parse()
        .map_err(|_| format!("action is unknown: {}", shown(text)))?;
    if !newest.contains(&row.id()) {
        return Err("a newer row tells of the same step".to_owned());
    }
    let status = match row.needed("status")?.to_lowercase().as_str() {
        "success" => StepStatus::Success,
        "fail" | "failed" => StepStatus::Fail,
        "running" => {
            remarks.push("it was still running and is taken as failed".to_owned());
            StepStatus::Fail
        }
        other => return Err(format!("status is unknown: {}", shown(other))),
    };
    let (created, updated) = row.times(importer.zone, &mut remarks)?;
    let mut moment = |column: &str, otherwise| {
        row.time(column, importer.zone).unwrap_or_else(|problem| {
            remarks.push(format!("{problem}; the row's own time stands for it"));
            otherwise
        })
    };
    let (started, ended) = (moment("start_time", created), moment("end_time", updated));
    // Clocks can go back; a duration cannot.
    let between = ended.duration_since(started).as_millis().max(0);
    let duration = row
        .integer("duration")
        .ok()
        .filter(|duration| *duration >= 0)
        .unwrap_or_else(|| i64::try_from(between).unwrap_or(i64::MAX));
    let model = step::ActiveModel {
        build_id: Set(task_id),
        attempt: Set(1),
        action: Set(action.to_string()),
        status: Set(status.to_string()),
        started_at: Set(micros(started)),
        ended_at: Set(Some(micros(ended))),
        duration_ms: Set(Some(duration)),
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
    fn a_folders_name_leads_nowhere_else() {
        assert!(is_folder_name("2026-11-23-09-07-44-828675"));
        for bad in ["", ".", "..", "../etc", "a/b", "/etc", "a b", ".hidden"] {
            assert!(!is_folder_name(bad), "{bad}");
        }
    }

    #[test]
    fn only_states_that_end_a_build_are_kept() {
        let mut remarks = Vec::new();
        let state = |text: &str, remarks: &mut Vec<String>| {
            end_state(text, remarks).map(|(state, failure)| (state, failure.is_some()))
        };
        let mut of = |text| state(text, &mut remarks);
        assert_eq!(of("PUSH_SUCCESS"), Ok((BuildState::PushSuccess, false)));
        assert_eq!(of("push_failed"), Ok((BuildState::PushFailed, true)));
        assert_eq!(of("BUILD_ABORT"), Ok((BuildState::BuildAbort, true)));
        assert_eq!(of("STARTED"), Ok((BuildState::BuildAbort, true)));
        assert_eq!(of("QUEUED"), Ok((BuildState::BuildAbort, true)));
        assert_eq!(
            of("DREAMING"),
            Err("state is unknown: \"DREAMING\"".to_owned())
        );
        assert_eq!(remarks.len(), 2);
    }
}
