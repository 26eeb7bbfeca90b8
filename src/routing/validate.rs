//! Istio's own validation, as far as it concerns what Sluice writes. The webhook that does it may be off
//! or not ready, so it is not relied on. Called for every object of a plan.
//! Source: pkg/config/validation of Istio.

use std::collections::HashSet;

use serde_json::Value;

use crate::domain::ids::{Kind, is_dns_label};

/// What Istio would refuse, in words; empty = nothing.
pub fn object(kind: Kind, object: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let spec = &object["spec"];
    match kind {
        Kind::VirtualService => virtual_service(spec, &mut out),
        Kind::DestinationRule => destination_rule(spec, &mut out),
    }
    out
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn there(value: &Value, key: &str) -> bool {
    value.get(key).is_some_and(|held| !held.is_null())
}

fn virtual_service(spec: &Value, out: &mut Vec<String>) {
    let (http, tls, tcp) = (list(spec, "http"), list(spec, "tls"), list(spec, "tcp"));
    if http.is_empty() && tls.is_empty() && tcp.is_empty() {
        out.push("one of http, tcp, tls is required".to_owned());
    }
    let mut hosts = HashSet::new();
    for host in list(spec, "hosts").iter().filter_map(Value::as_str) {
        if !hosts.insert(host) {
            out.push(format!("host {host} stands twice"));
        }
    }
    for (index, route) in http.iter().enumerate() {
        let at = format!("http[{index}]");
        http_route(route, &at, out);
    }
    for (name, routes) in [("tls", tls), ("tcp", tcp)] {
        for (index, route) in routes.iter().enumerate() {
            let at = format!("{name}[{index}]");
            if list(route, "route").is_empty() {
                out.push(format!("{at}: a destination is required"));
            }
            destinations(route, &at, out);
        }
    }
}

fn http_route(route: &Value, at: &str, out: &mut Vec<String>) {
    let does = ["redirect", "directResponse", "delegate"].iter().filter(|key| there(route, key)).count()
        + usize::from(!list(route, "route").is_empty());
    if does != 1 {
        out.push(format!("{at}: exactly one of route, redirect, directResponse, delegate"));
    }
    destinations(route, at, out);
    if there(route, "mirror") && !list(route, "mirrors").is_empty() {
        out.push(format!("{at}: mirror and mirrors"));
    }
    let mirrors = list(route, "mirrors").iter().map(|mirror| &mirror["percentage"]["value"]);
    let percents = mirrors.chain([&route["mirrorPercentage"]["value"], &route["mirrorPercent"]]);
    for percent in percents.filter_map(Value::as_f64) {
        if !(0.0..=100.0).contains(&percent) {
            out.push(format!("{at}: mirror percentage {percent}"));
        }
    }
    for entry in list(route, "match") {
        matches(entry, at, out);
    }
}

fn matches(entry: &Value, at: &str, out: &mut Vec<String>) {
    let plain = ["uri", "scheme", "method", "authority"].iter().filter_map(|key| entry.get(*key));
    let maps = ["headers", "withoutHeaders", "queryParams"].iter().filter_map(|key| entry.get(*key));
    let values = maps.filter_map(Value::as_object).flat_map(|map| map.values());
    for said in plain.chain(values) {
        for key in ["prefix", "regex"] {
            if said.get(key).and_then(Value::as_str) == Some("") {
                out.push(format!("{at}: empty {key}"));
            }
        }
        if said.get("regex").and_then(Value::as_str).is_some_and(|regex| regex.len() > 1024) {
            out.push(format!("{at}: regex of more than 1024 characters"));
        }
    }
    for key in ["headers", "withoutHeaders"] {
        for name in entry.get(key).and_then(Value::as_object).into_iter().flat_map(|map| map.keys()) {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"-_.:@[]".contains(&b) || b.is_ascii_graphic();
            if name.is_empty() || !name.bytes().all(token) {
                out.push(format!("{at}: header name {name:?}"));
            }
        }
    }
}

fn destinations(route: &Value, at: &str, out: &mut Vec<String>) {
    let entries = list(route, "route");
    let weight = |entry: &Value| entry.get("weight").and_then(Value::as_i64).unwrap_or(0);
    for entry in entries {
        let destination = &entry["destination"];
        match destination.get("host").and_then(Value::as_str) {
            None | Some("") => out.push(format!("{at}: destination without host")),
            Some("*") => out.push(format!("{at}: destination host *")),
            Some(_) => {}
        }
        if let Some(subset) = destination.get("subset").and_then(Value::as_str)
            && !subset.is_empty()
            && !is_dns_label(subset)
        {
            out.push(format!("{at}: subset {subset} is no DNS label"));
        }
        if let Some(port) = destination.pointer("/port/number").and_then(Value::as_i64)
            && !(1..=65_535).contains(&port)
        {
            out.push(format!("{at}: port {port}"));
        }
        if weight(entry) < 0 {
            out.push(format!("{at}: weight {}", weight(entry)));
        }
    }
    if entries.len() > 1 && entries.iter().all(|entry| weight(entry) == 0) {
        out.push(format!("{at}: the weights sum to 0"));
    }
}

fn destination_rule(spec: &Value, out: &mut Vec<String>) {
    if spec.get("host").and_then(Value::as_str).is_none_or(str::is_empty) {
        out.push("host is required".to_owned());
    }
    let mut names = HashSet::new();
    for subset in list(spec, "subsets") {
        let name = subset.get("name").and_then(Value::as_str).unwrap_or_default();
        if !is_dns_label(name) {
            out.push(format!("subset {name} is no DNS label"));
        }
        if !names.insert(name) {
            out.push(format!("subset {name} stands twice"));
        }
    }
}
