//! The table of shapes: what people have in their clusters, what Envoy answered, and what Sluice must say and do.
//! One YAML file in `data` a shape. Two tests walk each file: [`memory`] on the API server in memory, [`real`] on the
//! real API server, istiod and Envoy with 200 requests a look. See `README.md` for how a shape is written.

mod expect;
mod memory;
mod real;
mod walk;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A file of `data`. Its name is the namespace of the shape.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// What it is, and where it was reported.
    pub about: String,
    /// `NAME`, or `NAMESPACE/NAME` in a further namespace of the shape.
    pub service: String,
    /// `client` (a Deployment with a sidecar, made by the walk), `NAMESPACE/NAME` of a Deployment of the shape, or
    /// `gateway` (the ingress gateway; the shape brings its Gateway).
    #[serde(default)]
    pub from: Option<String>,
    /// Answers are counted by the values of these labels of the pod that answered.
    #[serde(default = "version")]
    pub count_by: Vec<String>,
    pub objects: Vec<Value>,
    pub steps: Vec<Step>,
}

fn version() -> Vec<String> {
    vec!["version".to_owned()]
}

/// What is done or looked at, in turn.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// 200 requests, and how Envoy shared them out.
    Send(Send),
    /// What `GET /api/v1/services/…` says.
    Shows(Shows),
    /// A change through Sluice.
    Do(Do),
    /// `kubectl apply`.
    Apply(Vec<Value>),
    /// `kubectl patch --type merge`.
    Patch(Patch),
    /// `kubectl delete`.
    Delete(Deleted),
    /// `kubectl label` of one of the service's pods.
    LabelPod(LabelPod),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// Absent = the service's full name.
    #[serde(default)]
    pub host: Option<String>,
    /// Absent = the service's first port.
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default = "root")]
    pub path: String,
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, String>,
    /// `http` or `tcp`.
    #[serde(default)]
    pub speaks: Option<String>,
    /// Who sends, where it is not the shape's `from`.
    #[serde(default)]
    pub from: Option<String>,
    /// Percent by what answered: the label values with blanks between them, or `503 UH` for Envoy itself. What is not
    /// named must not answer.
    pub answers: std::collections::BTreeMap<String, f64>,
    /// True (the usual): what Sluice declares for the default route lies in the 99.9 % interval of what was counted.
    #[serde(default = "yes")]
    pub as_declared: bool,
    /// False where the router in memory does not know this part of Envoy.
    #[serde(default = "yes")]
    pub in_memory: bool,
}

fn root() -> String {
    "/".to_owned()
}

fn yes() -> bool {
    true
}

/// Whatever is absent is not looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shows {
    /// Exactly these, as `READY/TOTAL`.
    #[serde(default)]
    pub versions: Option<Map<String, Value>>,
    /// `declared`; null = spread by pods.
    #[serde(default, deserialize_with = "said")]
    pub declared: Option<Value>,
    #[serde(default)]
    pub state: Option<String>,
    /// The images of some versions.
    #[serde(default)]
    pub images: Map<String, Value>,
    /// Codes that are among the findings.
    #[serde(default)]
    pub findings: Vec<String>,
    /// Codes that are not.
    #[serde(default)]
    pub no_findings: Vec<String>,
    /// JSON pointer into the answer → value there (a part of it, for objects).
    #[serde(default)]
    pub at: Map<String, Value>,
}

