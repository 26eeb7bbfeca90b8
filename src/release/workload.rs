//! Workloads as a release wants them: a copy with another version and image, another number of pods, a batch of
//! a StatefulSet. Pure; works on the JSON that was read, so that every field that it does not know survives.

use serde_json::{Map, Value, json};

use crate::domain::ids::{VersionName, is_dns_label};
use crate::domain::plan::CHANGE_ANNOTATION;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::ReleaseId;

/// Names the release that made a workload.
pub const RELEASE_ANNOTATION: &str = "sluice.io/release";
/// What a StatefulSet ran before its pods were replaced: an abort puts it back.
pub const STABLE_IMAGE: &str = "sluice.io/stable-image";
pub const STABLE_VERSION: &str = "sluice.io/stable-version";
/// The `partition` that it had, where that was not 0.
pub const STABLE_PARTITION: &str = "sluice.io/stable-partition";
/// By which pods of one batch are found.
pub const ROLLOUT_ID: &str = "rollouts.kruise.io/rollout-id";
pub const BATCH_ID: &str = "rollouts.kruise.io/rollout-batch-id";

/// Labels and annotations by which another tool counts an object as its own: a copy is not.
const FOREIGN: [&str; 10] = [
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/instance",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "helm.sh/",
    "kubectl.kubernetes.io/",
    "deployment.kubernetes.io/",
    "sluice.io/",
];

/// What a copy is to be.
pub struct Copy<'a> {
    pub release: ReleaseId,
    /// The label that distinguishes versions.
    pub key: &'a str,
    pub stable: &'a VersionName,
    pub version: &'a VersionName,
    /// The image that the stable version runs: the container with it gets the new one.
    pub old_image: &'a str,
    pub image: &'a str,
    pub replicas: Option<u32>,
    /// Labels that the service selects by: they stay as they are, even where others use them.
    pub selector: &'a [(String, String)],
}

/// The name of a copy: `reviews-v1` becomes `reviews-v2`, `reviews` becomes `reviews-v2`.
pub fn name_of(workload: &str, stable: &VersionName, version: &VersionName) -> String {
    // A name of a version may hold what a name of pods may not.
    let slug = |name: &VersionName| name.as_str().replace(['.', '_'], "-").to_ascii_lowercase();
    let (stable, version) = (slug(stable), slug(version));
    let base = workload.strip_suffix(&stable).filter(|base| base.ends_with('-') && base.len() > 1);
    let name = match base {
        Some(base) => format!("{base}{version}"),
        None => format!("{workload}-{version}"),
    };
    let room = 63_usize.saturating_sub(version.len() + 1);
    if name.len() <= 63 {
        name
    } else {
        let kept: String = workload.chars().take(room).collect();
        format!("{}-{version}", kept.trim_end_matches('-'))
    }
}

/// The copy.
pub fn copy(workload: &Value, wish: &Copy<'_>) -> Result<Value, Refusal> {
    let broken = || Refusal::new(Code::NoWorkload).arg("v", wish.stable);
    let mut out = workload.clone();
    let old = workload["metadata"]["name"].as_str().ok_or_else(broken)?;
    let name = name_of(old, wish.stable, wish.version);
    if !is_dns_label(&name) {
        return Err(Refusal::new(Code::VersionLabel).arg("name", name).arg("max", 63));
    }
    let kept = |part: &str| -> Map<String, Value> {
        let held = workload["metadata"][part].as_object().cloned().unwrap_or_default();
        held.into_iter().filter(|(key, _)| !FOREIGN.iter().any(|mark| key.starts_with(mark))).collect()
    };
    let mut labels = kept("labels");
    let mut annotations = kept("annotations");
    annotations.insert(RELEASE_ANNOTATION.into(), wish.release.to_string().into());
    for (key, value) in &mut labels {
        if key == wish.key || (value == wish.stable.as_str() && key.contains("version")) {
            *value = wish.version.as_str().into();
        }
    }
    labels.insert(wish.key.into(), wish.version.as_str().into());
    out["metadata"] = json!({
        "name": name, "namespace": workload["metadata"]["namespace"], "labels": labels, "annotations": annotations,
    });
    if let Some(members) = out.as_object_mut() {
        members.remove("status");
    }
    let spec = out.get_mut("spec").ok_or_else(broken)?;
    for place in ["/selector/matchLabels", "/template/metadata/labels"] {
        let labels = spec.pointer_mut(place).and_then(Value::as_object_mut).ok_or_else(broken)?;
        for (key, value) in labels.iter_mut() {
            let serves = wish.selector.iter().any(|(of, _)| of == key);
            if !serves && value == wish.stable.as_str() && key.contains("version") {
                *value = wish.version.as_str().into();
            }
        }
        labels.insert(wish.key.into(), wish.version.as_str().into());
    }
    if let Some(annotations) =
        spec.pointer_mut("/template/metadata/annotations").and_then(Value::as_object_mut)
    {
        annotations.retain(|key, _| key != "kubectl.kubernetes.io/restartedAt");
    }
    if let Some(replicas) = wish.replicas {
        spec["replicas"] = replicas.into();
    }
    set_image(spec, wish.old_image, wish.image).ok_or_else(broken)?;
    Ok(out)
}

