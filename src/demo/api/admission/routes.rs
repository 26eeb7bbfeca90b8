//! The routes of a VirtualService: matches, mirrors, destinations, weights. Pure.

use serde_json::Value;

use super::names::{domain_error, is_label, overlap, regex_error, tag_errors};
use super::{Errors, list, listed, text};

impl Errors {
    pub(super) fn http_route(&mut self, route: &Value, delegate: bool, gateways: &[Value]) {
        self.conflicts(route, delegate);
        for rule in list(&route["match"]) {
            self.http_match(rule, delegate || !route["delegate"].is_null(), gateways);
        }
        self.mirrors(route);
        if route["redirect"].as_object().is_some_and(serde_json::Map::is_empty) {
            self.add("redirect must specify URI, authority, scheme, or port");
        }
        self.retries(&route["retries"]);
        self.destinations(list(&route["route"]));
        self.duration(&route["timeout"]);
    }

    fn conflicts(&mut self, route: &Value, delegate: bool) {
        let [redirect, direct, onward] =
            ["redirect", "directResponse", "delegate"].map(|field| !route[field].is_null());
        let routed = !list(&route["route"]).is_empty();
        if onward && !delegate {
            let name = text(&route["name"]);
            for (wrong, word) in [(redirect, "redirect"), (routed, "route")] {
                if wrong {
                    self.add(format!("root HTTP route {name} must not specify {word}"));
                }
            }
            return;
        }
        let wrong = [
            (onward, "delegate HTTP route cannot contain delegate"),
            (redirect && routed, "HTTP route cannot contain both route and redirect"),
            (redirect && !route["fault"].is_null(), "HTTP route cannot contain both fault and redirect"),
            (
                redirect && !route["rewrite"].is_null(),
                "HTTP route rule cannot contain both rewrite and redirect",
            ),
            (direct && routed, "HTTP route cannot contain both route and direct_response"),
            (!routed && !redirect && !direct, "HTTP route, redirect or direct_response is required"),
        ];
        for (_, words) in wrong.into_iter().filter(|(wrong, _)| *wrong) {
            self.add(words);
        }
    }

    fn http_match(&mut self, rule: &Value, delegating: bool, gateways: &[Value]) {
        for field in ["headers", "withoutHeaders"] {
            for (name, value) in rule[field].as_object().into_iter().flatten() {
                self.header_name(name, gateways);
                self.string_match(value, field);
            }
        }
        // For the URI an empty prefix is every path.
        if !delegating {
            self.pattern(&rule["uri"], "uri");
        }
        for field in ["scheme", "method", "authority"] {
            self.string_match(&rule[field], field);
        }
        for value in rule["queryParams"].as_object().into_iter().flatten().map(|(_, v)| v) {
            self.string_match(value, "queryParams");
        }
        self.match_port(rule);
        let tags = tag_errors(&rule["sourceLabels"]);
        if !tags.is_empty() {
            self.add(listed(&tags));
        }
        self.gateways(&rule["gateways"]);
        let namespace = text(&rule["sourceNamespace"]);
        if !namespace.is_empty() && !is_label(namespace) {
            self.add(format!("sourceNamespace match {namespace} is invalid"));
        }
    }

    fn header_name(&mut self, name: &str, gateways: &[Value]) {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() {
            self.add("header name cannot be empty");
        } else if name.starts_with("@request.auth.claims") {
            if gateways.is_empty() || gateways.iter().any(|g| g == "mesh") {
                let found: Vec<&str> = gateways.iter().map(text).collect();
                self.add(format!(
                    "JWT claim based routing (key: {name}) is only supported for gateway, found no gateways: [{}]",
                    found.join(" ")
                ));
            }
        } else if !name.chars().all(fits) {
            self.add(format!("header name {name} is not a valid header name"));
        }
    }

    fn string_match(&mut self, value: &Value, place: &str) {
        if value["prefix"] == "" {
            self.add(format!("{place:?}: prefix string match should not be empty"));
        }
        self.pattern(value, place);
    }

    fn pattern(&mut self, value: &Value, place: &str) {
        if let Some(words) = value["regex"].as_str().and_then(regex_error) {
            self.add(format!("{place:?}: {words}"));
        }
    }

    fn mirrors(&mut self, route: &Value) {
        if !route["mirror"].is_null() && !list(&route["mirrors"]).is_empty() {
            self.add("HTTP route cannot contain both mirror and mirrors");
        }
        self.percentage(&route["mirrorPercentage"], "mirror_percentage");
        if !route["mirror"].is_null() {
            self.destination(&route["mirror"]);
        }
        for mirror in list(&route["mirrors"]) {
            self.destination(&mirror["destination"]);
            self.percentage(&mirror["percentage"], "mirror percentage");
        }
    }

    fn percentage(&mut self, percentage: &Value, name: &str) {
        match percentage["value"].as_f64() {
            Some(value) if value > 100.0 => {
                self.add(format!("{name} must have a max value of 100 (it has {value:.6})"));
            }
            Some(value) if value < 0.0 => {
                self.add(format!("{name} must have a min value of 0 (it has {value:.6})"));
            }
            _ => {}
        }
    }

    fn retries(&mut self, retries: &Value) {
        match retries["attempts"].as_i64() {
            Some(attempts) if attempts < 0 => self.add(listed(&["attempts cannot be negative".to_owned()])),
            None | Some(0) if !retries["perTryTimeout"].is_null() || !retries["retryOn"].is_null() => {
                self.add("http retry policy configured when attempts are set to 0 (disabled)");
            }
            _ => {}
        }
        self.duration(&retries["perTryTimeout"]);
    }

    /// Whole milliseconds; that it is a duration at all is checked by the schema.
    fn duration(&mut self, value: &Value) {
        let fraction = text(value).split_once('.').and_then(|(_, end)| end.strip_suffix("ms"));
        if fraction.is_some_and(|digits| digits.chars().any(|c| c != '0')) {
            self.add("only durations to ms precision are supported");
        }
    }

    pub(super) fn tls_matches(&mut self, route: &Value, hosts: &[Value]) {
        if list(&route["match"]).is_empty() {
            self.add("TLS route must have at least one match condition");
        }
        for rule in list(&route["match"]) {
            let names: Vec<&str> = list(&rule["sniHosts"]).iter().map(text).collect();
            if names.is_empty() {
                self.add("TLS match must have at least one SNI host");
            }
            for name in names {
                if let Some(words) = domain_error(name) {
                    self.add(words);
                } else if !hosts.iter().any(|host| overlap(name, text(host))) {
                    let hosts: Vec<&str> = hosts.iter().map(text).collect();
                    self.add(format!(
                        "SNI host {name:?} is not a compatible subset of any of the virtual service hosts: [{}]",
                        hosts.join(", ")
                    ));
                }
            }
            self.match_port(rule);
        }
    }

    pub(super) fn l4_route(&mut self, route: &Value, protocol: &str) {
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

    pub(super) fn match_port(&mut self, rule: &Value) {
        if let Some(port) = rule["port"].as_u64().filter(|port| *port != 0) {
            self.port(port);
        }
    }

    fn port(&mut self, number: u64) {
        if !(1..=65535).contains(&number) {
            self.add(format!("port number {number} must be in the range 1..65535"));
        }
    }
}
