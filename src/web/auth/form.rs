//! A form that a page of ours sent: read once, checked for its token, then handed to the handler.

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;
use url::form_urlencoded;

use super::Who;
use super::csrf::{self, Sender};
use crate::domain::refusal::Code;
use crate::web::api::body::ACKS;
use crate::web::error::Failure;
use crate::web::site::App;

/// More fields than any page of ours has.
const FIELDS: usize = 2_000;

/// Fields in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub struct Form(pub Vec<(String, String)>);

impl Form {
    /// The first value of a field; empty when it was not sent.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// Every value of a field that may stand several times (check boxes).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

impl Form {
    /// The codes that are acknowledged. There are fewer codes than are taken, and none is longer.
    pub fn acknowledged(&self) -> Vec<String> {
        self.all("ack").filter(|code| code.len() <= 64).take(ACKS).map(str::to_owned).collect()
    }
}

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        parts.extensions.remove::<Self>().ok_or_else(|| Code::MediaType.into())
    }
}

/// Reads the form of a signed-in person; refuses one that no page of ours sent.
pub fn read(app: &App, who: &Who, parts: &Parts, body: &[u8]) -> Result<Form, Failure> {
    if csrf::sender(parts, app) == Sender::Foreign {
        return Err(Code::Csrf.into());
    }
    let form = fields(parts, body)?;
    let header = parts.headers.get("x-csrf-token").and_then(|token| token.to_str().ok());
    let sent = header.unwrap_or_else(|| form.text("csrf"));
    if csrf::matches(sent, &who.csrf) { Ok(form) } else { Err(Code::Csrf.into()) }
}

/// Reads the fields of a body.
pub fn fields(parts: &Parts, body: &[u8]) -> Result<Form, Failure> {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Code::MediaType.into());
    }
    let fields: Vec<_> = form_urlencoded::parse(body).into_owned().take(FIELDS + 1).collect();
    if fields.len() > FIELDS {
        return Err(Code::BodyTooLarge.into());
    }
    Ok(Form(fields))
}