/// Another number of pods; `None` when it is that already.
pub fn scaled(workload: &Value, replicas: u32) -> Option<Value> {
    let now = workload["spec"]["replicas"].as_u64().unwrap_or(1);
    if now == u64::from(replicas) {
        return None;
    }
    let mut out = workload.clone();
    out["spec"]["replicas"] = replicas.into();
    Some(out)
}

/// A StatefulSet so many of whose pods run the image; 0 = its template is again what it was before, and all pods
/// are replaced by it. `None` when it is so already. Everything else of `updateStrategy` stays.
pub fn batch(set: &Value, updated: u32, wish: &Copy<'_>) -> Result<Option<Value>, Refusal> {
    let broken = || Refusal::new(Code::NotStateful).arg("v", wish.stable);
    rolls(set)?;
    let total = set["spec"]["replicas"].as_u64().unwrap_or(1);
    // The notes are this release's own once the template holds its image; others are what an earlier one left.
    let begun = runs(set, wish.image);
    let mut out = set.clone();
    let (image, version, partition) = if updated == 0 {
        if !begun {
            // Nothing of this release is there to be taken back.
            return Ok(None);
        }
        let (image, version) = (note(set, STABLE_IMAGE), note(set, STABLE_VERSION));
        let image = image.ok_or_else(|| changed(set))?.to_owned();
        let version = version.map_or_else(|| wish.stable.to_string(), str::to_owned);
        let annotations = annotations(&mut out).ok_or_else(broken)?;
        annotations.remove(STABLE_IMAGE);
        annotations.remove(STABLE_VERSION);
        (image, version, 0)
    } else {
        let held = partition_of(set);
        let annotations = annotations(&mut out).ok_or_else(broken)?;
        if !begun {
            annotations.insert(STABLE_IMAGE.into(), wish.old_image.into());
            annotations.insert(STABLE_VERSION.into(), wish.stable.as_str().into());
            annotations.remove(STABLE_PARTITION);
            if held > 0 {
                annotations.insert(STABLE_PARTITION.into(), held.to_string().into());
            }
        }
        (wish.image.to_owned(), wish.version.to_string(), total.saturating_sub(u64::from(updated)))
    };
    let spec = out.get_mut("spec").ok_or_else(broken)?;
    let by_selector = spec.pointer("/selector/matchLabels").and_then(|labels| labels.get(wish.key)).is_some();
    if !by_selector
        && let Some(labels) = spec.pointer_mut("/template/metadata/labels").and_then(Value::as_object_mut)
        && labels.contains_key(wish.key)
    {
        labels.insert(wish.key.into(), version.into());
    }
    let old = if updated == 0 { wish.image } else { wish.old_image };
    if set_image(spec, old, &image).is_none() {
        set_image(spec, &image, &image).ok_or_else(broken)?;
    }
    set_partition(spec, partition).ok_or_else(broken)?;
    Ok((out != *set).then_some(out))
}

/// The StatefulSet with its `partition` as it was before the release; `None` when it is so already.
pub fn settled(set: &Value) -> Option<Value> {
    let partition = note(set, STABLE_PARTITION)?.parse::<u64>().ok()?;
    let mut out = set.clone();
    annotations(&mut out)?.remove(STABLE_PARTITION);
    set_partition(out.get_mut("spec")?, partition)?;
    Some(out)
}

/// True when [`settled`] has something to do.
pub fn is_unsettled(set: &Value) -> bool {
    note(set, STABLE_PARTITION).is_some()
}

/// Refuses a StatefulSet whose pods are replaced only when they are deleted: a partition means nothing there.
pub fn rolls(set: &Value) -> Result<(), Refusal> {
    match set.pointer("/spec/updateStrategy/type").and_then(Value::as_str) {
        Some("OnDelete") => Err(Refusal::new(Code::OnDelete).arg("object", set_name(set))),
        _ => Ok(()),
    }
}

