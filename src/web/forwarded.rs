//! The address of a client behind proxies: the rightmost of `X-Forwarded-For` (or `Forwarded`, RFC 7239) that is no
//! trusted proxy, and only when a trusted proxy is at the other end. What stands left of it anybody may have written.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;

use crate::config::Network;

/// More proxies in a row than anybody has.
const HOPS: usize = 32;

/// True for an address of a trusted proxy.
pub fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// The client behind `peer`.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let mut known = peer.to_canonical();
    if !is_trusted(known, trusted) {
        return known;
    }
    for hop in hops(headers).into_iter().rev().take(HOPS) {
        // A proxy that names no client hides its clients.
        let Some(address) = hop else { return known };
        known = address.to_canonical();
        if !is_trusted(known, trusted) {
            return known;
        }
    }
    known
}

/// The addresses that proxies wrote, the nearest last; `None` for one that is not an address.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let text = |name: &http::HeaderName| {
        let all = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?").to_owned());
        Some(all.collect::<Vec<_>>().join(",")).filter(|text| !text.is_empty())
    };
    if let Some(text) = text(&http::HeaderName::from_static("x-forwarded-for")) {
        return text.split(',').map(address).collect();
    }
    let Some(text) = text(&FORWARDED) else { return Vec::new() };
    let by = |element: &str| {
        let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
        let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
        named.next().and_then(|(_, value)| address(value.trim().trim_matches('"')))
    };
    text.split(',').map(by).collect()
}

/// An address, with or without port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(peer: &str, headers: &[(&str, &str)], expected: &str) {
        let trusted: Vec<Network> = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()).to_vec();
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        assert_eq!(client(peer.parse().unwrap(), &all, &trusted).to_string(), expected, "{peer} {headers:?}");
    }

    #[test]
    fn the_rightmost_address_that_is_no_trusted_proxy_is_the_client() {
        let forwarded_for = "x-forwarded-for";
        check("10.0.0.1", &[(forwarded_for, "192.0.2.7")], "192.0.2.7");
        check("10.0.0.1", &[(forwarded_for, "1.1.1.1, 192.0.2.7, 10.9.9.9")], "192.0.2.7");
        check("10.0.0.1", &[(forwarded_for, "1.1.1.1"), (forwarded_for, "192.0.2.7")], "192.0.2.7");
        check("::ffff:10.0.0.1", &[(forwarded_for, "[2001:db8::1]:443")], "2001:db8::1");
        check("10.0.0.1", &[(forwarded_for, "192.0.2.7:1234")], "192.0.2.7");
        check("10.0.0.1", &[(forwarded_for, "10.0.0.5, 10.0.0.6")], "10.0.0.5");
        check(
            "fd00::1",
            &[("forwarded", "for=1.1.1.1;by=x, for=\"[2001:db8::7]:4711\";proto=https")],
            "2001:db8::7",
        );
        check("10.0.0.1", &[("forwarded", "For=192.0.2.7")], "192.0.2.7");
    }

    #[test]
    fn nobody_else_is_believed_and_what_cannot_be_read_hides_nobody() {
        check("192.0.2.9", &[("x-forwarded-for", "1.1.1.1")], "192.0.2.9");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, unknown")], "10.0.0.1");
        check("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, _hidden, 10.0.0.2")], "10.0.0.2");
        check("10.0.0.1", &[("forwarded", "for=unknown")], "10.0.0.1");
        check("10.0.0.1", &[("x-forwarded-for", "")], "10.0.0.1");
    }
}
