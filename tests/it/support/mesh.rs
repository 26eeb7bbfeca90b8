//! Real requests: applications in a namespace of the test's own, sent to through a real Envoy that the real
//! istiod drives. Used by the tests of `tests/it/traffic`; `tests/cluster` starts the parts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::RealCluster;
use super::served::{Answer, Served};
use super::wait_for;

/// A namespace with applications, and the sidecar of one of them from which requests are made.
pub struct Town<'a> {
    pub cluster: &'a RealCluster,
    pub namespace: String,
    sidecars: std::sync::Mutex<Vec<String>>,
    client: kube::Client,
}

/// A load, as `order` in `tests/cluster/load.go`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Load {
    /// The proxy: `NAMESPACE/APP` or `gateway`.
    pub from: String,
    pub port: u16,
    /// `http` (also when empty), `tcp` or `tls`.
    pub speaks: &'static str,
    /// Sent in turn.
    pub requests: Vec<Ask>,
    /// Connections that stay open.
    pub streams: u32,
    /// Ends after so many requests …
    pub count: u32,
    /// … or after so many seconds; 0 = at most 300.
    pub seconds: f64,
    /// Requests a second; 0 = as fast as they go.
    pub rate: f64,
    /// Whether `Outcome::each` is wanted.
    pub each: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Ask {
    pub method: String,
    pub host: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

impl Ask {
    pub fn to(host: &str) -> Self {
        Self { host: host.to_owned(), path: "/".to_owned(), ..Self::default() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// What came of a load, as `outcome` in `tests/cluster/load.go`.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    pub sent: u32,
    /// By status and who answered: `200 reviews v1`, `503 UH`.
    pub answers: BTreeMap<String, u32>,
    /// The first that are neither 2xx nor 3xx.
    pub failures: Vec<Got>,
    #[serde(default)]
    pub each: Vec<Got>,
}

/// What came back for one request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Got {
    pub status: u16,
    pub version: String,
    /// Empty when Envoy itself answered.
    pub pod: String,
    /// The path as the application saw it.
    pub path: String,
    /// Envoy's response flags, when Envoy itself answered.
    pub flags: String,
    pub error: String,
    /// As the application saw it.
    pub host: String,
    pub location: String,
    pub millis: f64,
    /// When it was asked, milliseconds since 1970.
    pub at: f64,
    /// Of the answer, where each answer is recorded; `x-seen-…` are headers of the request as the application got them.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

impl Outcome {
    /// Answers with status 200 of one version.
    pub fn of(&self, version: &str) -> u32 {
        let ends = format!(" {version}");
        self.answers
            .iter()
            .filter(|(key, _)| key.starts_with("200 ") && key.ends_with(&ends))
            .map(|(_, n)| n)
            .sum()
    }

    /// Fails unless every request was answered with 200.
    pub fn assert_no_failure(&self) {
        let good: u32 = self.answers.iter().filter(|(key, _)| key.starts_with("200 ")).map(|(_, n)| n).sum();
        assert_eq!(good, self.sent, "{:?} {:?}", self.answers, self.failures);
    }

    /// Fails when a request was not answered for want of a route or of a cluster. After the API server was away its own
    /// controllers and istiod list everything again, and may take the pods out of the endpoints for a moment (seen:
    /// 40 to 80 ms without a healthy one): nothing that Sluice wrote.
    pub fn assert_routed(&self) {
        let fine = |key: &str| key.starts_with("200 ") || key == "503 UH";
        assert!(self.answers.keys().all(|key| fine(key)), "{:?} {:?}", self.answers, self.failures);
    }

    /// Whether a version's part lies in the 99.9 % interval of a share.
    pub fn is_share(&self, version: &str, share: f64) -> bool {
        let (n, got) = (f64::from(self.sent), f64::from(self.of(version)));
        (got - n * share).abs() <= 3.29 * (n * share * (1.0 - share)).sqrt()
    }

    /// Fails unless it does.
    pub fn assert_share(&self, version: &str, share: f64) {
        assert!(
            self.is_share(version, share),
            "{version} has not {share} of {}: {:?}",
            self.sent,
            self.answers
        );
    }
}

/// What one pod got, as `tally` in `tests/cluster/backend.go`.
#[derive(Debug, Deserialize)]
pub struct Tally {
    pub namespace: String,
    pub app: String,
    pub version: String,
    /// Copies of a mirror too.
    pub requests: u64,
    /// When the latest of them came, milliseconds since 1970.
    pub latest_ms: i64,
}

/// A load that runs until it is stopped.
pub struct Running<'a> {
    cluster: &'a RealCluster,
    id: String,
}

impl Running<'_> {
    pub async fn stop(self) -> Outcome {
        let action = format!("load/stop?id={}", self.id);
        serde_json::from_str(&self.cluster.ask(&action, "", Duration::from_secs(30)).await).unwrap()
    }
}

impl Drop for Town<'_> {
    /// Its sidecars would go on listening to everything that istiod says.
    fn drop(&mut self) {
        for name in self.sidecars.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            self.cluster.tell(&format!("proxy/stop?name={name}"));
        }
    }
}

