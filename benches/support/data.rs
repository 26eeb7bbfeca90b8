//! Made-up services for the benchmarks, the same in every run.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sluice::demo::api::ApiServer;

/// Fills a server: each service with three Deployments of one pod, an EndpointSlice, a VirtualService and a
/// DestinationRule; 100 services a namespace, every tenth with a header rule. Returns the number of objects.
pub fn fill(api: &ApiServer, services: usize) -> usize {
    let mut objects = 0;
    let mut put = |object: Value| {
        api.put(object).unwrap();
        objects += 1;
    };
    for n in 0..services {
        let (namespace, name) = (format!("team-{:03}", n / 100), format!("service-{n:05}"));
        let meta =
            |name: &str, labels: &Value| json!({"namespace": namespace, "name": name, "labels": labels});
        let own = json!({"app": name, "team": namespace, "app.kubernetes.io/managed-by": "Helm"});
        let ports = json!([{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]);
        put(json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(&name, &own),
            "spec": {"clusterIP": format!("10.96.{}.{}", n / 250, n % 250 + 1), "selector": {"app": name}, "ports": ports}}));
        let mut endpoints = Vec::new();
        for version in ["v1", "v2", "v3"] {
            let labels = json!({"app": name, "version": version, "team": namespace});
            let workload = format!("{name}-{version}");
            let spec = pod_spec(&name, version);
            put(
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(&workload, &labels), "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": name, "version": version}},
                "template": {"metadata": {"labels": labels}, "spec": spec}},
                "status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "observedGeneration": 1}}),
            );
            let mut labels = labels.clone();
            labels["pod-template-hash"] = json!(format!("{:08x}", n * 2_654_435_761 % 0xffff_ffff));
            labels["service.istio.io/canonical-name"] = json!(name);
            labels["service.istio.io/canonical-revision"] = json!(version);
            let pod = format!("{workload}-{:05x}", n * 48_271 % 0xf_ffff);
            let mut meta = meta(&pod, &labels);
            meta["annotations"] = json!({"sidecar.istio.io/status": "{\"initContainers\":[\"istio-init\"]}"});
            put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {
                "phase": "Running", "podIP": format!("10.244.{}.{}", n / 250, n % 250 + 1),
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}],
                "containerStatuses": [{"name": name, "ready": true, "restartCount": 0, "image": format!("registry.example/{name}:{version}"),
                    "imageID": "", "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}}}]}}));
            endpoints.push(json!({"addresses": [format!("10.244.{}.{}", n / 250, n % 250 + 1)],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod}}));
        }
        let mut slice = meta(&format!("{name}-slice"), &own);
        slice["labels"]["kubernetes.io/service-name"] = json!(name);
        put(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": slice,
            "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 8080}]}));
        put(
            json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta(&name, &own),
            "spec": route(&name, &namespace, n % 10 == 0)}),
        );
        let subsets =
            ["v1", "v2", "v3"].map(|version| json!({"name": version, "labels": {"version": version}}));
        put(
            json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": meta(&name, &own),
            "spec": {"host": host(&name, &namespace), "subsets": subsets}}),
        );
    }
    objects
}

fn host(name: &str, namespace: &str) -> String {
    let mut host = String::new();
    write!(host, "{name}.{namespace}.svc.cluster.local").unwrap();
    host
}

fn pod_spec(name: &str, version: &str) -> Value {
    json!({"serviceAccountName": name, "containers": [{
        "name": name, "image": format!("registry.example/{name}:{version}"), "ports": [{"containerPort": 8080}],
        "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "VERSION", "value": version}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5},
    }]})
}

fn route(name: &str, namespace: &str, with_rule: bool) -> Value {
    let host = host(name, namespace);
    let to = |subset: &str, weight: u32| json!({"destination": {"host": host, "subset": subset}, "weight": weight});
    let mut http =
        vec![json!({"name": "default", "timeout": "5s", "retries": {"attempts": 2, "perTryTimeout": "2s"},
        "route": [to("v1", 70), to("v2", 20), to("v3", 10)]})];
    if with_rule {
        http.insert(
            0,
            json!({"match": [{"headers": {"x-tester": {"exact": "yes"}}}], "route": [to("v3", 100)]}),
        );
    }
    json!({"hosts": [host], "http": http})
}