/// Tells `declared: null` from no `declared`.
fn said<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Do {
    /// The body of `PUT …/traffic`: `weights`, `rules`, `mirror`, `route`. A route may be named by the end of its id.
    #[serde(default)]
    pub traffic: Option<Value>,
    #[serde(default)]
    pub take_over: Option<String>,
    /// Counted from the revision before the shape's first change, which is 0.
    #[serde(default)]
    pub switch_back: Option<u64>,
    /// The code of the refusal, or of a check that blocks. Absent = it is written.
    #[serde(default)]
    pub refused: Option<String>,
    /// Codes that must be acknowledged.
    #[serde(default)]
    pub acknowledged: Vec<String>,
    /// JSON pointer into the answer → value there (a part of it, for objects).
    #[serde(default)]
    pub at: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    pub kind: String,
    pub name: String,
    #[serde(default)]
    pub namespace: Option<String>,
    pub merge: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deleted {
    pub kind: String,
    pub name: String,
    #[serde(default)]
    pub namespace: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelPod {
    /// The first pod, by name, that has these labels …
    pub of: Map<String, Value>,
    /// … gets these; null takes a label away.
    pub labels: Map<String, Value>,
}

impl Shape {
    pub fn read(text: &str) -> Self {
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Namespace and name of the service, of a shape in this namespace.
    pub fn service<'a>(&'a self, namespace: &'a str) -> (&'a str, &'a str) {
        self.service.split_once('/').unwrap_or((namespace, &self.service))
    }
}

/// Writes an object of a shape out: the short forms of `README.md`, API versions and namespaces.
pub fn whole(object: &Value, namespace: &str) -> Value {
    let mut object = short(object).unwrap_or_else(|| object.clone());
    let version = match object["kind"].as_str().expect("kind") {
        "Service" | "Pod" | "Namespace" | "ConfigMap" => "v1",
        "Deployment" | "StatefulSet" | "ReplicaSet" => "apps/v1",
        _ => "networking.istio.io/v1",
    };
    if object["apiVersion"].is_null() {
        object["apiVersion"] = json!(version);
    }
    if object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

/// `{service: …}` and `{deployment: …}` and the like.
fn short(object: &Value) -> Option<Value> {
    let map = object.as_object()?;
    let metadata = |name: &Value| json!({"name": name, "namespace": object["namespace"]});
    if let Some(name) = map.get("service") {
        let ports = match &object["ports"] {
            Value::Null => json!([{"name": "http", "port": 8080, "targetPort": 8080}]),
            ports => ports.clone(),
        };
        let spec = json!({"selector": object["selector"], "ports": ports});
        return Some(json!({"kind": "Service", "metadata": metadata(name), "spec": spec}));
    }
    let (kind, name) =
        [("Deployment", "deployment"), ("StatefulSet", "stateful_set"), ("ReplicaSet", "replica_set")]
            .into_iter()
            .find_map(|(kind, key)| Some((kind, map.get(key)?)))
            .or_else(|| Some(("Pod", map.get("pod")?)))?;
    let labels = &object["labels"];
    let image = object["image"].as_str().unwrap_or("example/app:1");
    let ports = match &object["ports"] {
        Value::Null => json!([{"containerPort": 8080}]),
        ports => ports.clone(),
    };
    let containers = json!([
        {"name": "app", "image": image, "ports": ports},
        {"name": "istio-proxy", "image": "istio/proxyv2:1.31.0", "args": ["proxy", "sidecar"]},
    ]);
    let mut pod = json!({
        "metadata": {"labels": labels, "annotations": {"sidecar.istio.io/status": "{}"}},
        "spec": {"containers": containers},
    });
    if kind == "Pod" {
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = name.clone();
        pod["metadata"]["namespace"] = object["namespace"].clone();
        return Some(pod);
    }
    let selector = if object["selector"].is_null() { labels } else { &object["selector"] };
    let replicas = object["replicas"].as_u64().unwrap_or(1);
    let mut spec = json!({"replicas": replicas, "selector": {"matchLabels": selector}, "template": pod});
    if kind == "StatefulSet" {
        spec["serviceName"] = name.clone();
    }
    Some(json!({"kind": kind, "metadata": metadata(name), "spec": spec}))
}

/// One test a file on either chain.
macro_rules! shapes {
    ($($name:ident)*) => {
        const ALL: &[&str] = &[$(stringify!($name)),*];

        mod in_memory {
            $(#[tokio::test]
            async fn $name() {
                let text = include_str!(concat!("data/", stringify!($name), ".yaml"));
                super::memory::walk(stringify!($name), text).await;
            })*
        }

        mod on_the_real_chain {
            $(#[tokio::test]
            async fn $name() {
                let text = include_str!(concat!("data/", stringify!($name), ".yaml"));
                super::real::walk(stringify!($name), text).await;
            })*
        }
    };
}

// Lower case letters and digits: each is the name of a namespace.
shapes! {
    a1rolling
    a2relabelled
    a3stateful
    a4hash
    b1created
    b1paths
    b2roles
    c1choose c1delegate c3outside
    d4strangler
    h1private h2ports
    h3shared
    h4replicasets
    h5track
    h6selector wideselector
    roles
    strangeback wideown
    aborted nohost siblings wrongport
    exportedhere exportedother exportednone
    everypath halfhost lanesonly otherrules unexpanded
    dnstcp httponly httpontcp knative kruise postgres tlsport unnamed
}

#[test]
fn every_file_is_walked() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/shapes/data");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".yaml", ""))
        .collect();
    files.sort();
    let mut all = ALL.to_vec();
    all.sort_unstable();
    assert_eq!(files, all);
}
