//! The endpoint slice controller of the demo: for each Service with a selector, who answers. Called by the
//! controller; must never touch slices that it did not make.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::api::ApiServer;
use super::controller::{text, values};
use super::pods;

const MANAGER: &str = "endpointslice-controller.k8s.io";
/// Endpoints a slice, as in Kubernetes.
const MOST: usize = 100;

/// Brings all slices in step with Services and pods.
pub fn settle(api: &ApiServer) {
    let all: Vec<Value> = values(api, "Pod").collect();
    let mut right: BTreeSet<(String, String)> = BTreeSet::new();
    for service in values(api, "Service") {
        let Some(selector) = service["spec"]["selector"].as_object().filter(|s| !s.is_empty()) else {
            continue;
        };
        let namespace = text(&service, "/metadata/namespace");
        let behind: Vec<&Value> = all
            .iter()
            .filter(|pod| pod["metadata"]["namespace"] == *namespace)
            .filter(|pod| selector.iter().all(|(k, v)| pod["metadata"]["labels"].get(k) == Some(v)))
            .filter(|pod| pod["status"]["podIP"].is_string())
            .collect();
        // Pods whose ports differ lie in slices of their own.
        let mut by_ports: BTreeMap<String, (Vec<Value>, Vec<Value>)> = BTreeMap::new();
        for pod in behind {
            let ports = ports(&service, pod);
            let key = Value::from(ports.clone()).to_string();
            by_ports.entry(key).or_insert((ports, Vec::new())).1.push(endpoint(pod));
        }
        if by_ports.is_empty() {
            by_ports.insert(String::new(), (ports(&service, &Value::Null), Vec::new()));
        }
        let chunks = by_ports.into_values().flat_map(|(ports, pods)| {
            let parts: Vec<Vec<Value>> =
                if pods.is_empty() { vec![pods] } else { pods.chunks(MOST).map(<[Value]>::to_vec).collect() };
            parts.into_iter().map(move |part| (ports.clone(), part))
        });
        for (n, (ports, endpoints)) in chunks.enumerate() {
            let slice = slice(&service, n, &ports, endpoints);
            right.insert((namespace.clone(), text(&slice, "/metadata/name")));
            if let Err(failure) = api.put_as(slice, MANAGER) {
                tracing::warn!(%namespace, ?failure, "the demo could not write an EndpointSlice");
            }
        }
    }
    for slice in values(api, "EndpointSlice") {
        let key = (text(&slice, "/metadata/namespace"), text(&slice, "/metadata/name"));
        let ours = slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == MANAGER;
        if ours && !right.contains(&key) {
            drop(api.delete("EndpointSlice", &key.0, &key.1));
        }
    }
}

/// The ports of a Service that a pod has: one whose target is a name only where a container names a port so.
fn ports(service: &Value, pod: &Value) -> Vec<Value> {
    let all = |of: &Value| of.as_array().cloned().unwrap_or_default();
    let named = |name: &Value| {
        let ports =
            all(&pod["spec"]["containers"]).into_iter().flat_map(|container| all(&container["ports"]));
        ports.filter(|port| port["name"] == *name).map(|port| port["containerPort"].clone()).next()
    };
    let of_pod = |port: Value| {
        let target = match &port["targetPort"] {
            name if name.is_string() => named(name)?,
            number if number.is_u64() => number.clone(),
            _ => port["port"].clone(),
        };
        let name = port["name"].as_str().unwrap_or_default();
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        Some(json!({ "name": name, "port": target, "protocol": protocol }))
    };
    all(&service["spec"]["ports"]).into_iter().filter_map(of_pod).collect()
}

fn slice(service: &Value, number: usize, ports: &[Value], endpoints: Vec<Value>) -> Value {
    let name = text(service, "/metadata/name");
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "namespace": service["metadata"]["namespace"],
            "name": format!("{name}-demo{number}"),
            "labels": {
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": MANAGER,
            },
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Service", "name": name, "controller": true,
                "uid": service["metadata"]["uid"] }],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    })
}

fn endpoint(pod: &Value) -> Value {
    let ready = pods::is_ready(pod);
    json!({
        "addresses": [pod["status"]["podIP"]],
        "conditions": { "ready": ready, "serving": ready, "terminating": false },
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": { "kind": "Pod", "namespace": pod["metadata"]["namespace"],
            "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"] },
    })
}
