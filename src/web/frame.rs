//! The outermost middleware: gives the request an id, logs it, renders errors, and adds the security headers to
//! every answer.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use tracing::Instrument;
use url::form_urlencoded;

use super::caller::{Caller, Door};
use super::error;
use super::local::local;
use super::site::App;
use crate::views::chrome::Theme;
use crate::views::lang::Lang;

/// The content security policy: nothing from elsewhere, nothing inline, in no frame.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; \
     frame-ancestors 'none'";

const ALWAYS: &[(&str, &str)] = &[
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// The middleware.
pub async fn frame(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (mut parts, body) = request.into_parts();
    let id = uuid::Uuid::now_v7().to_string();
    let caller = Caller::of(&parts, &id, &app.settings.trusted_proxies);
    let method = parts.method.clone();
    let path = parts.uri.path().to_owned();
    let span = tracing::info_span!("request", %id, %method, path);
    // An answer in no coding at all is an answer too; the compression layer would rather say 406.
    let refuses = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("q=0"));
    if parts.headers.get(header::ACCEPT_ENCODING).is_some_and(refuses) {
        parts.headers.remove(header::ACCEPT_ENCODING);
    }
    let chosen = (method == Method::GET && caller.door == Door::Page)
        .then(|| choice(&parts.uri, app.settings.is_https()))
        .flatten();
    let mut response = if let Some(chosen) = chosen {
        chosen
    } else {
        parts.extensions.insert(caller.clone());
        let response = next.run(Request::from_parts(parts, body)).instrument(span.clone()).await;
        error::dress(&app, &caller, response)
    };
    harden(response.headers_mut(), app.settings.is_https());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
    span.in_scope(|| {
        if status >= 500 {
            tracing::warn!(status, ms, "answered");
        } else {
            tracing::debug!(status, ms, "answered");
        }
    });
    response
}

fn harden(headers: &mut HeaderMap, https: bool) {
    for (name, value) in ALWAYS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    // Only the sign-in page has a policy of its own, see `pages::login`.
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    if https {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// The word that closes the demo's guide in this browser.
pub const GUIDE_CLOSED: &str = "closed";

/// `?lang=`, `?theme=` and `?guide=` on any page: keeps the choice in a cookie and shows the same page again.
/// A GET that changes nothing but how this browser is answered.
fn choice(uri: &Uri, https: bool) -> Option<Response> {
    let query = uri.query()?;
    let mut headers = HeaderMap::new();
    let mut rest = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let word = match &*name {
            "lang" => Lang::parse(&value).map(Lang::code),
            "theme" => Theme::parse(&value).map(Theme::as_str),
            "guide" => (value == GUIDE_CLOSED).then_some(GUIDE_CLOSED),
            _ => None,
        };
        let Some(word) = word else {
            rest.append_pair(&name, &value);
            continue;
        };
        let cookie = Cookie::build((name.into_owned(), word)).path("/").same_site(SameSite::Lax);
        let cookie = cookie.permanent().secure(https).build().to_string();
        headers.append(header::SET_COOKIE, HeaderValue::from_str(&cookie).ok()?);
    }
    if headers.is_empty() {
        return None;
    }
    let rest = rest.finish();
    let here = if rest.is_empty() { uri.path().to_owned() } else { format!("{}?{rest}", uri.path()) };
    Some((headers, Redirect::to(local(&here).unwrap_or("/"))).into_response())
}
