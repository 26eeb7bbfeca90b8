//! Capacity and time limits, after authentication: the body is read whole, then the request takes a place in its
//! pool, then its time starts. The middlewares of `auth` call it for every route; what a route asks for stands in
//! the table of `routes`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::Method;
use http::request::Parts;
use serde::Deserialize;

use super::auth::Who;
use super::caller::Caller;
use super::demand::{self, Demand, Effect, Pool};
use super::error::Failure;
use super::incoming::Incoming;
use super::routes::RouteInfo;
use super::shares::{Full, Share, Shares};
use super::site::App;
use crate::domain::refusal::Code;
use crate::domain::release::Word;

/// The places of each pool, and the bodies that are being read for it. `each` is what one person may have, or one
/// address before authentication.
pub struct Gate {
    demands: HashMap<String, Vec<(Method, Demand)>>,
    normal: Shares,
    back: Shares,
    back_pages: Shares,
    sign_in: Shares,
    light: Shares,
    waiting: Shares,
    bodies: Incoming,
    back_bodies: Incoming,
    sign_in_bodies: Incoming,
}

impl Gate {
    /// `open` = there is no sign-in, so that one name may have everything.
    pub fn new(routes: Vec<RouteInfo>, open: bool) -> Self {
        let each = |each: usize, all: usize| if open { all } else { each };
        let shares = |all: usize, share: usize| Shares::new(all, each(share, all));
        let incoming = |all: usize, share: usize| Incoming::new(all, each(share, all));
        let mut demands: HashMap<String, Vec<(Method, Demand)>> = HashMap::new();
        for route in routes {
            demands.entry(route.path).or_default().push((route.method, route.demand));
        }
        Self {
            demands,
            normal: shares(256, 64),
            back: shares(64, 16),
            back_pages: shares(64, 16),
            sign_in: shares(64, 32),
            light: shares(256, 128),
            waiting: shares(512, 64),
            bodies: incoming(128, 32),
            back_bodies: incoming(64, 16),
            sign_in_bodies: incoming(64, 16),
        }
    }

    /// What the route of a request asks for.
    pub fn demand(&self, method: &Method, path: Option<&MatchedPath>) -> Demand {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let of_path = path.and_then(|path| self.demands.get(path.as_str()));
        let found = of_path.and_then(|all| all.iter().find(|(known, _)| known == method));
        found.map_or(demand::WRITE, |(_, demand)| *demand)
    }

    fn place(&self, pool: Pool, name: &str) -> Result<Share, Full> {
        match pool {
            Pool::Normal | Pool::Command => self.normal.take(name),
            Pool::Back => self.back.take(name).or_else(|_| self.normal.take(name)),
            Pool::BackPage => self.normal.take(name).or_else(|_| self.back_pages.take(name)),
            Pool::SignIn => self.sign_in.take(name),
            Pool::Light => self.light.take(name),
        }
    }

    fn bodies(&self, pool: Pool) -> &Incoming {
        match pool {
            Pool::Normal | Pool::Light => &self.bodies,
            // A command is not known to lead back before it is read.
            Pool::Back | Pool::BackPage | Pool::Command => &self.back_bodies,
            Pool::SignIn => &self.sign_in_bodies,
        }
    }

    /// A place among those who wait for something to happen; `None` when there is none.
    pub fn wait(&self, who: &Who) -> Option<Share> {
        self.waiting.take(&who.actor.identity.user).ok()
    }
}

/// Under which name a request is counted.
pub fn name_of(caller: &Caller, who: Option<&Who>) -> String {
    match who {
        Some(who) => who.actor.identity.user.clone(),
        // No user name has a space in front.
        None => format!(" {}", caller.network()),
    }
}

/// Reads the body of a request that may have one.
pub async fn body(
    app: &App,
    name: &str,
    demand: &Demand,
    request: Request,
) -> Result<(Parts, Bytes), Failure> {
    let (parts, body) = request.into_parts();
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok((parts, Bytes::new()));
    }
    let bytes = app.gate.bodies(demand.pool).read(name, body).await?;
    Ok((parts, bytes))
}

/// Gives a request its place and its time. `body` decides the place of a command.
pub async fn serve(
    app: &App,
    name: &str,
    demand: &Demand,
    body: &[u8],
    mut request: Request,
    next: Next,
) -> Response {
    let pool = match demand.pool {
        Pool::Command if goes_back(body) => Pool::Back,
        other => other,
    };
    let place = match app.gate.place(pool, name) {
        Ok(place) => Place(Arc::new(Mutex::new(Some(place)))),
        Err(Full::All) => return Failure::from(Code::Overloaded).into_response(),
        Err(Full::Own) => return Failure::from(Code::TooManyAtOnce).into_response(),
    };
    request.extensions_mut().insert(place.clone());
    let answer = tokio::time::timeout(demand.patience, next.run(request)).await;
    place.give_back();
    match (answer, demand.effect) {
        (Ok(response), _) => response,
        // What was begun goes on by itself; its outcome is not known yet.
        (Err(_), Effect::Writes) => Failure::from(Code::OutcomeUnknown).into_response(),
        (Err(_), Effect::Reads) => Failure::from(Code::ClusterTimeout).into_response(),
    }
}

/// The middleware of routes without authentication.
pub async fn open(State(app): State<App>, caller: Caller, request: Request, next: Next) -> Response {
    let demand = app.gate.demand(request.method(), request.extensions().get());
    let name = name_of(&caller, None);
    match body(&app, &name, &demand, request).await {
        Ok((parts, bytes)) => {
            let request = Request::from_parts(parts, bytes.clone().into());
            serve(&app, &name, &demand, &bytes, request, next).await
        }
        Err(failure) => failure.into_response(),
    }
}

/// True when the body of a command names one that goes back.
fn goes_back(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Named {
        command: String,
    }
    let named = serde_json::from_slice::<Named>(body).ok();
    named.and_then(|named| Word::parse(&named.command)).is_some_and(Word::goes_back)
}

/// The place of the request under way.
#[derive(Clone, Debug, Default)]
pub struct Place(Arc<Mutex<Option<Share>>>);

impl Place {
    /// Gives it back before the answer: for a handler that goes on to wait.
    pub fn give_back(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl<S: Sync> FromRequestParts<S> for Place {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
