//! The validating webhook of Istio's control plane, for the mistakes that a traffic tool can make. Pure.
//!
//! Asked by `write` after validation, dry runs included, as the real one is. What it says was compared with
//! istiod's own answers, word for word (`tests/it/cluster/webhook.rs`); traffic policies and faults are left out.

mod names;
mod routes;

use serde_json::Value;

use self::names::{domain_error, is_label, overlap, tag_errors};
use super::failure::Failure;
use super::kinds::Kind;

const WEBHOOK: &str = "rev.validation.istio.io";

/// Refuses what istiod would refuse.
pub(super) fn review(kind: &Kind, value: &Value) -> Result<(), Failure> {
    let namespace = text(&value["metadata"]["namespace"]);
    let mut errors = Errors(Vec::new());
    match kind.kind {
        "VirtualService" => errors.virtual_service(&value["spec"], namespace),
        "DestinationRule" => errors.destination_rule(&value["spec"], namespace),
        _ => {}
    }
    let words = match errors.0.as_slice() {
        [] => return Ok(()),
        [only] => only.clone(),
        several => listed(several),
    };
    Err(Failure::denied(WEBHOOK, &format!("configuration is invalid: {words}")))
}

/// Several errors as Go's multierror prints them.
fn listed(errors: &[String]) -> String {
    let lines: Vec<String> = errors.iter().map(|e| format!("* {e}")).collect();
    let noun = if errors.len() == 1 { "error" } else { "errors" };
    format!("{} {noun} occurred:\n\t{}\n\n", errors.len(), lines.join("\n\t"))
}

/// What is wrong, in the order of istiod's own checks.
struct Errors(Vec<String>);

impl Errors {
    fn add(&mut self, words: impl Into<String>) {
        self.0.push(words.into());
    }

    fn virtual_service(&mut self, spec: &Value, namespace: &str) {
        let delegate = list(&spec["hosts"]).is_empty();
        let refused = [
            ("gateways", "gateways specified"),
            ("tls", "tls route specified"),
            ("tcp", "tcp route specified"),
        ];
        for (field, words) in refused.into_iter().filter(|_| delegate) {
            if !list(&spec[field]).is_empty() {
                self.add(format!("delegate virtual service must have no {words}"));
            }
        }
        self.gateways(&spec["gateways"]);
        self.hosts(spec);
        if ["http", "tcp", "tls"].iter().all(|p| list(&spec[*p]).is_empty()) {
            self.add("http, tcp or tls must be provided in virtual service");
        }
        for route in list(&spec["http"]) {
            self.http_route(route, delegate, list(&spec["gateways"]));
        }
        for route in list(&spec["tls"]) {
            self.tls_matches(route, list(&spec["hosts"]));
            self.l4_route(route, "TLS");
        }
        for route in list(&spec["tcp"]) {
            for rule in list(&route["match"]) {
                self.match_port(rule);
            }
            self.l4_route(route, "TCP");
        }
        self.export_to(spec, namespace);
    }

    fn gateways(&mut self, gateways: &Value) {
        for gateway in list(gateways).iter().map(text) {
            let Some((namespace, name)) = gateway.split_once('/') else {
                if let Some(words) = domain_error(gateway) {
                    self.add(words);
                }
                // istiod looks no further after the first name without a namespace.
                return;
            };
            if namespace.is_empty() || name.is_empty() {
                self.add("config namespace and gateway name cannot be empty");
            }
            if !is_label(namespace) {
                self.add(format!("invalid value for namespace: {namespace:?}"));
            }
            if !is_label(name) {
                self.add(format!("invalid value for gateway name: {name:?}"));
            }
        }
    }

    fn hosts(&mut self, spec: &Value) {
        let gateways = list(&spec["gateways"]);
        let mesh = gateways.is_empty() || gateways.iter().any(|g| g == "mesh");
        let hosts: Vec<&str> = list(&spec["hosts"]).iter().map(text).collect();
        let before = self.0.len();
        for host in &hosts {
            if *host == "*" && mesh {
                self.add("wildcard host * is not allowed for virtual services bound to the mesh gateway");
            } else if let Some(words) =
                domain_error(host).filter(|_| host.parse::<std::net::IpAddr>().is_err())
            {
                self.add(words);
            }
        }
        if self.0.len() > before {
            return;
        }
        for (at, one) in hosts.iter().enumerate() {
            for other in hosts.iter().skip(at + 1).filter(|other| overlap(one, other)) {
                self.add(format!("duplicate hosts in virtual service: {one} & {other}"));
            }
        }
    }

    fn export_to(&mut self, spec: &Value, namespace: &str) {
        let entries: Vec<&str> = list(&spec["exportTo"]).iter().map(text).collect();
        let mut seen: Vec<&str> = Vec::new();
        for entry in &entries {
            let key = if *entry == "." { namespace } else { entry };
            if seen.contains(&key) {
                self.add(if key == *entry {
                    format!("duplicate entries in exportTo for entry {entry}")
                } else {
                    format!("duplicate entries in exportTo: . and current namespace {namespace}")
                });
            } else if key == "*" || is_label(key) {
                seen.push(key);
            } else {
                self.add("only .,*, or a valid DNS 1123 label is allowed as exportTo entry");
            }
        }
        if seen.contains(&"*") && entries.len() > 1 {
            self.add("cannot have both public (*) and non-public exportTo values for a resource");
        }
    }

    fn destination_rule(&mut self, spec: &Value, namespace: &str) {
        if let Some(words) = domain_error(text(&spec["host"])) {
            self.add(words);
        }
        self.policy(spec);
        let mut seen: Vec<&str> = Vec::new();
        for subset in list(&spec["subsets"]) {
            let name = text(&subset["name"]);
            if seen.contains(&name) {
                self.add(format!("duplicate subset names: {name}"));
            }
            seen.push(name);
            if name.is_empty() {
                self.add("subset name cannot be empty");
            } else if !is_label(name) {
                self.add(format!("subset name is invalid: {name}"));
            }
            let tags = tag_errors(&subset["labels"]);
            if !tags.is_empty() {
                self.add(listed(&tags));
            }
            self.policy(subset);
        }
        self.export_to(spec, namespace);
    }

    fn policy(&mut self, holder: &Value) {
        if holder["trafficPolicy"].as_object().is_some_and(serde_json::Map::is_empty) {
            self.add("traffic policy must have at least one field");
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
