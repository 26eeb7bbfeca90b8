//! The little of built-in validation and defaulting that clients can trip over. Pure.
//!
//! A real server defaults and checks hundreds of fields; here are those that Sluice reads or that a test on both
//! servers would notice. What is missing is missing on purpose: an object that is valid there is valid here.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::failure::FieldError;
use super::kinds::Kind;
use super::object::as_map;

/// Fills in what the server would at creation.
pub(super) fn fill_in(kind: &Kind, value: &mut Value, serial: u64) {
    match kind.kind {
        "Service" => fill_service(value, serial),
        "Namespace" => {
            let name = value["metadata"]["name"].clone();
            let meta = super::object::metadata_mut(value);
            as_map(meta.entry("labels").or_insert_with(|| json!({})))
                .insert("kubernetes.io/metadata.name".into(), name);
            let map = as_map(value);
            map.insert("spec".into(), json!({"finalizers": ["kubernetes"]}));
            map.insert("status".into(), json!({"phase": "Active"}));
        }
        "Deployment" | "StatefulSet" | "ReplicaSet" => {
            let spec = part(value, "spec");
            spec.entry("replicas").or_insert_with(|| 1.into());
            as_map(value).entry("status").or_insert_with(|| json!({}));
        }
        "Pod" => {
            let status = part(value, "status");
            status.entry("phase").or_insert_with(|| "Pending".into());
        }
        _ => {}
    }
}

/// Keeps, on an update, what the server would not let go.
pub(super) fn keep(kind: &Kind, before: &Value, after: &mut Value) {
    if kind.kind == "Service" {
        let spec = part(after, "spec");
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "type", "sessionAffinity"] {
            if let Some(old) = before["spec"].get(field) {
                spec.entry(field).or_insert_with(|| old.clone());
            }
        }
        fill_ports(spec);
    }
}

/// What is wrong with the object that would be stored.
pub(super) fn validate(kind: &Kind, value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match kind.kind {
        "Service" => {
            let spec = &value["spec"];
            let needs_ports = spec["type"] != "ExternalName" && spec["clusterIP"] != "None";
            if needs_ports && spec["ports"].as_array().is_none_or(Vec::is_empty) {
                errors.push(FieldError::required("spec.ports", ""));
            }
        }
        "Deployment" | "StatefulSet" | "ReplicaSet" => {
            let selector = &value["spec"]["selector"];
            if selector.is_null() {
                errors.push(FieldError::required("spec.selector", ""));
            }
            let labels = &value["spec"]["template"]["metadata"]["labels"];
            let wanted = selector["matchLabels"].as_object();
            if wanted.is_some_and(|w| w.iter().any(|(key, v)| labels.get(key) != Some(v))) {
                errors.push(FieldError::invalid(
                    "spec.template.metadata.labels",
                    &labels.to_string(),
                    "`selector` does not match template `labels`",
                ));
            }
        }
        "Pod" if value["spec"]["containers"].as_array().is_none_or(Vec::is_empty) => {
            errors.push(FieldError::required("spec.containers", ""));
        }
        "EndpointSlice" => validate_slice(value, &mut errors),
        _ => {}
    }
    errors
}

fn validate_slice(value: &Value, errors: &mut Vec<FieldError>) {
    if value["addressType"].as_str().unwrap_or_default().is_empty() {
        errors.push(FieldError::required("addressType", ""));
    }
    for (at, endpoint) in value["endpoints"].as_array().into_iter().flatten().enumerate() {
        for (nth, address) in endpoint["addresses"].as_array().into_iter().flatten().enumerate() {
            let text = address.as_str().unwrap_or_default();
            let field = format!("endpoints[{at}].addresses[{nth}]");
            match text.parse::<IpAddr>() {
                Ok(ip) if ip.is_loopback() => errors.push(FieldError::invalid(
                    field,
                    &format!("{text:?}"),
                    "may not be in the loopback range (127.0.0.0/8, ::1/128)",
                )),
                Err(_) if value["addressType"] == "IPv4" => errors.push(FieldError::invalid(
                    field,
                    &format!("{text:?}"),
                    "must be a valid IPv4 address, (e.g. 10.9.8.7)",
                )),
                _ => {}
            }
        }
    }
}

fn fill_service(value: &mut Value, serial: u64) {
    let spec = part(value, "spec");
    spec.entry("type").or_insert_with(|| "ClusterIP".into());
    spec.entry("sessionAffinity").or_insert_with(|| "None".into());
    if spec["type"] != "ExternalName" {
        // 10.96.0.0/12, the range of most clusters; unique for the first million services.
        let ip = format!("10.{}.{}.{}", 96 + (serial >> 16) % 16, (serial >> 8) % 256, serial % 256);
        let ip = spec.entry("clusterIP").or_insert_with(|| ip.into()).clone();
        spec.entry("clusterIPs").or_insert_with(|| json!([ip]));
        spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
        spec.entry("ipFamilyPolicy").or_insert_with(|| "SingleStack".into());
        spec.entry("internalTrafficPolicy").or_insert_with(|| "Cluster".into());
    }
    fill_ports(spec);
    as_map(value).entry("status").or_insert_with(|| json!({"loadBalancer": {}}));
}

fn fill_ports(spec: &mut Map<String, Value>) {
    let Some(Value::Array(ports)) = spec.get_mut("ports") else { return };
    for port in ports {
        let port = as_map(port);
        port.entry("protocol").or_insert_with(|| "TCP".into());
        let same = port.get("port").cloned().unwrap_or_default();
        port.entry("targetPort").or_insert(same);
    }
}

fn part<'a>(value: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    as_map(as_map(value).entry(name).or_insert_with(|| Value::Object(Map::new())))
}
