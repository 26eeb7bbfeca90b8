//! Changes of traffic: preview, set, take over, switch back, retire. Conditions, keys and dry runs are read here;
//! every decision is made by `services::traffic`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use super::body::{self, Change};
use super::document::{RetireBody, SwitchBackBody, TakeOverBody, TrafficBody};
use super::effect::{Applied, Preview};
use super::extract::{At, JsonBody, Query, idempotency_key, if_match, request_hash};
use super::services::tag;
use super::words::{Key, Name, Tag};
use crate::domain::ids::{Revision, ServiceRef};
use crate::domain::overview::Refused;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::Word;
use crate::services::ask::{ChangeAsk, Wish};
use crate::services::check_reason;
use crate::services::once::Once;
use crate::web::auth::Who;
use crate::web::caller::Caller;
use crate::web::error::Failure;
use crate::web::gate::Place;
use crate::web::respond;
use crate::web::site::App;
use crate::web::throttle::Throttle;

/// What a change of traffic would do. Writes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/services/{namespace}/{name}/traffic/preview",
    operation_id = "previewTraffic",
    tag = "traffic",
    params(
        ("namespace" = inline(Name), Path, description = "The service's namespace.", example = "bookinfo"),
        ("name" = inline(Name), Path, description = "The service's name.", example = "reviews"),
    ),
    request_body(content = TrafficBody, example = json!({"weights": {"v1": 70, "v2": 30, "v3": 0}, "reason": "CHG-1042", "ack": ["big_jump"]})),
    responses((
        status = 200,
        description = "Effect, checks and edits. Checks that would refuse the change are among them.",
        body = Preview,
        headers(("ETag" = String, description = "The revision that it stands on, in quotes."))
    ))
)]
pub async fn preview(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    query: Query,
    body: JsonBody,
) -> Result<Response, Failure> {
    query.finish()?;
    let change = body::traffic(body.node)?;
    permit_preview(&app, &who, &change.wish)?;
    let preview = app.services.preview(&who.actor, &at, &change.wish, &change.ack).await?;
    let mut response = respond::json(&Preview::of(caller.lang(), &preview));
    tag(&mut response, preview.base);
    Ok(response)
}

/// Sets weights, rules or mirror. What is left out stays as it is.
#[utoipa::path(
    put,
    path = "/api/v1/services/{namespace}/{name}/traffic",
    operation_id = "setTraffic",
    tag = "traffic",
    params(
        ("namespace" = inline(Name), Path, description = "The service's namespace.", example = "bookinfo"),
        ("name" = inline(Name), Path, description = "The service's name.", example = "reviews"),
        ("If-Match" = inline(Tag), Header, description = "The revision that you saw, in quotes (the `ETag` of the service)."),
        ("Idempotency-Key" = inline(Option<Key>), Header, description = "Sent again with the same request, the first answer is given again (24 hours)."),
        ("dry_run" = Option<bool>, Query, description = "`true` answers what would be answered, with the preview, and writes nothing."),
    ),
    request_body(content = TrafficBody, example = json!({"weights": {"v1": 70, "v2": 30, "v3": 0}, "reason": "CHG-1042", "ack": ["big_jump"]})),
    responses((
        status = 200,
        description = "Written (or, with `dry_run=true`, the preview).",
        body = super::document::Changed,
        headers(("ETag" = String, description = "The new revision, in quotes."))
    ))
)]
pub async fn set(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    query: Query,
    call: Call,
    body: JsonBody,
) -> Result<Response, Failure> {
    let expected = if_match(&call.headers)?;
    if expected.is_none() {
        return Err(Refusal::new(Code::PreconditionRequired).field("If-Match").into());
    }
    let change = body::traffic(body.node.clone())?;
    run(app, who, caller, at, query, call, body, change, expected).await
}

/// Sends all traffic to one version. Every workload keeps running.
#[utoipa::path(
    post,
    path = "/api/v1/services/{namespace}/{name}/traffic/takeover",
    operation_id = "takeOver",
    tag = "traffic",
    params(
        ("namespace" = inline(Name), Path, description = "The service's namespace.", example = "bookinfo"),
        ("name" = inline(Name), Path, description = "The service's name.", example = "reviews"),
        ("If-Match" = inline(Option<Tag>), Header, description = "The revision that you saw, in quotes."),
        ("Idempotency-Key" = inline(Option<Key>), Header, description = "Sent again with the same request, the first answer is given again (24 hours)."),
        ("dry_run" = Option<bool>, Query, description = "`true` answers what would be answered, with the preview, and writes nothing."),
    ),
    request_body(content = TakeOverBody, example = json!({"version": "v2", "reason": "CHG-1042", "ack": ["big_jump"]})),
    responses((
        status = 200,
        description = "Written (or, with `dry_run=true`, the preview).",
        body = super::document::Changed,
        headers(("ETag" = String, description = "The new revision, in quotes."))
    ))
)]
pub async fn take_over(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    query: Query,
    call: Call,
    body: JsonBody,
) -> Result<Response, Failure> {
    let expected = if_match(&call.headers)?;
    let change = body::take_over(body.node.clone())?;
    run(app, who, caller, at, query, call, body, change, expected).await
}

