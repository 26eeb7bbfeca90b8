//! The validating webhook of Istio's control plane, for the mistakes that a traffic tool can make. Pure.
//!
//! Asked by `write` after validation, dry runs included, as the real one is. The words are those of istiod
//! (`pkg/config/validation`); what it checks beyond routes, destinations and subsets is left out on purpose.

use std::collections::BTreeSet;

use serde_json::Value;

use super::failure::Failure;
use super::kinds::Kind;

const WEBHOOK: &str = "rev.validation.istio.io";

/// Refuses what istiod would refuse.
pub(super) fn review(kind: &Kind, value: &Value) -> Result<(), Failure> {
    let mut errors = Errors(Vec::new());
    match kind.kind {
        "VirtualService" => errors.virtual_service(&value["spec"]),
        "DestinationRule" => errors.destination_rule(&value["spec"]),
        _ => {}
    }
    let words = match errors.0.as_slice() {
        [] => return Ok(()),
        [only] => only.clone(),
        several => {
            let listed: Vec<String> = several.iter().map(|e| format!("* {e}")).collect();
            format!("{} errors occurred:\n\t{}\n\n", several.len(), listed.join("\n\t"))
        }
    };
    Err(Failure::denied(WEBHOOK, &format!("configuration is invalid: {words}")))
}

struct Errors(Vec<String>);

impl Errors {
    fn add(&mut self, words: impl Into<String>) {
        self.0.push(words.into());
    }

    fn virtual_service(&mut self, spec: &Value) {
        let delegate = list(&spec["hosts"]).is_empty();
        if delegate {
            for (field, words) in [
                ("gateways", "gateways specified"),
                ("tls", "tls route specified"),
                ("tcp", "tcp route specified"),
            ] {
                if !list(&spec[field]).is_empty() {
                    self.add(format!("delegate virtual service must have no {words}"));
                }
            }
        }
        self.hosts(spec);
        if ["http", "tcp", "tls"].iter().all(|p| list(&spec[*p]).is_empty()) {
            self.add("http, tcp or tls must be provided in virtual service");
        }
        for route in list(&spec["http"]) {
            self.http_route(route, delegate);
        }
        for route in list(&spec["tls"]) {
            if list(&route["match"]).is_empty() {
                self.add("TLS route must have at least one match condition");
            }
            self.l4_route(route, "TLS");
        }
        for route in list(&spec["tcp"]) {
            self.l4_route(route, "TCP");
        }
    }

    fn hosts(&mut self, spec: &Value) {
        let gateways = list(&spec["gateways"]);
        let mesh = gateways.is_empty() || gateways.iter().any(|g| g == "mesh");
        let mut seen = BTreeSet::new();
        for host in list(&spec["hosts"]).iter().filter_map(Value::as_str) {
            if host == "*" && mesh {
                self.add("wildcard host * is not allowed for virtual services bound to the mesh gateway");
            } else if let Some(words) = domain_error(host) {
                self.add(words);
            } else if !seen.insert(host) {
                self.add(format!("duplicate hosts in virtual service: {host} & {host}"));
            }
        }
    }

    fn http_route(&mut self, route: &Value, delegate: bool) {
        let destinations = list(&route["route"]);
        let name = text(&route["name"]);
        let redirect = !route["redirect"].is_null();
        let direct = !route["directResponse"].is_null();
        if !delegate && !route["delegate"].is_null() {
            if redirect {
                self.add(format!("root HTTP route {name} must not specify redirect"));
            }
            if !destinations.is_empty() {
                self.add(format!("root HTTP route {name} must not specify route"));
            }
        } else {
            if delegate && !route["delegate"].is_null() {
                self.add("delegate HTTP route cannot contain delegate");
            }
            if redirect && !destinations.is_empty() {
                self.add("HTTP route cannot contain both route and redirect");
            }
            if redirect && !route["fault"].is_null() {
                self.add("HTTP route cannot contain both fault and redirect");
            }
            if redirect && !route["rewrite"].is_null() {
                self.add("HTTP route rule cannot contain both rewrite and redirect");
            }
            if direct && !destinations.is_empty() {
                self.add("HTTP route cannot contain both route and direct_response");
            }
            if destinations.is_empty() && !redirect && !direct {
                self.add("HTTP route, redirect or direct_response is required");
            }
        }
        for rule in list(&route["match"]) {
            self.http_match(rule);
        }
        self.mirrors(route);
        self.destinations(destinations);
    }

