//! Walks a shape on a chain: makes its objects, then does and looks at what its steps say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::expect::{difference, miscounted, text as text_of, unlike};
use super::{Do, Send, Shape, Step, whole};

/// How long a chain may take until it is as a step says.
const PATIENCE: Duration = Duration::from_secs(45);

/// Where a shape is walked.
pub trait Chain {
    /// Makes an object as it is, in a namespace that is there.
    async fn create(&self, object: &Value);
    async fn merge(&self, kind: &str, namespace: &str, name: &str, patch: &Value);
    async fn delete(&self, kind: &str, namespace: &str, name: &str);
    async fn pods(&self, namespace: &str) -> Vec<Value>;
    /// Makes the namespaces of a shape and whoever sends.
    async fn begin(&self, namespaces: &BTreeSet<String>, senders: &BTreeSet<String>);
    /// Every workload has its pods as far as it will get them.
    async fn settle(&self, namespaces: &BTreeSet<String>);
    /// A call of Sluice's API: status, `ETag`, body.
    async fn call(&self, method: &str, path: &str, body: Option<Value>, etag: &str) -> (u16, String, Value);
    /// Sends, and answers who answered how often: `pod NAME`, or `503 UH`.
    async fn send(&self, from: &str, host: &str, port: u16, send: &Send) -> BTreeMap<String, u32>;
    /// True for the router in memory.
    fn is_memory(&self) -> bool;
}

/// What stands in a shape for the hash that Deployments give the pods of the first Deployment.
const HASH: &str = "$hash";

/// Walks a shape in the namespace of this name.
pub async fn walk(chain: &impl Chain, name: &str, text: &str) {
    let shape = Shape::read(text);
    assert!(!shape.about.is_empty());
    let objects: Vec<Value> = shape.objects.iter().map(|object| whole(object, name)).collect();
    let (namespace, service) = shape.service(name);
    let mut namespaces: BTreeSet<String> =
        objects.iter().map(|object| text_of(&object["metadata"]["namespace"])).collect();
    namespaces.insert(name.to_owned());
    let usual = shape.from.clone().unwrap_or_else(|| format!("{namespace}/client"));
    let mut senders = BTreeSet::from([usual.clone()]);
    for step in &shape.steps {
        if let Step::Send(Send { from: Some(from), .. }) = step {
            senders.insert(from.clone());
        }
    }
    chain.begin(&namespaces, &senders).await;
    let named = |object: &&Value| object.to_string().contains(HASH);
    for object in objects.iter().filter(|object| !named(object)) {
        chain.create(object).await;
    }
    chain.settle(&namespaces).await;
    if objects.iter().any(|object| named(&object)) {
        let pods = chain.pods(namespace).await;
        let own = pods.iter().filter(|pod| pod["metadata"]["labels"]["app"] == *service);
        let hash =
            own.map(|pod| text_of(&pod["metadata"]["labels"]["pod-template-hash"])).next().expect("a pod");
        let shape = Shape::read(&text.replace(HASH, &hash));
        for object in shape.objects.iter().map(|object| whole(object, name)) {
            if !objects.contains(&object) {
                chain.create(&object).await;
            }
        }
        return Walk { chain, shape: &shape, namespace, service, usual, first: std::sync::OnceLock::new() }
            .steps(name, &objects, &namespaces)
            .await;
    }
    Walk { chain, shape: &shape, namespace, service, usual, first: std::sync::OnceLock::new() }
        .steps(name, &objects, &namespaces)
        .await;
}
fn has(labels: &Value, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|one| one["type"] == "Ready" && one["status"] == "True");
    ready.next().is_some() && pod["metadata"]["deletionTimestamp"].is_null()
}

struct Walk<'a, C> {
    chain: &'a C,
    shape: &'a Shape,
    namespace: &'a str,
    service: &'a str,
    usual: String,
    /// The revision before the first change: `switch_back` counts from there. What was made while Sluice looked on is
    /// a revision, too.
    first: std::sync::OnceLock<u64>,
}