/// Restores split, rules and mirror of an earlier revision, as a new change.
#[utoipa::path(
    post,
    path = "/api/v1/services/{namespace}/{name}/traffic/switch-back",
    operation_id = "switchBack",
    tag = "traffic",
    params(
        ("namespace" = inline(Name), Path, description = "The service's namespace.", example = "bookinfo"),
        ("name" = inline(Name), Path, description = "The service's name.", example = "reviews"),
        ("If-Match" = inline(Option<Tag>), Header, description = "The revision that you saw, in quotes."),
        ("Idempotency-Key" = inline(Option<Key>), Header, description = "Sent again with the same request, the first answer is given again (24 hours)."),
        ("dry_run" = Option<bool>, Query, description = "`true` answers what would be answered, with the preview, and writes nothing."),
    ),
    request_body(content = SwitchBackBody, example = json!({"revision": 40, "reason": "INC-77"})),
    responses((
        status = 200,
        description = "Written (or, with `dry_run=true`, the preview).",
        body = super::document::Changed,
        headers(("ETag" = String, description = "The new revision, in quotes."))
    ))
)]
pub async fn switch_back(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    query: Query,
    call: Call,
    body: JsonBody,
) -> Result<Response, Failure> {
    let expected = if_match(&call.headers)?;
    let change = body::switch_back(body.node.clone(), &at)?;
    run(app, who, caller, at, query, call, body, change, expected).await
}

/// Retires a version without traffic: takes it out of the routing and deletes its workloads. Nothing leads back.
#[utoipa::path(
    post,
    path = "/api/v1/services/{namespace}/{name}/traffic/retire",
    operation_id = "retireVersion",
    tag = "traffic",
    params(
        ("namespace" = inline(Name), Path, description = "The service's namespace.", example = "bookinfo"),
        ("name" = inline(Name), Path, description = "The service's name.", example = "reviews"),
        ("If-Match" = inline(Option<Tag>), Header, description = "The revision that you saw, in quotes."),
        ("Idempotency-Key" = inline(Option<Key>), Header, description = "Sent again with the same request, the first answer is given again (24 hours)."),
        ("dry_run" = Option<bool>, Query, description = "`true` answers what would be answered, with the preview, and writes nothing."),
    ),
    request_body(content = RetireBody, example = json!({"version": "v1", "confirm": "reviews v1", "reason": "CHG-1042"})),
    responses((
        status = 200,
        description = "Deleted (or, with `dry_run=true`, the preview).",
        body = super::document::Changed,
        headers(("ETag" = String, description = "The new revision, in quotes."))
    ))
)]
pub async fn retire(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    query: Query,
    call: Call,
    body: JsonBody,
) -> Result<Response, Failure> {
    let expected = if_match(&call.headers)?;
    let change = body::retire(body.node.clone(), &at)?;
    run(app, who, caller, at, query, call, body, change, expected).await
}

/// What a write needs of its request besides the body.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// Given back by who goes on to wait.
    pub place: Place,
}

impl<S: Sync> axum::extract::FromRequestParts<S> for Call {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _state: &S,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            place: parts.extensions.get::<Place>().cloned().unwrap_or_default(),
        })
    }
}

#[expect(clippy::too_many_arguments, reason = "the handlers hand on everything that they took")]
async fn run(
    app: App,
    who: Who,
    caller: Caller,
    at: ServiceRef,
    mut query: Query,
    call: Call,
    body: JsonBody,
    change: Change,
    expected: Option<Revision>,
) -> Result<Response, Failure> {
    let dry_run = query.flag("dry_run")?;
    query.finish()?;
    if dry_run {
        return rehearse(&app, &who, &caller, &at, change, expected).await;
    }
    permit(&app, &who, &change.wish)?;
    let key = idempotency_key(&call.headers)?;
    let hash = request_hash(call.method.as_str(), call.uri.path(), expected, &body.bytes);
    let request_id = caller.request_id.to_string();
    let ask = ChangeAsk {
        service: at,
        wish: change.wish,
        expected,
        reason: change.reason,
        ack: change.ack,
        request_id,
        preview_id: None,
    };
    let lang = caller.lang();
    once(app.clone(), who.clone(), caller, key, hash, async move {
        let applied = app.services.apply(&who.actor, ask).await?;
        let body = serde_json::to_string(&Applied::of(lang, &applied)).unwrap_or_default();
        Ok(Done { body, revision: Some(applied.revision) })
    })
    .await
}