    fn http_match(&mut self, rule: &Value) {
        for field in ["headers", "withoutHeaders"] {
            for (name, value) in rule[field].as_object().into_iter().flatten() {
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
                if name.is_empty() {
                    self.add("header name cannot be empty");
                } else if !name.starts_with("@request.auth.claims") && !name.chars().all(fits) {
                    self.add(format!("header name {name} is not a valid header name"));
                }
                self.string_match(value, field);
            }
        }
        for field in ["uri", "scheme", "method", "authority"] {
            self.string_match(&rule[field], field);
        }
        for value in rule["queryParams"].as_object().into_iter().flatten().map(|(_, v)| v) {
            self.string_match(value, "queryParams");
        }
        if let Some(port) = rule["port"].as_u64().filter(|p| *p != 0) {
            self.port(port);
        }
    }

    fn string_match(&mut self, value: &Value, place: &str) {
        if value["prefix"] == "" {
            self.add(format!("{place:?}: prefix string match should not be empty"));
        }
        let Some(pattern) = value["regex"].as_str() else { return };
        if pattern.is_empty() {
            self.add(format!("{place:?}: regex string match should not be empty"));
        } else if pattern.len() > 1024 {
            self.add(format!("{place:?}: regex is too large, max length allowed is 1024"));
        } else if let Err(error) = regex::Regex::new(pattern) {
            let last = error.to_string().lines().last().unwrap_or_default().to_owned();
            self.add(format!(
                "{place:?}: error parsing regexp: {last}; Istio uses RE2 style regex-based match \
                 (https://github.com/google/re2/wiki/Syntax)"
            ));
        }
    }

    fn mirrors(&mut self, route: &Value) {
        if !route["mirror"].is_null() {
            self.destination(&route["mirror"]);
            if !list(&route["mirrors"]).is_empty() {
                self.add("HTTP route cannot contain both mirror and mirrors");
            }
        }
        if let Some(percent) = route["mirrorPercentage"]["value"].as_f64() {
            if percent > 100.0 {
                self.add(format!("mirror_percentage must have a max value of 100 (it has {percent:.6})"));
            } else if percent < 0.0 {
                self.add(format!("mirror_percentage must have a min value of 0 (it has {percent:.6})"));
            }
        }
        for mirror in list(&route["mirrors"]) {
            self.destination(&mirror["destination"]);
            if let Some(percent) = mirror["percentage"]["value"].as_f64().filter(|p| *p > 100.0) {
                self.add(format!("mirror percentage must have a max value of 100 (it has {percent:.6})"));
            }
        }
    }

    fn l4_route(&mut self, route: &Value, protocol: &str) {
        let destinations = list(&route["route"]);
        if destinations.is_empty() {
            self.add(format!("{protocol} route is required"));
        }
        self.destinations(destinations);
    }

    fn destinations(&mut self, destinations: &[Value]) {
        let mut total = 0;
        for one in destinations {
            self.destination(&one["destination"]);
            let weight = one["weight"].as_i64().unwrap_or(0);
            if weight < 0 {
                self.add(format!("weight {weight} < 0"));
            }
            total += weight;
        }
        if destinations.len() > 1 && total == 0 {
            self.add("total destination weight = 0");
        }
    }

    fn destination(&mut self, destination: &Value) {
        let host = text(&destination["host"]);
        if host == "*" {
            self.add("invalid destination host *");
        } else if let Some(words) = domain_error(host) {
            self.add(words);
        }
        let subset = text(&destination["subset"]);
        if !subset.is_empty() && !is_label(subset) {
            self.add(format!("subset name is invalid: {subset}"));
        }
        if !destination["port"].is_null() {
            self.port(destination["port"]["number"].as_u64().unwrap_or(0));
        }
    }

    fn port(&mut self, number: u64) {
        if !(1..=65535).contains(&number) {
            self.add(format!("port number {number} must be in the range 1..65535"));
        }
    }

    fn destination_rule(&mut self, spec: &Value) {
        if let Some(words) = domain_error(text(&spec["host"])) {
            self.add(words);
        }
        let mut seen = BTreeSet::new();
        for subset in list(&spec["subsets"]) {
            let name = text(&subset["name"]);
            if !seen.insert(name) {
                self.add(format!("duplicate subset names: {name}"));
            }
            if name.is_empty() {
                self.add("subset name cannot be empty");
            } else if !is_label(name) {
                self.add(format!("subset name is invalid: {name}"));
            }
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// RFC 1123 label, in either case as Istio takes it.
fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let outer = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && text.starts_with(outer)
        && text.ends_with(outer)
}

/// What is wrong with a host that may begin with `*.`.
fn domain_error(host: &str) -> Option<String> {
    if host.is_empty() {
        return Some("empty domain name not allowed".to_owned());
    }
    if host.len() > 255 {
        return Some(format!("domain name {host:?} too long (max 255)"));
    }
    let rest = match host.strip_prefix('*') {
        Some("") => return None,
        Some(rest) => rest.strip_prefix('.').unwrap_or(rest),
        None => host,
    };
    let bad = rest.trim_end_matches('.').split('.').find(|label| !is_label(label));
    bad.map(|label| format!("domain name {host:?} invalid (label {label:?} invalid)"))
}
