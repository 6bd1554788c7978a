//! Callbacks of the past. They are history: none of them is sent.

use std::collections::HashSet;

use fastbuild_spec::settings::CallbackHeaders;
use sea_orm::{ActiveValue::Set, EntityTrait as _, QuerySelect as _};
use serde_json::{Map, Value};

use super::{
    Importer, TableReport,
    source::{OldDatabase, OldRow, shown},
};
use crate::{
    DeliveryStatus, SecretHeaders, StoreError,
    deliveries::purpose,
    entity::{build, delivery},
    time::micros,
};

const TABLE: &str = "fb_callback_table";

pub(super) async fn import(
    importer: &mut Importer<'_>,
    source: &OldDatabase,
) -> Result<TableReport, StoreError> {
    let rows = source.rows(TABLE).await?;
    let mut report = TableReport::new(TABLE, "callback history", rows.is_some());
    let task_ids: HashSet<i64> = build::Entity::find()
        .select_only()
        .column(build::Column::TaskId)
        .into_tuple::<i64>()
        .all(importer.tx)
        .await?
        .into_iter()
        .collect();
    for row in &rows.unwrap_or_default() {
        if importer.has(TABLE, row) {
            report.already += 1;
            continue;
        }
        let fate = match read(importer, row) {
            Ok((callback, remarks)) => {
                insert(importer, callback, &task_ids).await?;
                Ok(remarks)
            }
            Err(reason) => Err(reason),
        };
        importer.settle(&mut report, row, fate).await?;
    }
    Ok(report)
}

struct Callback {
    url: String,
    headers: CallbackHeaders,
    body: Value,
    result: String,
    created: jiff::Timestamp,
    updated: jiff::Timestamp,
}

fn read(importer: &Importer<'_>, row: &OldRow) -> Result<(Callback, Vec<String>), String> {
    let mut remarks = Vec::new();
    let url = row.needed("url")?.to_owned();
    let body = object(row.needed("state")?)
        .ok_or_else(|| format!("state is no JSON object: {}", shown(row.text("state"))))?;
    let headers = match row.text("headers") {
        "" => CallbackHeaders::new(),
        // Not repeated in the remark: a header may be a credential.
        text => {
            let object = object(text);
            if object.is_none() {
                remarks.push("headers are no JSON object and are left out".to_owned());
            }
            object.map(headers).unwrap_or_default()
        }
    };
    let (created, updated) = row.times(importer.zone, &mut remarks)?;
    let callback = Callback {
        url,
        headers,
        body: Value::Object(body),
        result: row.text("result").to_owned(),
        created,
        updated,
    };
    Ok((callback, remarks))
}

/// A JSON object, also as Python prints one.
fn object(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text)
        .or_else(|_| {
            let quoted = text
                .replace('\'', "\"")
                .replace(": None", ": null")
                .replace(": True", ": true")
                .replace(": False", ": false");
            serde_json::from_str(&quoted)
        })
        .ok()
}

fn headers(object: Map<String, Value>) -> CallbackHeaders {
    object
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect()
}

/// Whether the receiver took it, as far as the recorded answer tells: a status 2xx, an envelope
/// with code 0 or 200, or a word for it.
fn was_taken(result: &str) -> bool {
    if let Some(answer) = object(result) {
        let code = match &answer.get("code").or_else(|| answer.get("status")) {
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_i64(),
            None => None,
        };
        return code.is_some_and(|code| code == 0 || (200..300).contains(&code));
    }
    if let Ok(status) = result.parse::<u16>() {
        return (200..300).contains(&status);
    }
    matches!(
        result.to_lowercase().as_str(),
        "ok" | "true" | "success" | "succeeded"
    )
}

async fn insert(
    importer: &Importer<'_>,
    callback: Callback,
    task_ids: &HashSet<i64>,
) -> Result<(), StoreError> {
    let task_id = match &callback.body["taskId"] {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    };
    let status = if was_taken(&callback.result) {
        DeliveryStatus::Delivered
    } else {
        DeliveryStatus::GaveUp
    };
    let headers = SecretHeaders::from(callback.headers)
        .seal(&importer.store.seal, &purpose(&callback.url))?;
    delivery::Entity::insert(delivery::ActiveModel {
        task_id: Set(task_id.filter(|task_id| task_ids.contains(task_id))),
        url: Set(callback.url),
        headers: Set(headers),
        body: Set(callback.body.to_string()),
        status: Set(status.to_string()),
        // The old service did not count them.
        tries: Set(0),
        next_at: Set(None),
        result: Set(Some(callback.result)),
        created_at: Set(micros(callback.created)),
        updated_at: Set(micros(callback.updated)),
        ..Default::default()
    })
    .exec_without_returning(importer.tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_as_json_and_as_python_prints_them() {
        for text in [
            r#"{"taskId": 7, "state": "PUSH_SUCCESS"}"#,
            "{'taskId': 7, 'state': 'PUSH_SUCCESS'}",
        ] {
            let object = object(text).unwrap();
            assert_eq!(object["taskId"], 7);
            assert_eq!(object["state"], "PUSH_SUCCESS");
        }
        for bad in ["", "[]", "PUSH_SUCCESS", "{broken"] {
            assert!(object(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_answer_tells_whether_a_callback_was_taken() {
        for yes in [
            "200",
            "204",
            r#"{"code": 0}"#,
            r#"{"code": "200"}"#,
            "success",
            "True",
        ] {
            assert!(was_taken(yes), "{yes}");
        }
        for no in [
            "",
            "500",
            "302",
            r#"{"code": -1}"#,
            "{}",
            "connection refused",
        ] {
            assert!(!was_taken(no), "{no}");
        }
    }
}
