//! A pending change as the address of its service's page: it survives a reload, and everybody who opens it sees the same
//! numbers and what they would do now. Nothing is written by it.
//!
//! Parameters: `route`, `w.VERSION`, `rules` (JSON, when edited), `mirror` with `mirror_pct`, `no_mirror=1`, and `base`:
//! the revision that the change was prepared on. Where the service has moved on, the reader is asked first.

use crate::domain::overview::Overview;

use super::query::{Address, service_path};
use super::service::Typed;

/// The address that opens the page of a service with this change pending; `None` = nothing was typed.
pub fn link(item: &Overview, typed: &Typed) -> Option<String> {
    if typed.weights.is_empty() && typed.rules.is_none() && typed.mirror.is_none() {
        return None;
    }
    let at = item.at();
    let mut address = Address::new(service_path(at.namespace.as_str(), &at.name)).with("route", &typed.route);
    for (version, weight) in &typed.weights {
        address = address.with(&format!("w.{version}"), weight);
    }
    if let Some(rules) = &typed.rules {
        address = address.with("rules", serde_json::to_string(rules).unwrap_or_default());
    }
    match typed.mirror.as_deref() {
        Some("") if item.routing.mirror.is_some() => address = address.with("no_mirror", 1),
        None | Some("-" | "") => {}
        Some(version) => {
            let percent = typed.mirror_percent.as_deref().unwrap_or_default();
            address = address.with("mirror", version).with("mirror_pct", percent);
        }
    }
    let address = address.with("base", typed.base_revision.unwrap_or(item.revision));
    Some(address.to_string())
}

/// The fields of the page's form that an address sets; empty = it sets none.
pub fn fields(query: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut pending = false;
    for (name, value) in query {
        let sets = name.starts_with("w.") || matches!(name.as_str(), "rules" | "mirror");
        if name == "no_mirror" {
            fields.push(("mirror".to_owned(), String::new()));
            pending = true;
        } else if name == "base" {
            fields.push(("base_revision".to_owned(), value));
        } else if sets || matches!(name.as_str(), "route" | "mirror_pct") {
            fields.push((name, value));
            pending |= sets;
        }
    }
    if pending { fields } else { Vec::new() }
}
