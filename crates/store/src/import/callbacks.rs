//! Callbacks of the past. They are history: none of them is sent.

use std::collections::HashSet;

use fastbuild_spec::{
    callback::{LOGIN_HEADER, part_login},
    settings::CallbackHeaders,
};
use sea_orm::{ActiveValue::Set, EntityTrait as _, QuerySelect as _};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};

use super::{
    Importer, TableReport,
    source::{OldDatabase, OldRow, shown},
};
use crate::{
    DeliveryStatus, SecretHeaders, StoreError,
    callbacks::purpose,
    db::time::micros,
    entity::{build, delivery},
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
        .column(build::Column::Id)
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
    headers: SecretHeaders,
    body: Value,
    status: DeliveryStatus,
    result: String,
    created: jiff::Timestamp,
    updated: jiff::Timestamp,
}

fn read(importer: &Importer<'_>, row: &OldRow) -> Result<(Callback, Vec<String>), String> {
    let mut remarks = Vec::new();
    let address = row.needed("url")?;
    let parted =
        part_login(address).ok_or_else(|| "url is no address, and may hold a login".to_owned())?;
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
    let headers = SecretHeaders::from(headers);
    let headers = match &parted.login {
        None => headers,
        Some(login) => {
            remarks.push(format!(
                "url held a login; it is kept sealed, as the header {LOGIN_HEADER}"
            ));
            // As an HTTP client does: the address's login goes before a header of that name.
            let header = (LOGIN_HEADER.to_owned(), login.expose_secret().to_owned());
            headers.overlaid(&[header].into())
        }
    };
    let result = row.text("result");
    let status = status_by(result);
    if status == DeliveryStatus::Unknown {
        remarks.push(
            "result does not tell whether it arrived; it is kept as unknown, and is not sent again \
             with those that failed"
                .to_owned(),
        );
    }
    let (created, updated) = row.times(importer.zone, &mut remarks)?;
    let callback = Callback {
        url: parted.url,
        headers,
        body: Value::Object(body),
        status,
        result: without_login(result, address),
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

/// Words of an answer, or of the lack of one, that say whether the receiver took a callback.
const TAKEN: [&str; 4] = ["ok", "true", "success", "succeeded"];
const NOT_TAKEN: [&str; 5] = ["fail", "failed", "failure", "false", "error"];
/// What stands in the words of an HTTP client that reached nobody.
const UNREACHED: [&str; 5] = [
    "refused",
    "timed out",
    "timeout",
    "unreachable",
    "max retries exceeded",
];

/// Whether the receiver took it, as far as the recorded answer tells: a status, an envelope with a
/// code, or a word for it. What tells neither is unknown, and never sent again with the failed ones.
fn status_by(result: &str) -> DeliveryStatus {
    let of_code = |taken: bool| {
        if taken {
            DeliveryStatus::Delivered
        } else {
            DeliveryStatus::GaveUp
        }
    };
    if let Some(answer) = object(result) {
        let code: Option<i64> = match answer.get("code").or_else(|| answer.get("status")) {
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_i64(),
            None => None,
        };
        return code.map_or(DeliveryStatus::Unknown, |code| {
            of_code(code == 0 || (200..300).contains(&code))
        });
    }
    if let Ok(status) = result.parse::<u16>() {
        return if (100..600).contains(&status) {
            of_code((200..300).contains(&status))
        } else {
            DeliveryStatus::Unknown
        };
    }
    let word = result.to_lowercase();
    if TAKEN.contains(&word.as_str()) {
        DeliveryStatus::Delivered
    } else if NOT_TAKEN.contains(&word.as_str()) || UNREACHED.iter().any(|part| word.contains(part))
    {
        DeliveryStatus::GaveUp
    } else {
        DeliveryStatus::Unknown
    }
}

/// A text without the login of an address, in which an HTTP client may have repeated it.
fn without_login(text: &str, url: &str) -> String {
    let login = url
        .split_once("://")
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next()?.rsplit_once('@'))
        .map(|(login, _)| login);
    match login {
        Some(login) if !login.is_empty() => {
            let password = login
                .split_once(':')
                .map_or(login, |(_, password)| password);
            let text = text.replace(login, "***");
            if password.is_empty() {
                text
            } else {
                text.replace(password, "***")
            }
        }
        _ => text.to_owned(),
    }
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
    let headers = callback
        .headers
        .seal(&importer.store.seal, &purpose(&callback.url))?;
    delivery::Entity::insert(delivery::ActiveModel {
        build_id: Set(task_id.filter(|task_id| task_ids.contains(task_id))),
        url: Set(callback.url),
        headers: Set(headers),
        body: Set(callback.body.to_string()),
        status: Set(callback.status.to_string()),
        // The old service did not count them.
        tries: Set(0),
        schedule_from: Set(0),
        test: Set(false),
        receiver: Set(String::new()),
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
    fn an_answer_tells_whether_a_callback_was_taken_or_does_not() {
        for (status, answers) in [
            (
                DeliveryStatus::Delivered,
                &[
                    "200",
                    "204",
                    r#"{"code": 0}"#,
                    r#"{"code": "200"}"#,
                    "success",
                    "True",
                ][..],
            ),
            (
                DeliveryStatus::GaveUp,
                &[
                    "500",
                    "302",
                    r#"{"code": -1}"#,
                    "False",
                    "HTTPConnectionPool(host='p', port=80): Max retries exceeded",
                    "connection refused",
                ],
            ),
            (
                DeliveryStatus::Unknown,
                &["", "{}", "7", "<html>", r#"{"code": "fine"}"#, "谢谢"],
            ),
        ] {
            for answer in answers {
                assert_eq!(status_by(answer), status, "{answer}");
            }
        }
    }

    #[test]
    fn a_login_is_not_repeated_by_the_recorded_answer() {
        let url = "http://me:secret@p/cb?x=a@b";
        assert_eq!(
            without_login("http://me:secret@p/cb refused me with secret", url),
            "http://***@p/cb refused me with ***"
        );
        assert_eq!(without_login("refused", "http://p/a@b"), "refused");
        assert_eq!(without_login("refused", "http://@p/"), "refused");
    }
}
