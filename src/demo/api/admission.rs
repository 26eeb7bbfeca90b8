//! The validating webhook of Istio's control plane, for the mistakes that a traffic tool can make. Pure.
//!
//! Asked by `write` after validation, dry runs included, as the real one is. The words are istiod's.

use serde_json::Value;

use super::failure::Failure;
use super::kinds::Kind;

const WEBHOOK: &str = "rev.validation.istio.io";

/// Refuses what istiod would refuse.
pub(super) fn review(kind: &Kind, value: &Value) -> Result<(), Failure> {
    let errors = match kind.kind {
        "VirtualService" => virtual_service(&value["spec"]),
        "DestinationRule" => destination_rule(&value["spec"]),
        _ => Vec::new(),
    };
    let words = match errors.as_slice() {
        [] => return Ok(()),
        [only] => only.clone(),
        several => {
            let listed: Vec<String> = several.iter().map(|e| format!("\t* {e}")).collect();
            format!("{} errors occurred:\n{}\n\n", several.len(), listed.join("\n"))
        }
    };
    Err(Failure::denied(WEBHOOK, &format!("configuration is invalid: {words}")))
}

fn virtual_service(spec: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    for protocol in ["http", "tls", "tcp"] {
        for route in spec[protocol].as_array().into_iter().flatten() {
            weights(&route["route"], protocol, &mut errors);
        }
    }
    errors
}

fn weights(route: &Value, _protocol: &str, errors: &mut Vec<String>) {
    let Some(destinations) = route.as_array() else { return };
    let weights: Vec<i64> = destinations.iter().map(|d| d["weight"].as_i64().unwrap_or(0)).collect();
    errors.extend(weights.iter().filter(|w| **w < 0).map(|w| format!("weight {w} < 0")));
    let total: i64 = weights.iter().sum();
    if total == 0 && destinations.len() > 1 {
        errors.push("total destination weight = 0".into());
    }
}

fn destination_rule(spec: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    if spec["host"].as_str().unwrap_or_default().is_empty() {
        errors.push("domain name \"\" invalid (label \"\" invalid)".into());
    }
    errors
}