/// Too many changes in a minute are refused; going back never is.
pub fn permit(app: &App, who: &Who, wish: &Wish) -> Result<(), Refusal> {
    let counted = app.changes.as_ref().filter(|_| !matches!(wish, Wish::SwitchBack(_)));
    let Some(throttle) = counted else { return Ok(()) };
    let user = &who.actor.identity.user;
    throttle.take(user, app.clock.now_ms()).map_err(|s| Refusal::new(Code::RateLimited).arg("s", s))
}

/// Too many previews in a minute are refused: each asks the API server several times. Those of ways back are counted
/// apart, so that no number of others keeps a way back from being looked at.
pub fn permit_preview(app: &App, who: &Who, wish: &Wish) -> Result<(), Refusal> {
    let back = matches!(wish, Wish::SwitchBack(_));
    take(app, who, if back { app.back_previews.as_ref() } else { app.previews.as_ref() })
}

/// The same for plans of releases.
pub fn permit_plan(app: &App, who: &Who) -> Result<(), Refusal> {
    take(app, who, app.previews.as_ref())
}

/// The same for drafts that are saved.
pub fn permit_draft(app: &App, who: &Who) -> Result<(), Refusal> {
    take(app, who, Some(&app.drafts))
}

fn take(app: &App, who: &Who, throttle: Option<&Throttle>) -> Result<(), Refusal> {
    let Some(throttle) = throttle else { return Ok(()) };
    let user = &who.actor.identity.user;
    throttle.take(user, app.clock.now_ms()).map_err(|s| Refusal::new(Code::RateLimited).arg("s", s))
}

/// The same for a command to a release.
pub fn permit_word(app: &App, who: &Who, word: Word) -> Result<(), Refusal> {
    let Some(throttle) = app.changes.as_ref().filter(|_| !word.goes_back()) else { return Ok(()) };
    let user = &who.actor.identity.user;
    throttle.take(user, app.clock.now_ms()).map_err(|s| Refusal::new(Code::RateLimited).arg("s", s))
}

/// The answer that the change would get, with its preview.
async fn rehearse(
    app: &App,
    who: &Who,
    caller: &Caller,
    at: &ServiceRef,
    change: Change,
    expected: Option<Revision>,
) -> Result<Response, Failure> {
    permit_preview(app, who, &change.wish)?;
    let preview = app.services.preview(&who.actor, at, &change.wish, &change.ack).await?;
    let shape = Preview::of(caller.lang(), &preview);
    let reason = check_reason(&change.reason, change.wish.needs_reason()).err();
    let stale = expected
        .filter(|expected| *expected != preview.base)
        .map(|_| Refusal::new(Code::StaleRevision).arg("svc", at).arg("who", "").arg("r", preview.base));
    if let Some(refusal) = reason.or(stale).or(preview.refusal) {
        let value = serde_json::to_value(&shape).unwrap_or_default();
        return Err(Failure::from(Refused::from(refusal)).with_preview(value));
    }
    let mut response = respond::json(&shape);
    tag(&mut response, preview.base);
    Ok(response)
}

/// The answer of a write that was done.
pub struct Done {
    pub body: String,
    pub revision: Option<Revision>,
}

/// Does a write, once only when it carries a key. It goes on when the client hangs up, so that the key
/// always gets its answer.
pub async fn once(
    app: App,
    who: Who,
    caller: Caller,
    key: Option<String>,
    hash: String,
    work: impl Future<Output = Result<Done, Failure>> + Send + 'static,
) -> Result<Response, Failure> {
    let task = tokio::spawn(async move {
        let Some(key) = key else {
            return work.await.map(|done| written(StatusCode::OK, done.body, done.revision));
        };
        let ticket = match app.services.begin_once(&who.actor, &key, &hash).await? {
            Once::Fresh(ticket) => ticket,
            Once::Replay { status, body } => return Ok(replayed(status, body)),
        };
        let answer = work.await;
        let (status, body) = match &answer {
            Ok(done) => (200, done.body.clone()),
            Err(failure) => {
                let problem = failure.problem(caller.lang(), &caller.request_id);
                (problem.status, serde_json::to_string(&problem).unwrap_or_default())
            }
        };
        if let Err(refusal) = app.services.finish_once(ticket, status, &body).await {
            // What was done is done and in the history; only the second asking will not find its answer.
            tracing::warn!(%refusal, "the answer to a keyed request was not kept");
        }
        answer.map(|done| written(StatusCode::OK, done.body, done.revision))
    });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a write ended abnormally");
        Err(Code::OutcomeUnknown.into())
    })
}

fn written(status: StatusCode, body: String, revision: Option<Revision>) -> Response {
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = (status, [json], body).into_response();
    if let Some(revision) = revision {
        tag(&mut response, revision);
    }
    response
}

fn replayed(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let revision = serde_json::from_str::<serde_json::Value>(&body).ok();
    let revision = revision.and_then(|body| body.get("revision")?.as_u64()).filter(|_| status.is_success());
    let mut response = written(status, body, revision);
    if !status.is_success() {
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
    }
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}
