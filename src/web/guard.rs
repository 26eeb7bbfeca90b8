//! The first checks of a request: the host that it names, and the length that it declares.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Uri, Version, header};
use url::Host;

use super::error::Failure;
use super::site::App;
use crate::domain::refusal::Code;

/// The longest body, in bytes.
pub const BODY: usize = 256 * 1024;

/// The middleware.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    if !names_one_host(&request) {
        return Failure::from(Code::BadHost).into_response();
    }
    if app.is_open() && !is_ours(&app, &request) {
        return Failure::from(Code::Csrf).into_response();
    }
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if declared.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > BODY as u64) {
        return Failure::from(Code::BodyTooLarge).into_response();
    }
    next.run(request).await
}

/// HTTP/1.1 asks for exactly one Host (RFC 9112 §3.2), every version for none that contradicts the address
/// (RFC 9113 §8.3.1). A proxy before Sluice might otherwise have checked another host than Sluice does.
fn names_one_host(request: &Request) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    if more.is_some() || host.is_none() && request.version() == Version::HTTP_11 {
        return false;
    }
    let Some(host) = host else { return true };
    let Ok(host) = host.to_str() else { return false };
    let well_formed = host.parse::<http::uri::Authority>().is_ok_and(|host| !host.as_str().contains('@'));
    let addressed = request.uri().authority().map(http::uri::Authority::as_str);
    well_formed && addressed.is_none_or(|addressed| addressed.eq_ignore_ascii_case(host))
}

/// Without sign-in the host decides: a page elsewhere can make a browser call this
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