impl<'a> Town<'a> {
    /// A new namespace. Fails when another test has it.
    pub async fn new(cluster: &'a RealCluster, namespace: &str) -> Self {
        let client = cluster.client("admin").await;
        let all: Api<Namespace> = Api::all(client.clone());
        let made = json!({"metadata": {"name": namespace, "labels": {"istio-injection": "enabled"}}});
        all.create(&PostParams::default(), &serde_json::from_value(made).unwrap()).await.unwrap();
        Self { cluster, namespace: namespace.to_owned(), sidecars: std::sync::Mutex::default(), client }
    }

    /// A Sluice for this cluster with its metrics.
    pub async fn sluice(&self) -> Served {
        self.sluice_with(self.cluster.prometheus()).await
    }

    /// A Sluice that reaches the cluster by a kubeconfig of the test's own.
    pub async fn sluice_behind(&self, kubeconfig: impl FnOnce(&std::path::Path)) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        kubeconfig(&file);
        Served::start(folder, &file, &["--max-changes-per-minute", "0"]).await
    }

    pub async fn sluice_with(&self, prometheus: &str) -> Served {
        let options = ["--prometheus-url", prometheus, "--max-changes-per-minute", "0"];
        Served::on(self.cluster, &options).await
    }

    /// The objects of a kind in this namespace.
    pub fn objects(&self, kind: &str) -> Api<DynamicObject> {
        let group = match kind {
            "Service" | "Pod" => "",
            "Deployment" | "StatefulSet" | "ReplicaSet" => "apps",
            "EndpointSlice" => "discovery.k8s.io",
            _ => "networking.istio.io",
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    pub async fn get(&self, kind: &str, name: &str) -> Value {
        serde_json::to_value(self.objects(kind).get(name).await.unwrap()).unwrap()
    }

    /// Makes an Istio object.
    pub async fn istio(&self, kind: &str, name: &str, spec: Value) {
        let object = json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        self.create(kind, object).await.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// Makes an object; the answer holds the words of Istio's webhook when it is refused.
    pub async fn create(&self, kind: &str, object: Value) -> Result<DynamicObject, kube::Error> {
        self.objects(kind).create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await
    }

    pub async fn merge(&self, kind: &str, name: &str, patch: Value) {
        self.objects(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub async fn delete(&self, kind: &str, name: &str) {
        self.objects(kind).delete(name, &kube::api::DeleteParams::default()).await.unwrap();
    }

    /// A Service without workloads.
    pub async fn service(&self, app: &str, port: u16) {
        let ports = json!([{"name": "http", "port": port, "targetPort": port}]);
        let spec = json!({"selector": {"app": app}, "ports": ports});
        self.create(
            "Service",
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": app}, "spec": spec}),
        )
        .await
        .unwrap();
    }

    /// The workload `APP-VERSION`, with annotations for its pods.
    pub async fn deploy(&self, app: &str, version: &str, replicas: u32, port: u16, more: Value) {
        let labels = json!({"app": app, "version": version});
        let mut annotations = more;
        annotations["sidecar.istio.io/status"] = json!("{}");
        let containers = json!([{"name": app, "image": format!("tests/{app}:{version}"), "ports": [{"containerPort": port}]},
            {"name": "istio-proxy", "image": "istio/proxyv2:1.31.0"}]);
        let pod = json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": {"containers": containers}});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": format!("{app}-{version}"), "labels": labels},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}});
        self.create("Deployment", object).await.unwrap();
    }

    /// A Service with one workload a version: `[("v1", 2), ("v2", 1)]`.
    pub async fn app(&self, app: &str, port: u16, versions: &[(&str, u32)]) {
        self.service(app, port).await;
        for (version, replicas) in versions {
            self.deploy(app, version, *replicas, port, json!({})).await;
        }
    }

    /// Waits until every workload has its pods, ready.
    pub async fn settled(&self) {
        let all = self.objects("Deployment");
        wait_for("all pods are ready", async || {
            let list = all.list(&kube::api::ListParams::default()).await.ok()?;
            let done = list.items.iter().all(|one| {
                let (spec, status) = (&one.data["spec"], &one.data["status"]);
                let wanted = &spec["replicas"];
                status["observedGeneration"] == json!(one.metadata.generation)
                    && (wanted == 0 || status["readyReplicas"] == *wanted)
                    && (wanted == 0 || status["updatedReplicas"] == *wanted)
            });
            done.then_some(())
        })
        .await;
    }

    /// A sidecar for one application; requests are made from beside it.
    pub async fn sidecar(&self, app: &str) -> String {
        let name = format!("{}/{app}", self.namespace);
        self.cluster.ask(&format!("proxy/start?name={name}"), "", Duration::from_mins(1)).await;
        self.sidecars.lock().unwrap().push(name.clone());
        name
    }

    /// Runs a load to its end.
    pub async fn load(&self, load: &Load) -> Outcome {
        let body = serde_json::to_string(load).unwrap();
        let answer = self.cluster.ask("load", &body, Duration::from_mins(6)).await;
        serde_json::from_str(&answer).unwrap()
    }

    /// Begins a load that runs until it is stopped.
    pub async fn begin(&self, load: &Load) -> Running<'a> {
        let body = serde_json::to_string(&Load { seconds: 300.0, ..load.clone() }).unwrap();
        let id = self.cluster.ask("load/start", &body, Duration::from_mins(1)).await;
        Running { cluster: self.cluster, id }
    }

    /// Sends until everybody who answers is one of these versions, all of them in some 100 requests: what was
    /// written has reached the proxy.
    pub async fn until(&self, load: &Load, versions: &[&str]) {
        let few = Load { count: 100, seconds: 0.0, rate: 0.0, ..load.clone() };
        wait_for(&format!("answers of {versions:?} only"), async || {
            let got = self.load(&few).await;
            let others = got.sent != versions.iter().map(|version| got.of(version)).sum::<u32>();
            (!others && versions.iter().all(|version| got.of(version) > 0)).then_some(())
        })
        .await;
    }

    /// The routes that a sidecar has from istiod now, as Envoy's administration prints them.
    async fn dump(&self, from: &str) -> String {
        let action = format!("proxy/admin?name={from}&path=/config_dump%3Fresource=dynamic_route_configs");
        self.cluster.ask(&action, "", Duration::from_mins(1)).await
    }

    /// Waits until a sidecar routes to this cluster: `outbound|9080|v1|reviews.NAMESPACE.svc.cluster.local`.
    pub async fn until_routed(&self, from: &str, to: &str) {
        wait_for(to, async || self.dump(from).await.contains(to).then_some(())).await;
    }

    /// Waits until a sidecar's routes for a host come from this VirtualService: those of an earlier one for
    /// the same host are gone. Few answers tell that badly, since both may split alike.
    pub async fn until_routes_of(&self, from: &str, virtual_service: &str) {
        let named = format!("/namespaces/{}/virtual-service/{virtual_service}\"", self.namespace);
        self.until_routed(from, &named).await;
    }

    /// Waits until the routes that a sidecar has for a host, in order, lead to exactly these
    /// subsets with any weight. A share of 1 % that is taken away cannot be recognised from few answers.
    pub async fn until_routes_to(&self, from: &str, host: &str, subsets: &[BTreeSet<&str>]) {
        wait_for(&format!("routes of {host} to {subsets:?}"), async || {
            let dump: Value = serde_json::from_str(&self.dump(from).await).unwrap();
            let hosts = dump["configs"].as_array()?.iter();
            let hosts =
                hosts.filter_map(|config| config["route_config"]["virtual_hosts"].as_array()).flatten();
            let mut hosts = hosts.filter(|one| {
                one["domains"].as_array().is_some_and(|all| all.iter().any(|domain| domain == host))
            });
            let routes = hosts.next()?["routes"].as_array()?;
            let routes: Vec<BTreeSet<String>> =
                routes.iter().map(|route| leads_to(&route["route"])).collect();
            (routes
                == subsets
                    .iter()
                    .map(|set| set.iter().map(ToString::to_string).collect())
                    .collect::<Vec<_>>())
            .then_some(())
        })
        .await;
    }

    /// Sends rounds of a load until one of them, without any failure, is split like this: what was written has
    /// reached the proxy. 99.9 % intervals, so a right split is missed once in some hundred rounds.
    pub async fn until_split(&self, load: &Load, count: u32, shares: &[(&str, f64)]) {
        let round = Load { count, seconds: 0.0, rate: 0.0, ..load.clone() };
        wait_for(&format!("a split of {shares:?}"), async || {
            let got = self.load(&round).await;
            let all: u32 = shares.iter().map(|(version, _)| got.of(version)).sum();
            (all == got.sent && shares.iter().all(|(version, share)| got.is_share(version, *share)))
                .then_some(())
        })
        .await;
    }

    /// What every pod of this namespace got so far.
    pub async fn tallies(&self) -> Vec<Tally> {
        let all: Vec<Tally> =
            serde_json::from_str(&self.cluster.ask("counts", "", Duration::from_mins(1)).await).unwrap();
        all.into_iter().filter(|tally| tally.namespace == self.namespace).collect()
    }

    pub fn path(&self, service: &str) -> String {
        format!("/api/v1/services/{}/{service}", self.namespace)
    }

    /// The service as the API shows it, with its revision.
    pub async fn seen(&self, sluice: &Served, service: &str) -> Answer {
        sluice.call("GET", &self.path(service), Some(self.cluster.token("admin")), None, &[]).await
    }

    /// Waits until Sluice's own watch shows these versions with that many ready pods.
    pub async fn known(&self, sluice: &Served, service: &str, versions: &[(&str, u32)]) {
        wait_for("Sluice knows the pods", async || {
            let seen = self.seen(sluice, service).await;
            let shown = seen.body["versions"].as_array()?;
            let all = versions.iter().all(|(version, ready)| {
                shown.iter().any(|one| one["version"] == json!(version) && one["ready"] == json!(ready))
            });
            (all && shown.len() == versions.len()).then_some(())
        })
        .await;
    }

    /// Asks for a change at the current revision as somebody who accepts every warning. Answers the last answer
    /// and the codes that had to be accepted.
    pub async fn change(&self, sluice: &Served, service: &str, what: Change<'_>) -> (Answer, Vec<String>) {
        let token = Some(self.cluster.token("admin"));
        let (method, path, mut body) = match what {
            Change::Traffic(body) => ("PUT", "traffic", body),
            Change::TakeOver(version) => ("POST", "traffic/takeover", json!({"version": version})),
            Change::SwitchBack(revision) => ("POST", "traffic/switch-back", json!({"revision": revision})),
        };
        body["reason"] = json!("a test");
        let mut accepted: Vec<String> = Vec::new();
        loop {
            let etag = self.seen(sluice, service).await.etag.unwrap_or_default();
            body["ack"] = json!(accepted);
            let path = format!("{}/{path}", self.path(service));
            let answer = sluice.call(method, &path, token, Some(body.clone()), &[("if-match", &etag)]).await;
            let asked: Vec<String> = answer.body["checks"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|check| check["severity"] == "acknowledge" && check["acknowledged"] != json!(true))
                .map(|check| check["code"].as_str().unwrap_or_default().to_owned())
                .filter(|code| !accepted.contains(code))
                .collect();
            if answer.status != 422 || asked.is_empty() {
                return (answer, accepted);
            }
            accepted.extend(asked);
        }
    }

    /// The same, which must be written.
    pub async fn changed(&self, sluice: &Served, service: &str, what: Change<'_>) -> Vec<String> {
        let (answer, accepted) = self.change(sluice, service, what).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        accepted
    }
}

/// The subsets that a route of Envoy's leads to with any weight.
fn leads_to(route: &Value) -> BTreeSet<String> {
    let subset = |cluster: &Value| cluster.as_str()?.split('|').nth(2).map(ToOwned::to_owned);
    let Some(weighted) = route["weighted_clusters"]["clusters"].as_array() else {
        return subset(&route["cluster"]).into_iter().collect();
    };
    weighted.iter().filter(|one| one["weight"] != json!(0)).filter_map(|one| subset(&one["name"])).collect()
}

/// What is asked of Sluice.
pub enum Change<'a> {
    /// The body of `PUT …/traffic`.
    Traffic(Value),
    TakeOver(&'a str),
    SwitchBack(u64),
}

/// `{"weights": {"v1": 30, "v2": 70}}`.
pub fn weights(of: &[(&str, u8)]) -> Change<'static> {
    let weights: BTreeMap<&str, u8> = of.iter().copied().collect();
    Change::Traffic(json!({"weights": weights}))
}