impl<C: Chain> Walk<'_, C> {
    async fn steps(&self, name: &str, objects: &[Value], namespaces: &BTreeSet<String>) {
        for (at, step) in self.shape.steps.iter().enumerate() {
            let here = format!("{name}, step {}", at + 1);
            match step {
                Step::Send(send) => self.send(&here, send, objects).await,
                Step::Shows(shows) => {
                    until(&here, async || difference(shows, &self.seen().await.1)).await;
                }
                Step::Do(wanted) => {
                    self.catch_up(&here, objects).await;
                    self.change(&here, wanted).await;
                }
                Step::Apply(more) => {
                    for object in more {
                        self.chain.create(&whole(object, name)).await;
                    }
                    self.chain.settle(namespaces).await;
                }
                Step::Patch(patch) => {
                    let at = patch.namespace.as_deref().unwrap_or(name);
                    self.chain.merge(&patch.kind, at, &patch.name, &patch.merge).await;
                    self.chain.settle(namespaces).await;
                }
                Step::Delete(one) => {
                    let at = one.namespace.as_deref().unwrap_or(name);
                    self.chain.delete(&one.kind, at, &one.name).await;
                    self.chain.settle(namespaces).await;
                }
                Step::LabelPod(wanted) => {
                    let mut pods = self.chain.pods(self.namespace).await;
                    pods.retain(|pod| has(&pod["metadata"]["labels"], &wanted.of));
                    pods.sort_by_key(|pod| text_of(&pod["metadata"]["name"]));
                    let pod = pods.first().unwrap_or_else(|| panic!("{here}: no such pod"));
                    let patch = json!({"metadata": {"labels": wanted.labels}});
                    self.chain.merge("Pod", self.namespace, &text_of(&pod["metadata"]["name"]), &patch).await;
                    self.chain.settle(namespaces).await;
                }
            }
        }
    }

    /// Waits until Sluice counts as many ready pods as there are: what is refused after that is refused by what is
    /// there, not by what the watch has yet to bring.
    async fn catch_up(&self, here: &str, objects: &[Value]) {
        let Some(selector) = objects
            .iter()
            .find(|object| self.is_own(object))
            .and_then(|own| own["spec"]["selector"].as_object())
        else {
            return;
        };
        until(here, async || {
            let pods = self.chain.pods(self.namespace).await;
            let counts = |pod: &&Value| has(&pod["metadata"]["labels"], selector) && is_ready(pod);
            let ready = u64::try_from(pods.iter().filter(counts).count()).expect("few pods");
            let seen = self.seen().await.1;
            let rows = seen["versions"].as_array().into_iter().flatten();
            let shown: u64 = rows.filter_map(|row| row["ready"].as_u64()).sum();
            (shown != ready).then(|| format!("{ready} pods are ready, Sluice counts {shown}"))
        })
        .await;
    }

    fn is_own(&self, object: &Value) -> bool {
        object["kind"] == "Service"
            && object["metadata"]["name"] == *self.service
            && object["metadata"]["namespace"] == *self.namespace
    }

    /// The service's revision and its JSON.
    async fn seen(&self) -> (String, Value) {
        let (_, etag, seen) = self.chain.call("GET", &self.path(""), None, "").await;
        (etag, seen)
    }

    fn path(&self, more: &str) -> String {
        format!("/api/v1/services/{}/{}{more}", self.namespace, self.service)
    }

    async fn send(&self, here: &str, send: &Send, objects: &[Value]) {
        if self.chain.is_memory() && !send.in_memory {
            return;
        }
        let service = objects.iter().find(|object| self.is_own(object));
        let first = service.and_then(|one| one["spec"]["ports"][0]["port"].as_u64()).unwrap_or(8080);
        let port = send.port.unwrap_or_else(|| u16::try_from(first).expect("a port"));
        let host = format!("{}.{}.svc.cluster.local", self.service, self.namespace);
        let host = send.host.as_deref().unwrap_or(&host);
        let from = send.from.as_deref().unwrap_or(&self.usual);
        until(here, async || {
            let by_pod = self.chain.send(from, host, port, send).await;
            let counts = self.by_labels(by_pod).await;
            miscounted(send, &counts, &self.seen().await.1)
        })
        .await;
    }

    /// Counts by the labels of the pods that answered.
    async fn by_labels(&self, counts: BTreeMap<String, u32>) -> BTreeMap<String, u32> {
        let mut pods = self.chain.pods(self.namespace).await;
        let mut out: BTreeMap<String, u32> = BTreeMap::new();
        for (who, n) in counts {
            let Some(name) = who.strip_prefix("pod ") else {
                *out.entry(who).or_default() += n;
                continue;
            };
            pods.sort_by_key(|pod| pod["metadata"]["name"] != *name);
            let labels = pods.first().filter(|pod| pod["metadata"]["name"] == *name);
            let labels = labels.map_or(&Value::Null, |pod| &pod["metadata"]["labels"]);
            let values: Vec<String> = self
                .shape
                .count_by
                .iter()
                .map(|key| text_of(&labels[key]))
                .filter(|value| !value.is_empty())
                .collect();
            let shown = if values.is_empty() { name.to_owned() } else { values.join(" ") };
            *out.entry(shown).or_default() += n;
        }
        out
    }

    /// Changes as somebody who accepts every warning.
    async fn change(&self, here: &str, wanted: &Do) {
        let now = self.seen().await.1["revision"].as_u64().unwrap_or_default();
        let first = self.first.get_or_init(|| now);
        let (method, path, mut body) = match (&wanted.traffic, &wanted.take_over, wanted.switch_back) {
            (Some(body), ..) => ("PUT", "/traffic", body.clone()),
            (_, Some(version), _) => ("POST", "/traffic/takeover", json!({"version": version})),
            (_, _, Some(revision)) => ("POST", "/traffic/switch-back", json!({"revision": first + revision})),
            _ => panic!("{here}: nothing to do"),
        };
        body["reason"] = json!("a test");
        let mut accepted: Vec<String> = Vec::new();
        let (status, answer) = loop {
            let (etag, seen) = self.seen().await;
            if let Some(end) = wanted.traffic.as_ref().and_then(|asked| asked["route"].as_str()) {
                let routes = seen["routes"].as_array().into_iter().flatten();
                let id = routes.map(|route| text_of(&route["id"])).find(|id| id.ends_with(end));
                body["route"] = json!(id.unwrap_or_else(|| panic!("{here}: no route {end} in {seen}")));
            }
            body["ack"] = json!(accepted);
            let (status, _, answer) =
                self.chain.call(method, &self.path(path), Some(body.clone()), &etag).await;
            let asked: Vec<String> = checks(&answer)
                .filter(|check| check["severity"] == "acknowledge" && check["acknowledged"] != json!(true))
                .map(|check| text_of(&check["code"]))
                .filter(|code| !accepted.contains(code))
                .collect();
            if status != 422 || asked.is_empty() {
                break (status, answer);
            }
            accepted.extend(asked);
        };
        let blocks = checks(&answer).filter(|check| check["severity"] == "block");
        let codes: Vec<String> =
            blocks.map(|check| text_of(&check["code"])).chain([text_of(&answer["code"])]).collect();
        match &wanted.refused {
            None => assert_eq!(status, 200, "{here}: {answer}"),
            Some(code) => {
                assert!((400..500).contains(&status), "{here}: {status} {answer}");
                assert!(codes.contains(code), "{here}: {answer}");
            }
        }
        let wrong = unlike(&wanted.at, &answer);
        assert!(wrong.is_empty(), "{here}: {wrong:?}");
        for code in &wanted.acknowledged {
            assert!(accepted.contains(code), "{here}: {accepted:?} of {answer}");
        }
    }
}

fn checks(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["checks"].as_array().into_iter().flatten()
}

/// Asks until nothing is wrong any more.
async fn until(here: &str, wrong: impl AsyncFn() -> Option<String>) {
    let start = tokio::time::Instant::now();
    loop {
        let Some(why) = wrong().await else { return };
        assert!(start.elapsed() < PATIENCE, "{here}: {why}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
