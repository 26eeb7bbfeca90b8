//! How the objects of the sample applications are put together. Used by this folder only.

use serde_json::{Value, json};

use super::Seeded;

const KUBECTL: &str = "kubectl-client-side-apply";

/// One workload of an application.
pub struct Workload<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub labels: &'a [(&'a str, &'a str)],
    pub image: &'a str,
    pub port: u16,
    pub replicas: u32,
    /// `false` = the pod template asks for no sidecar.
    pub sidecar: bool,
}

/// Written with kubectl.
pub fn by_kubectl(object: Value) -> Seeded {
    Seeded { manager: KUBECTL, object }
}

pub fn namespace(name: &str, mesh: bool) -> Seeded {
    let injection = if mesh { "enabled" } else { "disabled" };
    by_kubectl(json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": name, "labels": { "istio-injection": injection } },
    }))
}

/// A service that selects `app: name`.
pub fn service(namespace: &str, name: &str, port: (&str, u16)) -> Seeded {
    by_kubectl(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "namespace": namespace, "name": name, "labels": { "app": name, "service": name } },
        "spec": { "selector": { "app": name }, "ports": [{ "name": port.0, "port": port.1 }] },
    }))
}

pub fn deployment(workload: &Workload<'_>) -> Seeded {
    let labels: Value = workload.labels.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    let annotations = if workload.sidecar {
        json!({ "prometheus.io/scrape": "true" })
    } else {
        json!({ "sidecar.istio.io/inject": "false" })
    };
    by_kubectl(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "namespace": workload.namespace, "name": workload.name, "labels": labels },
        "spec": {
            "replicas": workload.replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels, "annotations": annotations },
                "spec": { "containers": [{
                    "name": workload.labels[0].1,
                    "image": workload.image,
                    "ports": [{ "containerPort": workload.port }],
                    "resources": { "requests": { "cpu": "50m", "memory": "64Mi" } },
                }] },
            },
        },
    }))
}

/// A deployment `app-version` with the labels `app` and `version`.
pub fn version(namespace: &str, app: &str, version: &str, image: &str, port: u16, replicas: u32) -> Seeded {
    deployment(&Workload {
        namespace,
        name: &format!("{app}-{version}"),
        labels: &[("app", app), ("version", version)],
        image,
        port,
        replicas,
        sidecar: true,
    })
}

pub fn virtual_service(namespace: &str, name: &str, spec: Value) -> Seeded {
    istio("VirtualService", namespace, name, spec)
}

pub fn gateway(namespace: &str, name: &str, host: &str) -> Seeded {
    let servers = json!([{ "port": { "number": 80, "name": "http", "protocol": "HTTP" }, "hosts": [host] }]);
    istio(
        "Gateway",
        namespace,
        name,
        json!({ "selector": { "istio": "ingressgateway" }, "servers": servers }),
    )
}

/// A DestinationRule with one subset a version, named like it.
pub fn destination_rule(namespace: &str, name: &str, host: &str, versions: &[&str]) -> Seeded {
    let subsets: Vec<Value> =
        versions.iter().map(|v| json!({ "name": v, "labels": { "version": v } })).collect();
    istio("DestinationRule", namespace, name, json!({ "host": host, "subsets": subsets }))
}

pub fn istio(kind: &str, namespace: &str, name: &str, spec: Value) -> Seeded {
    by_kubectl(json!({
        "apiVersion": "networking.istio.io/v1", "kind": kind,
        "metadata": { "namespace": namespace, "name": name },
        "spec": spec,
    }))
}

impl Seeded {
    /// Recorded as written by this program instead.
    #[must_use]
    pub fn by(mut self, manager: &'static str) -> Self {
        self.manager = manager;
        self
    }

    #[must_use]
    pub fn label(self, key: &str, value: &str) -> Self {
        self.meta("labels", key, value)
    }

    #[must_use]
    pub fn annotation(self, key: &str, value: &str) -> Self {
        self.meta("annotations", key, value)
    }

    fn meta(mut self, map: &str, key: &str, value: &str) -> Self {
        self.object["metadata"][map][key] = value.into();
        self
    }
}
