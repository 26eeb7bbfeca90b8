//! What a pod of the demo looks like, and what can be read off it. Pure; used by the controller and the router's
//! reading of the cluster.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::controller::text;

/// What the controllers of Deployments and StatefulSets put on their pods.
const TEMPLATE_HASH: &str = "pod-template-hash";
const REVISION: &str = "controller-revision-hash";
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// A new pod of a workload: has an address, is not ready.
pub fn make(workload: &Value, name: &str, hash: &str, number: u32, mesh: bool) -> Value {
    let template = &workload["spec"]["template"];
    let owner = text(workload, "/metadata/name");
    let mut metadata = template["metadata"].clone();
    metadata["namespace"] = workload["metadata"]["namespace"].clone();
    metadata["name"] = name.into();
    let (kind, owner) = if workload["kind"] == "StatefulSet" {
        metadata["labels"][POD_NAME] = name.into();
        metadata["labels"][POD_INDEX] = name.rsplit('-').next().unwrap_or_default().into();
        metadata["labels"][REVISION] = format!("{owner}-{hash}").into();
        ("StatefulSet", owner)
    } else {
        metadata["labels"][TEMPLATE_HASH] = hash.into();
        ("ReplicaSet", format!("{owner}-{hash}"))
    };
    let uid = match kind {
        "StatefulSet" => text(workload, "/metadata/uid"),
        _ => format!("{}-{hash}", text(workload, "/metadata/uid")),
    };
    if kind == "StatefulSet" {
        metadata["labels"]["controller-revision-hash"] = revision(workload, hash).into();
    }
    metadata["ownerReferences"] =
        json!([{ "apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": uid, "controller": true }]);
    let mut spec = template["spec"].clone();
    spec["nodeName"] = "demo-node".into();
    let refused = template["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
        || template["metadata"]["labels"]["sidecar.istio.io/inject"] == "false";
    if mesh && !refused {
        metadata["annotations"]["sidecar.istio.io/status"] =
            json!({ "containers": ["istio-proxy"], "revision": "default" }).to_string().into();
        if let Some(containers) = spec["containers"].as_array_mut() {
            containers.push(json!({ "name": "istio-proxy", "image": "istio/proxyv2:1.31.0" }));
        }
    }
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": { "podIP": format!("10.244.{}.{}", number / 250 % 250, number % 250 + 2), "hostIP": "10.0.0.2" },
    });
    tell(&mut pod, State::Starting);
    pod
}

/// The name of the ControllerRevision that a StatefulSet's template would have.
pub fn revision(set: &Value, hash: &str) -> String {
    format!("{}-{hash}", text(set, "/metadata/name"))
}

/// The pod once its containers run; a broken one stays as it is.
pub fn started(mut pod: Value) -> Value {
    let state = if is_broken(&pod) { State::CannotPull } else { State::Running };
    tell(&mut pod, state);
    pod
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    CannotPull,
    Running,
}

fn tell(pod: &mut Value, state: State) {
    let broken = is_broken(pod);
    let state = if broken { State::CannotPull } else { state };
    let (phase, ready) = if state == State::Running { ("Running", "True") } else { ("Pending", "False") };
    let statuses: Vec<Value> = pod["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|container| {
            let image = container["image"].as_str().unwrap_or_default();
            let waiting = match state {
                State::Starting => Some("ContainerCreating"),
                State::CannotPull if image.contains("broken") => Some("ImagePullBackOff"),
                State::CannotPull | State::Running => None,
            };
            let now = match waiting {
                Some(reason) => json!({ "waiting": { "reason": reason,
                    "message": format!("Back-off pulling image \"{image}\"") } }),
                None => json!({ "running": {} }),
            };
            json!({ "name": container["name"], "image": image, "imageID": "", "restartCount": 0,
                "ready": waiting.is_none(), "started": waiting.is_none(), "state": now })
        })
        .collect();
    let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status });
    pod["status"]["phase"] = phase.into();
    pod["status"]["conditions"] = json!([
        condition("PodScheduled", "True"),
        condition("Initialized", "True"),
        condition("ContainersReady", ready),
        condition("Ready", ready),
    ]);
    pod["status"]["containerStatuses"] = statuses.into();
}

/// The name of the Deployment or StatefulSet that made the pod.
pub fn workload_of(pod: &Value) -> Option<String> {
    let owner = pod["metadata"]["ownerReferences"].as_array()?.iter().find(|o| o["controller"] == true)?;
    let name = owner["name"].as_str()?;
    if owner["kind"] == "ReplicaSet" {
        let hash = pod["metadata"]["labels"][TEMPLATE_HASH].as_str()?;
        return name.strip_suffix(hash)?.strip_suffix('-').map(ToOwned::to_owned);
    }
    Some(name.to_owned())
}

/// The hash of the template that a pod was made from.
pub fn hash_of(pod: &Value) -> Option<&str> {
    let labels = &pod["metadata"]["labels"];
    labels[TEMPLATE_HASH].as_str().or_else(|| labels[REVISION].as_str()?.rsplit('-').next())
}

pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

/// True for pods that will never be ready.
pub fn is_broken(pod: &Value) -> bool {
    let containers = pod["spec"]["containers"].as_array();
    containers.is_some_and(|all| {
        all.iter().any(|c| c["image"].as_str().is_some_and(|image| image.contains("broken")))
    })
}

/// True for pods with a sidecar.
pub fn is_meshed(pod: &Value) -> bool {
    ["containers", "initContainers"].iter().any(|list| {
        let containers = pod["spec"][list].as_array();
        containers.is_some_and(|all| all.iter().any(|c| c["name"] == "istio-proxy"))
    })
}

/// Milliseconds since 1970.
pub fn created_ms(object: &Value) -> i64 {
    let at = object["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
    at.parse::<Timestamp>().map_or(0, Timestamp::as_millisecond)
}
