//! Protection against forged requests: the origin that the browser states, and a token that only our pages
//! know. Either alone has been circumvented before (see CVE-2024-22424).

use http::header;
use http::request::Parts;
use subtle::ConstantTimeEq;
use url::Url;

use crate::web::guard::authority;
use crate::web::site::App;

/// What the browser says about the page that sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// One of ours, or the person's own hand (address bar).
    Ours,
    /// No header: an old browser, a plain-HTTP address, or no browser at all.
    Unsaid,
    /// `Origin: null`: a form of ours on plain HTTP (our referrer policy hides it), or a sandbox.
    Hidden,
    Foreign,
}

/// Reads `Sec-Fetch-Site`, and `Origin` where that is missing.
pub fn sender(parts: &Parts, app: &App) -> Sender {
    let text = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return if matches!(site, "same-origin" | "none") { Sender::Ours } else { Sender::Foreign };
    }
    match text(header::ORIGIN.as_str()) {
        None => Sender::Unsaid,
        Some("null") => Sender::Hidden,
        Some(origin) => {
            let host = authority(&parts.headers, &parts.uri);
            if is_ours(origin, host, app.settings.public_url.as_ref()) {
                Sender::Ours
            } else {
                Sender::Foreign
            }
        }
    }
}

fn is_ours(origin: &str, host: Option<&str>, public: Option<&Url>) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    if let Some(public) = public {
        return origin.origin() == public.origin();
    }
    // TLS may end before us, so the scheme of the page cannot be compared; its host and port can.
    let own = host.and_then(|host| Url::parse(&format!("{}://{host}", origin.scheme())).ok());
    own.is_some_and(|own| own.origin() == origin.origin())
}

/// Compares two tokens in a time that does not depend on where they differ.
pub fn matches(sent: &str, ours: &str) -> bool {
    !ours.is_empty() && bool::from(sent.as_bytes().ct_eq(ours.as_bytes()))
}
