//! The context of a request: its id, kind (page, fragment, API), language, time zone and address.
//!
//! `frame` reads it once, before anything else; handlers take it as an extractor.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum_extra::extract::CookieJar;
use http::request::Parts;
use http::{HeaderMap, Uri, header};

use super::forwarded;
use super::frame::GUIDE_CLOSED;
use super::listen::{Peer, network};
use super::squeeze::takes_gzip;
use crate::config::Network;
use crate::views::chrome::Theme;
use crate::views::lang::Lang;
use crate::views::time::Clockface;

/// Who must understand the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// A person, who gets a whole page.
    Page,
    /// A page that wants a part of itself (htmx).
    Fragment,
    /// A program: JSON, also when something goes wrong.
    Api,
}

/// One request, as far as answering it is concerned.
#[derive(Clone, Debug)]
pub struct Caller {
    /// In every log line, answer and history row of this request.
    pub request_id: Arc<str>,
    pub door: Door,
    pub clock: Clockface,
    pub theme: Theme,
    /// The demo's guide was closed in this browser.
    pub guide_closed: bool,
    pub address: Option<IpAddr>,
    /// Path and query.
    pub here: Arc<str>,
    /// The answer may be compressed.
    pub gzip: bool,
}

impl Caller {
    /// Reads everything but the id from the request. `trusted` proxies are believed about the address.
    pub fn of(parts: &Parts, request_id: &str, trusted: &[Network]) -> Self {
        let door = door(&parts.uri, &parts.headers);
        let cookies = CookieJar::from_headers(&parts.headers);
        let cookie = |name| cookies.get(name).map(axum_extra::extract::cookie::Cookie::value);
        let header = || parts.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let spoken = || header().map(Lang::of_header).unwrap_or_default();
        // A program has no cookie to choose with, and a browser's cookie must not change what scripts read.
        // A live stream is answered like a program, but its elements stand in a page.
        let for_a_page = door != Door::Api || parts.uri.path() == "/events";
        let chosen = cookie("lang").filter(|_| for_a_page).and_then(Lang::parse);
        Self {
            request_id: request_id.into(),
            door,
            clock: Clockface::new(chosen.unwrap_or_else(spoken), cookie("tz")),
            theme: cookie("theme").and_then(Theme::parse).unwrap_or_default(),
            guide_closed: cookie("guide") == Some(GUIDE_CLOSED),
            address: parts
                .extensions
                .get::<Peer>()
                .map(|peer| forwarded::client(peer.0.ip(), &parts.headers, trusted)),
            here: parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).into(),
            gzip: takes_gzip(&parts.headers),
        }
    }

    /// Whom the address stands for, as text; empty when there is none.
    pub fn network(&self) -> String {
        self.address.map(|address| network(address).to_string()).unwrap_or_default()
    }

    /// The language of the answer.
    pub fn lang(&self) -> Lang {
        self.clock.lang
    }
}

fn door(uri: &Uri, headers: &HeaderMap) -> Door {
    let path = uri.path();
    let is_api = path.starts_with("/api/") && path != "/api/docs";
    if is_api || matches!(path, "/events" | "/healthz" | "/readyz") {
        Door::Api
    } else if headers.contains_key("hx-request") {
        Door::Fragment
    } else {
        Door::Page
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        // The frame always puts one there; a router without a frame (a test of a single handler) still answers.
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self::of(parts, "-", &[])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Lang) {
        let request = http::Request::get(path).header("cookie", "lang=zh").header("accept-language", "en");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(Caller::of(&parts, "-", &[]).lang(), expected, "{path}");
    }

    #[test]
    fn pages_and_their_live_elements_speak_the_chosen_language_scripts_the_one_they_ask_for() {
        check("/services", Lang::Zh);
        check("/events?topic=services", Lang::Zh);
        check("/api/docs", Lang::Zh);
        check("/api/v1/services", Lang::En);
    }
}
