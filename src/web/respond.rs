//! Answers in the few shapes that handlers give: a rendered view, JSON, bytes that are there already.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::{Display, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;

use super::answers::Answer;
use super::caller::Caller;
use super::error::Failure;
use super::squeeze::{Squeezed, gzip};
use crate::domain::refusal::Code;

/// A view as HTML: a page, or the part of one.
pub fn html(view: &impl Display) -> Response {
    match text(view) {
        Ok(body) => Html(body).into_response(),
        Err(failure) => failure.into_response(),
    }
}

/// A view, or a part of one, as bytes.
pub fn text(view: &impl Display) -> Result<Bytes, Failure> {
    let mut out = String::with_capacity(16 * 1024);
    write!(out, "{view}").map_err(|_| Failure::from(Code::Internal))?;
    Ok(out.into())
}

/// Bytes one after the other, none of them copied; with their length.
pub fn pieces(kind: &'static str, pieces: impl IntoIterator<Item = Bytes>) -> Response {
    let pieces = Pieces(pieces.into_iter().filter(|piece| !piece.is_empty()).collect());
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], Body::new(pieces)).into_response()
}

/// A kept answer between what is this person's own, in gzip for those who take it.
pub fn answer<const B: usize, const A: usize>(
    caller: &Caller,
    kind: &'static str,
    before: [Bytes; B],
    answer: &Answer,
    after: [Bytes; A],
) -> Response {
    if caller.gzip
        && let Some(kept) = answer.squeezed()
        && let (Some(first), Some(last)) = (squeezed(&before), squeezed(&after))
    {
        let mut response = pieces(kind, gzip(first.iter().chain([kept]).chain(&last)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        return response;
    }
    pieces(kind, before.into_iter().chain([answer.body.clone()]).chain(after))
}

fn squeezed(parts: &[Bytes]) -> Option<Vec<Squeezed>> {
    parts.iter().map(|part| Squeezed::of(part)).collect()
}

struct Pieces(VecDeque<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
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
    match json_text(value) {
        Ok(body) => pieces("application/json", [body]),
        Err(failure) => failure.into_response(),
    }
}

/// A value as JSON, as bytes.
pub fn json_text(value: &impl Serialize) -> Result<Bytes, Failure> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        Failure::from(Code::Internal)
    })
}
