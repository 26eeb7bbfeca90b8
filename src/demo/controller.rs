//! The demo's controllers, scheduler and kubelet in one: keeps pods in step with Deployments and
//! StatefulSets, and EndpointSlices in step with pods and Services. Started by `Demo`; tests call
//! [`Controller::reconcile`] by hand. It must never write a routing object, nor a spec that it does not own.
//!
//! There are no ReplicaSet objects: a pod names the one it would have. A pod becomes ready [`STARTUP_MS`] after it
//! was made, and never when its image holds the word `broken`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::api::ApiServer;
use super::{pods, slices};
use crate::clock::Clock;

/// How long a pod takes to become ready.
pub const STARTUP_MS: i64 = 1_500;

const MANAGER: &str = "kube-controller-manager";
/// What decides about pods and slices.
const LISTENED: [&str; 5] = ["Namespace", "Service", "Deployment", "StatefulSet", "Pod"];
/// How long changes are gathered before they are looked at.
const GATHER: std::time::Duration = std::time::Duration::from_millis(20);

/// Whether the pods that are made now must start first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// As when the cluster has been running for long.
    AlreadyUp,
    /// As for anything deployed now.
    Takes,
}

/// The loop's state.
pub struct Controller {
    api: ApiServer,
    clock: Clock,
    pods_made: u32,
}

impl Controller {
    pub fn new(api: ApiServer, clock: Clock) -> Self {
        Self { api, clock, pods_made: 0 }
    }

