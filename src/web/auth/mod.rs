//! Authentication. Every route but the open ones has the middleware [`page`] or [`api`], which adds a [`Who`] to the
//! request or answers itself.
//!
//! The use cases check permissions; this module finds out only who sent the request, and whether a page of ours
//! sent it.

pub mod agent;
pub mod csrf;
pub mod form;
pub mod session;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use url::form_urlencoded;

use super::caller::{Caller, Door};
use super::error::Failure;
use super::gate;
use super::local::local;
use super::site::App;
use crate::domain::actor::{Actor, BearerToken, Channel, Identity};
use crate::domain::refusal::Code;
use csrf::Sender;

/// The person or program behind a request.
#[derive(Clone, Debug)]
pub struct Who {
    pub actor: Actor,
    /// What a form must carry.
    pub csrf: Arc<str>,
    /// The session's cookie; `None` for bearers and without sign-in.
    pub cookie: Option<Arc<str>>,
    /// The id of that session, as lists name it.
    pub session: Option<Arc<str>>,
    /// The token of a bearer: what goes on for long asks about it again.
    pub bearer: Option<BearerToken>,
}

impl Who {
    /// The name under which live streams and changes are counted.
    pub fn name(&self) -> &str {
        self.cookie.as_deref().unwrap_or(&self.actor.identity.user)
    }
}

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        // Absent only when a route was added without authentication by mistake: then every request is refused.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Code::Unauthenticated.into())
    }
}

/// The middleware of the API and of live streams.
pub async fn api(State(app): State<App>, caller: Caller, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let who = match enter(&app, &caller, &parts).await {
        Ok(who) => who,
        Err(failure) => return failure.into_response(),
    };
    let demand = app.gate.demand(&parts.method, parts.extensions.get());
    let name = gate::name_of(&caller, Some(&who));
    match gate::body(&app, &name, &demand, Request::from_parts(parts, body)).await {
        Ok((mut parts, bytes)) => {
            parts.extensions.insert(who);
            let request = Request::from_parts(parts, bytes.clone().into());
            gate::serve(&app, &name, &demand, &bytes, request, next).await
        }
        Err(failure) => failure.into_response(),
    }
}

async fn enter(app: &App, caller: &Caller, parts: &Parts) -> Result<Who, Failure> {
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    let forged = || Failure::from(Code::Csrf);
    if app.is_open() {
        if !reads && !matches!(csrf::sender(parts, app), Sender::Ours | Sender::Unsaid) {
            return Err(forged());
        }
        return Ok(local_user(app, caller, Channel::Api));
    }
    if let Some(authorization) = parts.headers.get(header::AUTHORIZATION) {
        let (identity, token) = bearer(app, caller, authorization).await?;
        let actor = actor(identity, caller, Channel::Api);
        return Ok(Who { actor, csrf: "".into(), cookie: None, session: None, bearer: Some(token) });
    }
    let who = session::find(app, caller, &parts.headers, Channel::Api).await?;
    let who = who.ok_or_else(|| Failure::from(Code::Unauthenticated))?;
    if !reads {
        let token = parts.headers.get("x-csrf-token").and_then(|token| token.to_str().ok());
        let ours = matches!(csrf::sender(parts, app), Sender::Ours | Sender::Unsaid);
        if !ours || !token.is_some_and(|token| csrf::matches(token, &who.csrf)) {
            return Err(forged());
        }
    }
    Ok(who)
}

async fn bearer(
    app: &App,
    caller: &Caller,
    header: &HeaderValue,
) -> Result<(Arc<Identity>, BearerToken), Failure> {
    let parts = header.to_str().ok().and_then(|text| text.split_once(' '));
    // What is no bearer token is refused, counted and recorded like an unknown one.
    let is_bearer = |scheme: &str| scheme.eq_ignore_ascii_case("bearer");
    let token = parts.filter(|(scheme, _)| is_bearer(scheme)).map_or("", |(_, token)| token.trim());
    let network = caller.address.map(|address| super::listen::network(address).to_string());
    let asked = app.services.identify_caller(token, network.as_deref());
    let identity = app.guesses.judge(caller, token, app.clock.now_ms(), asked).await?;
    Ok((identity, BearerToken::new(token)))
}

/// The middleware of the pages.
pub async fn page(State(app): State<App>, caller: Caller, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let who = if app.is_open() {
        Some(local_user(&app, &caller, Channel::Browser))
    } else {
        match session::find(&app, &caller, &parts.headers, Channel::Browser).await {
            Ok(who) => who,
            Err(refusal) => return Failure::from(refusal).into_response(),
        }
    };
    let Some(who) = who else { return sign_in_first(&caller, &parts) };
    let demand = app.gate.demand(&parts.method, parts.extensions.get());
    let name = gate::name_of(&caller, Some(&who));
    let read = gate::body(&app, &name, &demand, Request::from_parts(parts, body)).await;
    let (mut parts, bytes) = match read {
        Ok(read) => read,
        Err(failure) => return failure.into_response(),
    };
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        match form::read(&app, &who, &parts, &bytes) {
            Ok(form) => drop(parts.extensions.insert(form)),
            Err(failure) => return failure.into_response(),
        }
    }
    parts.extensions.insert(who);
    parts.extensions.insert(caller);
    let request = Request::from_parts(parts, axum::body::Body::empty());
    gate::serve(&app, &name, &demand, &bytes, request, next).await
}

/// Leads to the sign-in page and back. A form that was sent without a session is answered with 401, so that
/// the page keeps what was typed.
fn sign_in_first(caller: &Caller, parts: &Parts) -> Response {
    if parts.method != Method::GET || caller.door == Door::Fragment {
        return Failure::from(Code::Unauthenticated).into_response();
    }
    let here = local(&caller.here).unwrap_or("/");
    // A link on another site (a chat) comes without our cookie, because it is SameSite=Strict. Coming again
    // from a page of ours shows whether there is one.
    let from = parts.headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if matches!(from, Some("cross-site" | "same-site"))
        && let Ok(again) = HeaderValue::from_str(&format!("0; url={here}"))
    {
        return (StatusCode::OK, [(header::REFRESH, again)]).into_response();
    }
    Redirect::to(&sign_in_address(here)).into_response()
}

/// `/login`, with the way back.
pub fn sign_in_address(here: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    format!("/login?{}", query.append_pair("next", here).finish())
}

fn local_user(app: &App, caller: &Caller, channel: Channel) -> Who {
    let identity = Arc::new(Identity::local(if app.settings.demo { "demo" } else { "local" }));
    let actor = actor(identity, caller, channel);
    Who { actor, csrf: app.csrf.as_str().into(), cookie: None, session: None, bearer: None }
}

fn actor(identity: Arc<Identity>, caller: &Caller, channel: Channel) -> Actor {
    Actor { identity, channel, address: caller.address.map(|address| address.to_string()) }
}

/// What a 401 of the API says about the way in.
pub fn challenge() -> (HeaderName, HeaderValue) {
    (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sluice\""))
}

/// Takes the headers of a sign-in or sign-out and a place to go.
pub fn go_with(headers: HeaderMap, to: &str) -> Response {
    (StatusCode::SEE_OTHER, headers, Redirect::to(to)).into_response()
}
