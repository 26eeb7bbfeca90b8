//! The endpoint slice controller of the demo: for each Service with a selector, who answers. Called by the
//! controller; must never touch slices that it did not make.

use std::collections::BTreeSet;

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
        let chunks = behind.len().div_ceil(MOST).max(1);
        for n in 0..chunks {
            let pods = behind.iter().skip(n * MOST).take(MOST);
            let slice = slice(&service, n, pods.map(|pod| endpoint(pod)).collect());
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

fn slice(service: &Value, number: usize, endpoints: Vec<Value>) -> Value {
    let name = text(service, "/metadata/name");
    let ports: Vec<Value> = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let target = if port["targetPort"].is_u64() { &port["targetPort"] } else { &port["port"] };
            let name = port["name"].as_str().unwrap_or_default();
            json!({ "name": name, "port": target, "protocol": port["protocol"].as_str().unwrap_or("TCP") })
        })
        .collect();
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