/// Refuses to take back a template that is not the one which the release wrote.
pub fn may_revert(set: &Value, image: &str) -> Result<(), Refusal> {
    if runs(set, image) && note(set, STABLE_IMAGE).is_some() { Ok(()) } else { Err(changed(set)) }
}

/// What its pods ran before, as the release noted it.
pub fn noted_image(set: &Value) -> Option<&str> {
    note(set, STABLE_IMAGE)
}

/// Pods of the StatefulSet that are not ready at another revision than the one it wants: where pods are replaced
/// in order the controller waits for them without end. Pods that are going already are left out.
pub fn broken_pods<'a>(set: &Value, pods: &'a [Value]) -> Vec<&'a Value> {
    let wanted = set.pointer("/status/updateRevision").and_then(Value::as_str);
    let (Some(wanted), Some(uid)) = (wanted, set.pointer("/metadata/uid").and_then(Value::as_str)) else {
        return Vec::new();
    };
    let own = |pod: &&Value| {
        let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.is_some_and(|all| all.iter().any(|one| one["uid"] == uid && one["controller"] == true))
    };
    let old = |pod: &&Value| {
        let label = pod["metadata"]["labels"]["controller-revision-hash"].as_str();
        label.is_some_and(|hash| hash != wanted)
    };
    let going = |pod: &&Value| pod.pointer("/metadata/deletionTimestamp").is_some();
    pods.iter().filter(|pod| own(pod) && old(pod) && !going(pod) && !is_ready(pod)).collect()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
}

fn note<'a>(of: &'a Value, key: &str) -> Option<&'a str> {
    of.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

fn annotations(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    metadata.entry("annotations").or_insert_with(|| json!({})).as_object_mut()
}

fn runs(set: &Value, image: &str) -> bool {
    let containers = set.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    containers.is_some_and(|all| all.iter().any(|one| one["image"] == image))
}

fn changed(set: &Value) -> Refusal {
    Refusal::new(Code::WorkloadChanged).arg("object", set_name(set))
}

fn set_name(set: &Value) -> String {
    let text = |key: &str| set["metadata"][key].as_str().unwrap_or_default();
    format!("StatefulSet {}/{}", text("namespace"), text("name"))
}

fn partition_of(set: &Value) -> u64 {
    set.pointer("/spec/updateStrategy/rollingUpdate/partition").and_then(Value::as_u64).unwrap_or(0)
}

fn set_partition(spec: &mut Value, partition: u64) -> Option<()> {
    let strategy = spec.as_object_mut()?.entry("updateStrategy").or_insert_with(|| json!({}));
    let strategy = strategy.as_object_mut()?;
    strategy.insert("type".into(), "RollingUpdate".into());
    let rolling = strategy.entry("rollingUpdate").or_insert_with(|| json!({}));
    if rolling.is_null() {
        *rolling = json!({});
    }
    rolling.as_object_mut()?.insert("partition".into(), partition.into());
    Some(())
}

/// The pods of a batch that do not carry its labels yet, with them.
pub fn labelled(pods: &[Value], set: &str, from_ordinal: u64, release: ReleaseId, number: u32) -> Vec<Value> {
    let ordinal = |pod: &Value| -> Option<u64> {
        pod["metadata"]["name"].as_str()?.strip_prefix(set)?.strip_prefix('-')?.parse().ok()
    };
    let id = release.to_string().to_lowercase();
    let mut out = Vec::new();
    for pod in pods {
        let held = pod["metadata"]["labels"].get(ROLLOUT_ID).and_then(Value::as_str);
        if ordinal(pod).is_none_or(|at| at < from_ordinal) || held == Some(id.as_str()) {
            continue;
        }
        let mut pod = pod.clone();
        pod["metadata"]["labels"][ROLLOUT_ID] = id.as_str().into();
        pod["metadata"]["labels"][BATCH_ID] = number.to_string().into();
        out.push(pod);
    }
    out
}

/// The object with the id of a change on it.
pub fn marked(mut object: Value, change: &str) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(CHANGE_ANNOTATION.into(), change.into());
        }
    }
    object
}

/// Gives the container with the old image the new one; where none has it, the first that is no sidecar.
fn set_image(spec: &mut Value, old: &str, new: &str) -> Option<()> {
    let containers = spec.pointer_mut("/template/spec/containers")?.as_array_mut()?;
    let at = containers
        .iter()
        .position(|one| one["image"] == old)
        .or_else(|| containers.iter().position(|one| one["name"] != "istio-proxy"))?;
    containers[at]["image"] = new.into();
    Some(())
}
