//! Responses: objects, documents, failures and plain words, with the headers of a real server.
//!
//! Called by `wire` only.

use axum::body::Body;
use http::{Response, StatusCode, header};
use serde_json::Value;

use super::failure::Failure;
use super::object::{Form, Object};
use super::write::Written;

pub(super) fn written(done: &Written, form: Form) -> Response<Body> {
    let code = if done.created { 201 } else { 200 };
    object(code, &done.object, form, &done.warnings)
}

pub(super) fn object(code: u16, stored: &Object, form: Form, warnings: &[String]) -> Response<Body> {
    let mut bytes = bytes::BytesMut::new();
    stored.write(form, &mut bytes);
    let mut response = json(code, Body::from(bytes.freeze()));
    for warning in warnings {
        let quoted = format!("299 - {}", Value::String(warning.clone()));
        if let Ok(value) = http::HeaderValue::from_str(&quoted) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

pub(super) fn respond(answer: Result<Response<Body>, Failure>) -> Response<Body> {
    answer.unwrap_or_else(|failure| {
        let mut response = json(failure.code, Body::from(failure.body().to_string()));
        if let Some(seconds) = failure.details.get("retryAfterSeconds").and_then(Value::as_u64) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    })
}

/// What a proxy says in place of the server.
pub(super) fn page(code: u16) -> Response<Body> {
    text(code, "text/html", "<html><body><h1>Bad Gateway</h1></body></html>\n")
}

/// What a real server says where nothing is served: plain text, not a `Status`.
pub(super) fn page_not_found() -> Response<Body> {
    text(404, "text/plain; charset=utf-8", "404 page not found\n")
}

pub(super) fn json(code: u16, body: Body) -> Response<Body> {
    typed(code, "application/json", body)
}

pub(super) fn text(code: u16, kind: &'static str, text: &'static str) -> Response<Body> {
    typed(code, kind, Body::from(text))
}

fn typed(code: u16, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
