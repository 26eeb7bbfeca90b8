//! A change as a call of the REST API, to repeat it without the page.

use serde_json::{Map, Value, json};

use crate::domain::ids::ServiceRef;
use crate::domain::refusal::{Check, Severity};
use crate::domain::removal;

use super::ask::Wish;

/// The same change as a call of the REST API: method, path and body.
pub(super) fn call_of(
    at: &ServiceRef,
    wish: &Wish,
    after: &crate::domain::routing::Weights,
    checks: &[Check],
) -> (&'static str, String, Value) {
    let ack: Vec<&str> = checks
        .iter()
        .filter(|check| check.severity == Severity::Acknowledge)
        .map(|check| check.code.as_str())
        .collect();
    let path = format!("/api/v1/services/{}/{}/traffic", at.namespace, at.name);
    match wish {
        Wish::Set(change) => {
            let mut body = Map::new();
            if change.weights.is_some() {
                let weights: Map<String, Value> =
                    after.iter().map(|(version, weight)| (version.to_string(), json!(weight))).collect();
                body.insert("weights".into(), weights.into());
            }
            if let Some(route) = &change.route {
                body.insert("route".into(), json!(route));
            }
            if let Some(rules) = &change.rules {
                body.insert("rules".into(), rules.iter().map(rule_json).collect());
            }
            if let Some(mirror) = &change.mirror {
                let mirror = mirror
                    .as_ref()
                    .map(|mirror| json!({"version": mirror.version, "percent": mirror.percent}));
                body.insert("mirror".into(), mirror.unwrap_or(Value::Null));
            }
            body.insert("ack".into(), json!(ack));
            body.insert("reason".into(), json!("…"));
            ("PUT", path, body.into())
        }
        Wish::TakeOver(version) => {
            ("POST", format!("{path}/takeover"), json!({"version": version, "ack": ack, "reason": "…"}))
        }
        Wish::Retire(version) => {
            let confirm = removal::confirmation(&at.name, version);
            let body = json!({"version": version, "confirm": confirm, "ack": ack, "reason": "…"});
            ("POST", format!("{path}/retire"), body)
        }
        Wish::SwitchBack(revision) => {
            ("POST", format!("{path}/switch-back"), json!({"revision": revision, "reason": "…"}))
        }
    }
}

/// A rule in the shape of the REST API: `{"id"?, "name"?, "when": [[condition]], "to": {version: percent}}`.
fn rule_json(rule: &crate::domain::routing::Rule) -> Value {
    let when: Vec<Vec<Value>> = rule
        .when
        .iter()
        .map(|all| all.iter().map(|condition| serde_json::to_value(condition).unwrap_or_default()).collect())
        .collect();
    let to: Map<String, Value> =
        rule.to.iter().map(|(version, weight)| (version.to_string(), json!(weight))).collect();
    let mut out = Map::new();
    if let Some(id) = &rule.id {
        out.insert("id".into(), json!(id));
    }
    if let Some(name) = &rule.name {
        out.insert("name".into(), json!(name));
    }
    out.insert("when".into(), json!(when));
    out.insert("to".into(), to.into());
    out.into()
}
