//! What a request must get past before anybody looks at it: the host it names, its size, the number of
//! requests under way, and the time it may take.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, Uri, header};
use url::Host;

use super::error::Failure;
use super::site::App;
use crate::domain::refusal::Code;

/// The longest body, in bytes.
pub const BODY: usize = 256 * 1024;
/// The longest that a request may take until its answer begins.
const PATIENCE: Duration = Duration::from_secs(30);

/// The middleware.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    if app.is_open() && !is_ours(&app, &request) {
        return Failure::from(Code::Csrf).into_response();
    }
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if declared.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > BODY as u64) {
        return Failure::from(Code::BodyTooLarge).into_response();
    }
    let path = request.uri().path();
    let probe = matches!(path, "/healthz" | "/readyz");
    let last = path.rsplit('/').next().unwrap_or_default();
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let back = writes && matches!(last, "takeover" | "switch-back");
    let changes = back || writes && matches!(last, "traffic" | "apply");
    let places = if back { &app.back_at_once } else { &app.at_once };
    let place = places.try_acquire();
    if place.is_err() && !probe {
        return Failure::from(Code::Overloaded).into_response();
    }
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        // A change that was begun goes on by itself; nobody knows yet how it ends.
        Err(_) if changes => Failure::from(Code::OutcomeUnknown).into_response(),
        Err(_) => Failure::from(Code::ClusterTimeout).into_response(),
    }
}

/// Where nobody is asked who they are, the host decides: a page elsewhere can make a browser call this
/// address under a name of its own (DNS rebinding), and then counts as the same origin.
fn is_ours(app: &App, request: &Request) -> bool {
    let Some(host) = authority(request.headers(), request.uri()) else { return true };
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
    let public = app.settings.public_url.as_ref().and_then(|url| url.host_str());
    if public.is_some_and(|public| public.eq_ignore_ascii_case(name)) {
        return true;
    }
    match Host::parse(name) {
        Ok(Host::Domain(domain)) => domain == "localhost" || domain.ends_with(".localhost"),
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => false,
    }
}

/// The host that the client named; HTTP/2 puts it into the address.
pub fn authority<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    named.or_else(|| uri.authority().map(http::uri::Authority::as_str))
}
