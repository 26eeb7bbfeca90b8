//! Error responses. A handler returns a [`Failure`]; the outermost middleware (`frame`) renders it as problem+json
//! for programs, as a page for people, or as a notice for a part of a page.

use std::sync::Arc;

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::api::effect::Stale;
use super::api::release_shape::FieldError;
use super::api::values::Check;
use super::auth::{self, Who};
use super::caller::{Caller, Door};
use super::chrome::chrome;
use super::respond;
use super::site::App;
use crate::domain::audit::Ending;
use crate::domain::overview::Refused;
use crate::domain::refusal::{Code, Refusal};
use crate::views::chrome::Nav;
use crate::views::error::ErrorPage;
use crate::views::lang::Lang;
use crate::views::text;

/// An answer that is not what was asked for.
#[derive(Clone, Debug)]
pub struct Failure {
    refused: Arc<Refused>,
    /// What a dry run would have answered besides.
    preview: Option<Arc<Value>>,
    /// Everything that was wrong, when it was more than one thing.
    all: Arc<Vec<Refusal>>,
}

impl Failure {
    /// Adds the preview that a dry run made, for programs.
    #[must_use]
    pub fn with_preview(mut self, preview: Value) -> Self {
        self.preview = Some(Arc::new(preview));
        self
    }

    /// Several refusals at once: the first decides the status, all are listed with their fields.
    pub fn all(refusals: Vec<Refusal>) -> Self {
        let first = refusals.first().cloned().unwrap_or_else(|| Refusal::new(Code::Internal));
        Self { all: Arc::new(refusals), ..Self::from(first) }
    }

    /// Why.
    pub fn refusal(&self) -> &Refusal {
        &self.refused.refusal
    }

    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        status(self.refused.refusal.code)
    }

    /// The body for a program.
    pub fn problem(&self, lang: Lang, request_id: &str) -> Problem {
        let refused = &*self.refused;
        let said = text::refusal(lang, &refused.refusal);
        let code = refused.refusal.code;
        let checks = refused.refusal.checks.iter().map(|check| Check::of(lang, check)).collect::<Vec<_>>();
        Problem {
            kind: format!("/api/docs#{}", code.as_str()),
            title: text::name(lang, code).into(),
            status: code.status(),
            code: code.as_str(),
            detail: said.text.into(),
            next: said.next.map(Into::into),
            field: refused.refusal.field.clone(),
            checks: (!checks.is_empty()).then_some(checks),
            request_id: request_id.to_owned(),
            ending: (refused.ending != Ending::Refused).then(|| refused.ending.as_str()),
            entry: refused.entry,
            stale: refused.stale.as_ref().map(Stale::of),
            preview: self.preview.as_deref().cloned(),
            errors: (self.all.len() > 1)
                .then(|| self.all.iter().map(|one| FieldError::of(lang, one)).collect()),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self { refused: Arc::new(refused), preview: None, all: Arc::default() }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Refused::from(refusal).into()
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Refusal::new(code).into()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn status(code: Code) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Why a request was not answered as asked (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Where the code is explained.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference")]
    pub kind: String,
    /// The code in a few words, in the language of `Accept-Language` (en, zh).
    pub title: String,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// Stable: programs decide by this.
    #[schema(value_type = String, example = "no_ready_pods")]
    pub code: &'static str,
    /// The whole sentence.
    pub detail: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The field of the request that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "weights")]
    pub field: Option<String>,
    /// Everything that was checked, when a check stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<Check>>,
    /// Names this request in log and history; also the header `X-Request-Id`.
    pub request_id: String,
    /// What became of the cluster, when the change was begun: `failed` (nothing changed), `partial`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ending: Option<&'static str>,
    /// The entry of the history about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<i64>,
    /// With `stale_revision`: what you saw, what it is now, what you asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<Stale>,
    /// With `dry_run=true`: the preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::api::effect::Preview>)]
    pub preview: Option<Value>,
    /// Everything that is wrong with a release, each with its field, when it is more than one thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<FieldError>>,
}

/// Gives a failure its body. Everything else passes through.
pub fn dress(app: &App, caller: &Caller, mut response: Response) -> Response {
    let Some(failure) = response.extensions_mut().remove::<Failure>() else { return response };
    let who = response.extensions_mut().remove::<Who>();
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let refusal = failure.refusal();
    let mut dressed = match caller.door {
        Door::Api => problem(&failure, caller),
        Door::Fragment => Html(text::refused(caller.lang(), refusal).to_string()).into_response(),
        Door::Page => {
            let chrome = chrome(app, caller, who.as_ref(), Nav::Nowhere, "");
            respond::html(&ErrorPage::of(chrome, refusal, &caller.request_id))
        }
    };
    *dressed.status_mut() = status;
    let kept = [header::ALLOW, header::SET_COOKIE, header::ETAG];
    for name in kept {
        if let Some(value) = headers.get(&name) {
            dressed.headers_mut().insert(name, value.clone());
        }
    }
    if let Some(wait) = retry_after(refusal) {
        dressed.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    if status == StatusCode::UNAUTHORIZED && caller.door == Door::Api {
        let (name, value) = auth::challenge();
        dressed.headers_mut().insert(name, value);
    }
    dressed
}

fn problem(failure: &Failure, caller: &Caller) -> Response {
    let body = serde_json::to_vec(&failure.problem(caller.lang(), &caller.request_id)).unwrap_or_default();
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    let language = (header::CONTENT_LANGUAGE, HeaderValue::from_static(caller.lang().tag()));
    ([kind, language], body).into_response()
}

fn retry_after(refusal: &Refusal) -> Option<HeaderValue> {
    let wait = refusal.args.iter().find(|(name, _)| name == "s").map(|(_, value)| value.as_str());
    match refusal.code {
        Code::RateLimited => HeaderValue::from_str(wait.unwrap_or("60")).ok(),
        Code::Overloaded
        | Code::ClusterBusy
        | Code::NotReady
        | Code::TooManyStreams
        | Code::TooManyAtOnce => Some(HeaderValue::from_static("2")),
        _ => None,
    }
}