    /// Reconciles after every change, and when a starting pod is due, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut events = self.api.subscribe();
        loop {
            let due = self.reconcile(Start::Takes);
            let until = due.map(|ms| tokio::time::Instant::now() + std::time::Duration::from_millis(ms));
            let wait = async {
                match until {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let changed = async {
                loop {
                    let event = events.recv().await?;
                    if LISTENED.contains(&event.kind.kind) {
                        return Some(());
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = wait => {}
                changed = changed => {
                    if changed.is_none() {
                        return;
                    }
                    // What is written together is looked at once.
                    tokio::time::sleep(GATHER).await;
                    while events.try_recv().is_ok() {}
                }
            }
        }
    }

    /// One pass over everything; repeats until nothing is left to do. Returns after how many milliseconds
    /// a pod that is starting will be ready.
    pub fn reconcile(&mut self, start: Start) -> Option<u64> {
        let injected: BTreeMap<String, bool> = values(&self.api, "Namespace")
            .map(|ns| (text(&ns, "/metadata/name"), ns["metadata"]["labels"]["istio-injection"] == "enabled"))
            .collect();
        let mut owners: BTreeMap<(String, String), Value> = BTreeMap::new();
        for kind in ["Deployment", "StatefulSet"] {
            for workload in values(&self.api, kind) {
                owners.insert(
                    (text(&workload, "/metadata/namespace"), text(&workload, "/metadata/name")),
                    workload,
                );
            }
        }
        let mut made: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
        for pod in values(&self.api, "Pod") {
            let namespace = text(&pod, "/metadata/namespace");
            let Some(owner) = pods::workload_of(&pod) else { continue };
            let key = (namespace, owner);
            if owners.contains_key(&key) {
                made.entry(key).or_default().push(pod);
            } else {
                self.delete_pod(&pod);
            }
        }
        for (key, workload) in &owners {
            let mesh = injected.get(&key.0).copied().unwrap_or(false);
            self.settle(workload, made.remove(key).unwrap_or_default(), mesh, start);
        }
        let due = self.start_pods();
        self.tell_status(owners.values());
        slices::settle(&self.api);
        due
    }

    /// Makes and removes the pods of one workload.
    fn settle(&mut self, workload: &Value, existing: Vec<Value>, mesh: bool, start: Start) {
        let wanted = usize::try_from(workload["spec"]["replicas"].as_u64().unwrap_or(1)).unwrap_or(0);
        let hash = template_hash(&workload["spec"]["template"]);
        let (mut new, mut old): (Vec<Value>, Vec<Value>) =
            existing.into_iter().partition(|pod| pods::hash_of(pod) == Some(&hash));
        // A Deployment that is paused leaves its pods as they are.
        if workload["spec"]["paused"] == true {
            return;
        }
        // Ready pods first, then the oldest: what is cut off at the end is missed least.
        for list in [&mut new, &mut old] {
            list.sort_by_key(|pod| (!pods::is_ready(pod), text(pod, "/metadata/name")));
        }
        for pod in new.drain(wanted.min(new.len())..) {
            self.delete_pod(&pod);
        }
        let stateful = workload["kind"] == "StatefulSet";
        if stateful {
            self.replace_one(workload, &new, &mut old, wanted);
        }
        let ready = new.iter().filter(|pod| pods::is_ready(pod)).count();
        // An old pod goes when a new one is ready, so that there are never fewer than wanted.
        let keep = if stateful { old.len() } else { wanted.saturating_sub(ready).min(old.len()) };
        for pod in old.drain(keep..) {
            self.delete_pod(&pod);
        }
        let taken: Vec<String> = new.iter().chain(&old).map(|pod| text(pod, "/metadata/name")).collect();
        let name = text(workload, "/metadata/name");
        let mut ordinal = 0..;
        let there = if stateful { new.len() + old.len() } else { new.len() };
        // Of a Deployment as many pods more than wanted as `maxSurge` allows by default: 25 %, rounded up.
        let most = if stateful { wanted } else { wanted + wanted.div_ceil(4) };
        let room = most.saturating_sub(new.len() + old.len());
        for _ in (there..wanted).take(room) {
            self.pods_made += 1;
            let pod_name = if stateful {
                let free = |n: &usize| !taken.contains(&format!("{name}-{n}"));
                format!("{name}-{}", ordinal.by_ref().find(free).unwrap_or_default())
            } else {
                format!("{name}-{hash}-{}", suffix(self.pods_made))
            };
            let pod = pods::make(workload, &pod_name, &hash, self.pods_made, mesh);
            let pod = if start == Start::AlreadyUp { pods::started(pod) } else { pod };
            if let Err(failure) = self.api.put_as(pod, MANAGER) {
                tracing::warn!(pod = pod_name, ?failure, "the demo could not make a pod");
            }
        }
    }

    /// Of a StatefulSet: a name can be taken once, so an old pod goes before the new one comes; from the last ordinal
    /// down to the partition, one at a time and only while all others are ready. Where pods are replaced in order, one
    /// that is not ready is waited for, whatever it runs; it goes only when it is deleted.
    fn replace_one(&self, set: &Value, new: &[Value], old: &mut Vec<Value>, wanted: usize) {
        let ordinal = |pod: &Value| {
            let name = text(pod, "/metadata/name");
            name.rsplit('-').next().and_then(|number| number.parse::<usize>().ok()).unwrap_or(0)
        };
        let (gone, mut kept): (Vec<Value>, Vec<Value>) =
            old.drain(..).partition(|pod| ordinal(pod) >= wanted);
        for pod in &gone {
            self.delete_pod(pod);
        }
        let partition = set["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_u64().unwrap_or(0);
        let in_order = set["spec"]["podManagementPolicy"] != "Parallel";
        if in_order && new.iter().chain(&kept).any(|pod| !pods::is_ready(pod)) {
            *old = kept;
            return;
        }
        let due = |pod: &Value| u64::try_from(ordinal(pod)).unwrap_or(u64::MAX) >= partition;
        let broken = kept.iter().any(|pod| !pods::is_ready(pod) && due(pod));
        if broken || new.iter().all(pods::is_ready) {
            let last = (0..kept.len()).filter(|at| due(&kept[*at])).max_by_key(|at| ordinal(&kept[*at]));
            if let Some(last) = last {
                self.delete_pod(&kept.remove(last));
            }
        }
        *old = kept;
    }

    /// Lets pods become ready whose time has come.
    fn start_pods(&self) -> Option<u64> {
        let now_ms = self.clock.now_ms();
        let mut soonest: Option<u64> = None;
        for pod in values(&self.api, "Pod") {
            if pods::is_ready(&pod) || pods::is_broken(&pod) || pods::workload_of(&pod).is_none() {
                continue;
            }
            let made_ms = pods::created_ms(&pod);
            match u64::try_from(made_ms + STARTUP_MS - now_ms) {
                Ok(left) if left > 0 => soonest = Some(soonest.map_or(left, |known| known.min(left))),
                _ => drop(self.api.put_as(pods::started(pod), "kubelet")),
            }
        }
        soonest
    }

    fn tell_status<'a>(&self, workloads: impl Iterator<Item = &'a Value>) {
        let mut counts: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
        let mut made_by: BTreeMap<(String, String), BTreeMap<String, u64>> = BTreeMap::new();
        for pod in values(&self.api, "Pod") {
            let Some(owner) = pods::workload_of(&pod) else { continue };
            let key = (text(&pod, "/metadata/namespace"), owner);
            let hash = pods::hash_of(&pod).unwrap_or_default().to_owned();
            *made_by.entry(key.clone()).or_default().entry(hash).or_default() += 1;
            let count = counts.entry(key).or_default();
            count.0 += 1;
            count.1 += u64::from(pods::is_ready(&pod));
        }
        for workload in workloads {
            let key = (text(workload, "/metadata/namespace"), text(workload, "/metadata/name"));
            let (all, ready) = counts.get(&key).copied().unwrap_or_default();
            let hash = template_hash(&workload["spec"]["template"]);
            let updated = made_by.get(&key).and_then(|by| by.get(&hash)).copied().unwrap_or_default();
            let available = if all > 0 && ready == all { "True" } else { "False" };
            let mut status = json!({
                "observedGeneration": workload["metadata"]["generation"],
                "replicas": all, "updatedReplicas": updated,
                "readyReplicas": ready, "availableReplicas": ready, "unavailableReplicas": all - ready,
                "conditions": [{ "type": "Available", "status": available }],
            });
            if workload["kind"] == "StatefulSet"
                && let Some(fields) = status.as_object_mut()
            {
                fields.remove("unavailableReplicas");
                fields.insert("updateRevision".to_owned(), pods::revision(workload, &hash).into());
            }
            if workload["status"] != status {
                let kind = workload["kind"].as_str().unwrap_or_default();
                drop(self.api.put_status(kind, &key.0, &key.1, status, MANAGER));
            }
        }
    }

    fn delete_pod(&self, pod: &Value) {
        // It may be gone already: another client deleted it.
        drop(self.api.delete("Pod", &text(pod, "/metadata/namespace"), &text(pod, "/metadata/name")));
    }
}

/// The objects of a kind, parsed.
pub(super) fn values(api: &ApiServer, kind: &'static str) -> impl Iterator<Item = Value> {
    api.list(kind, None).into_iter().map(move |object| {
        let mut value = object.value();
        value["kind"] = kind.into();
        value
    })
}

/// The text at a JSON pointer; empty when there is none.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Ten characters that change with the template, as a ReplicaSet's name ends in.
fn template_hash(template: &Value) -> String {
    let mut hash = hex::encode(Sha256::digest(template.to_string()));
    hash.truncate(10);
    hash
}

/// Five characters from a number, as a pod's name ends in.
pub(super) fn suffix(number: u32) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    // Odd and not a multiple of 3: numbers in a row do not look alike, and no two give the same.
    let mut rest = u64::from(number) * 5_915_587 % 14_348_907;
    let mut name = String::new();
    for _ in 0..5 {
        let at = usize::try_from(rest % 27).unwrap_or_default();
        name.push(char::from(LETTERS[at]));
        rest /= 27;
    }
    name
}
