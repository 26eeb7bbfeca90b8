//! Answers in the few shapes that handlers give: a rendered view, JSON.

use std::fmt::{Display, Write as _};

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::error::Failure;
use crate::domain::refusal::Code;

/// A view as HTML: a page, or the part of one.
pub fn html(view: &impl Display) -> Response {
    let mut out = String::with_capacity(16 * 1024);
    match write!(out, "{view}") {
        Ok(()) => Html(out).into_response(),
        Err(_) => Failure::from(Code::Internal).into_response(),
    }
}

/// The same with another status: a form that comes back with what was typed.
pub fn html_with(status: u16, view: &impl Display) -> Response {
    let mut response = html(view);
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    }
    response
}

/// A value as JSON.
pub fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            Failure::from(Code::Internal).into_response()
        }
    }
}
