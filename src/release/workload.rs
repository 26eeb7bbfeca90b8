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
    /// The label by which versions are told apart.
    pub key: &'a str,
    pub stable: &'a VersionName,
    pub version: &'a VersionName,
    /// The image that the stable version runs: the container with it gets the new one.
    pub old_image: &'a str,
    pub image: &'a str,
    pub replicas: Option<u32>,
    /// Labels that the service selects by: they stay as they are, whoever else uses them.
    pub selector: &'a [(String, String)],
}

/// The name of a copy: `reviews-v1` becomes `reviews-v2`, `reviews` becomes `reviews-v2`.
pub fn name_of(workload: &str, stable: &VersionName, version: &VersionName) -> String {
    let base = workload.strip_suffix(stable.as_str()).filter(|base| base.ends_with('-') && base.len() > 1);
    let name = match base {
        Some(base) => format!("{base}{version}"),
        None => format!("{workload}-{version}"),
    };
    let room = 63_usize.saturating_sub(version.as_str().len() + 1);
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

/// A StatefulSet so many of whose pods run the image; 0 = all run again what they ran before. `None` when it
/// is so already.
pub fn batch(set: &Value, updated: u32, wish: &Copy<'_>) -> Result<Option<Value>, Refusal> {
    let broken = || Refusal::new(Code::NotStateful).arg("v", wish.stable);
    let total = set["spec"]["replicas"].as_u64().unwrap_or(1);
    let mut out = set.clone();
    let note =
        |of: &Value, key: &str| of.get("metadata")?.get("annotations")?.get(key)?.as_str().map(str::to_owned);
    let (had, was) = (note(set, STABLE_IMAGE), note(set, STABLE_VERSION));
    let annotations = out
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .ok_or_else(broken)?
        .entry("annotations")
        .or_insert_with(|| json!({}))
        .as_object_mut()
        .ok_or_else(broken)?;
    let (image, version, partition) = if updated == 0 {
        let Some(image) = had.clone() else { return Ok(None) };
        annotations.remove(STABLE_IMAGE);
        annotations.remove(STABLE_VERSION);
        (image, was.unwrap_or_else(|| wish.stable.to_string()), 0)
    } else {
        annotations.entry(STABLE_IMAGE).or_insert_with(|| wish.old_image.into());
        annotations.entry(STABLE_VERSION).or_insert_with(|| wish.stable.as_str().into());
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
    spec["updateStrategy"] = json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": partition } });
    Ok((out != *set).then_some(out))
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
