//! The browser's cookie: which session it names, and how it is set and taken back.

use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header};

use super::{Who, actor};
use crate::domain::actor::Channel;
use crate::domain::refusal::Refusal;
use crate::web::caller::Caller;
use crate::web::site::App;

/// With HTTPS the browser itself guarantees that no other host set the cookie.
fn name(https: bool) -> &'static str {
    if https { "__Host-sluice" } else { "sluice" }
}

/// The person whose session the request's cookie names; `None` without one.
pub async fn find(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    channel: Channel,
) -> Result<Option<Who>, Refusal> {
    let jar = CookieJar::from_headers(headers);
    let Some(cookie) = jar.get(name(app.settings.is_https())) else { return Ok(None) };
    let Some(session) = app.services.session(cookie.value(), channel).await? else { return Ok(None) };
    Ok(Some(Who {
        actor: actor(session.identity.clone(), caller, channel),
        csrf: session.csrf.as_str().into(),
        cookie: Some(cookie.value().into()),
        session: Some(session.id.as_str().into()),
        bearer: None,
    }))
}

/// Sets the cookie of a new session. It ends with the browser; how long it is good for the server decides.
pub fn begin(app: &App, secret: &str) -> HeaderMap {
    set(build(app, secret))
}

/// Takes the cookie back.
pub fn end(app: &App) -> HeaderMap {
    let mut cookie = build(app, "");
    cookie.make_removal();
    set(cookie)
}

fn build<'a>(app: &App, value: &'a str) -> Cookie<'a> {
    let https = app.settings.is_https();
    let cookie = Cookie::build((name(https), value)).path("/").http_only(true);
    cookie.secure(https).same_site(SameSite::Strict).build()
}

fn set(cookie: Cookie<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        headers.insert(header::SET_COOKIE, value);
    }
    headers
}
