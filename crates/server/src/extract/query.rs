//! Query parameters.

use axum::extract::FromRequestParts;
use fastbuild_spec::failure::{Failure, FieldError, Sentence};
use http::request::Parts;
use serde::de::DeserializeOwned;
use utoipa::{
    IntoParams,
    openapi::{
        RefOr, Required, Schema,
        path::{Parameter, ParameterIn},
        schema::{SchemaType, Type},
    },
};

use super::{required, unreadable};
use crate::error::Error;

/// The query's parameters. What the OpenAPI document says of them is what is enforced: one answer
/// names every parameter that is missing or no integer where one is wanted. Values may hold
/// unencoded `/` and `:`; unknown parameters are ignored.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned + IntoParams> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let query = parts.uri.query().unwrap_or_default();
        let sent: Vec<(String, String)> =
            serde_urlencoded::from_str(query).map_err(|error| malformed(&error))?;
        let errors: Vec<FieldError> = T::into_params(|| Some(ParameterIn::Query))
            .iter()
            .filter_map(|parameter| field_error(parameter, &sent))
            .collect();
        if !errors.is_empty() {
            return Err(Failure::invalid_fields(&errors).into());
        }
        serde_urlencoded::from_str(query)
            .map(Self)
            .map_err(|error| malformed(&error))
    }
}

/// What is wrong with a declared parameter, if anything is.
fn field_error(parameter: &Parameter, sent: &[(String, String)]) -> Option<FieldError> {
    let name = &parameter.name;
    let Some((_, value)) = sent.iter().find(|(sent, _)| sent == name) else {
        return (parameter.required == Required::True)
            .then(|| FieldError::without_value(name, required()));
    };
    if is_integer(parameter) && value.parse::<i64>().is_err() {
        let allowed = Sentence::new("应为整数", "must be an integer");
        return Some(FieldError::new(name, value, allowed));
    }
    (parameter.required == Required::True && value.is_empty())
        .then(|| FieldError::without_value(name, Sentence::new("不能为空", "must not be empty")))
}

fn is_integer(parameter: &Parameter) -> bool {
    let Some(RefOr::T(Schema::Object(schema))) = &parameter.schema else {
        return false;
    };
    match &schema.schema_type {
        SchemaType::Type(one) => *one == Type::Integer,
        SchemaType::Array(some) => some.contains(&Type::Integer),
        SchemaType::AnyValue => false,
    }
}

fn malformed(error: &serde_urlencoded::de::Error) -> Error {
    unreadable(
        format!("无法解析查询参数（{error}）。"),
        format!("The query's parameters cannot be read ({error})."),
    )
}
