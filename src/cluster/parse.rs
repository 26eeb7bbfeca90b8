//! From the API server's JSON to rows. Parses only what is kept, and borrows from the text while it does.
//! Each object is read by itself: a strange one must not hide the others.

use std::sync::Arc;

use serde::de::Error as _;
use serde_json::value::RawValue;

use crate::domain::istio::Object;
use crate::domain::owner::Writers;
use crate::domain::service::{EXPORT_TO, PodCause, Port, Protocol, Shape, WorkloadKind, exported_to};
use crate::domain::versions::{OwnerKind, PodOwner};

use super::json::{
    Container, Endpoint, Meta, Nothing, PodSpec, PodStatus, ServicePort, ServiceSpec, SliceJson, Thing,
    WorkloadSpec,
};
use super::kinds::Watched;
use super::meta::{MetaJson, millis};
use super::rows::{NamespaceRow, PodMesh, PodRow, Row, ServiceRow, SliceRow, WorkloadRow};
use super::template;
use super::words::{Word, Words};

/// Reads one object of a kind.
pub(super) fn row(kind: Watched, json: &str, words: &Words, writers: &Writers) -> serde_json::Result<Row> {
    let row = match kind {
        Watched::Namespace => {
            let object: Thing<Nothing, Nothing> = serde_json::from_str(json)?;
            let ambient = object.metadata.labels.get(DATAPLANE_MODE) == Some("ambient");
            Row::Namespace(NamespaceRow { name: words.get(&object.metadata.name.0), ambient })
        }
        Watched::Service => Row::Service(Arc::new(service(serde_json::from_str(json)?, words))),
        Watched::EndpointSlice => Row::Slice(Arc::new(slice(serde_json::from_str(json)?, words))),
        Watched::Pod => Row::Pod(Arc::new(pod(serde_json::from_str(json)?, words))),
        Watched::Deployment => workload(WorkloadKind::Deployment, json, words)?,
        Watched::StatefulSet => workload(WorkloadKind::StatefulSet, json, words)?,
        Watched::VirtualService => Row::VirtualService(Arc::new(routing_object(json, words, writers)?)),
        Watched::DestinationRule => Row::DestinationRule(Arc::new(routing_object(json, words, writers)?)),
    };
    if row.key().1.is_empty() {
        return Err(serde_json::Error::custom("an object without a name"));
    }
    Ok(row)
}

/// Namespace (of a Namespace: its own name) and name of an object.
pub(super) fn key(kind: Watched, json: &str, words: &Words) -> serde_json::Result<(Word, Word)> {
    let object: Thing<Nothing, Nothing> = serde_json::from_str(json)?;
    let name = words.get(&object.metadata.name.0);
    let namespace =
        if kind == Watched::Namespace { name.clone() } else { words.get(&object.metadata.namespace.0) };
    Ok((namespace, name))
}

const DATAPLANE_MODE: &str = "istio.io/dataplane-mode";

fn service(object: Thing<'_, ServiceSpec<'_>, Nothing>, words: &Words) -> ServiceRow {
    let Thing { metadata, spec, .. } = object;
    let shape = match (&*spec.r#type.0, &*spec.cluster_i_p.0) {
        ("ExternalName", _) => Shape::ExternalName,
        (_, "None") => Shape::Headless,
        _ => Shape::ClusterIp,
    };
    let port = |port: &ServicePort<'_>| {
        let number = u16::try_from(port.port.0?).ok()?;
        let (transport, app_protocol) = (port.protocol.some(), port.app_protocol.some());
        let protocol = Protocol::of_port(number, transport, app_protocol, port.name.some());
        Some(Port { name: port.name.some().map(Into::into), number, protocol })
    };
    let ports: Box<[Port]> = spec.ports.iter().filter_map(port).collect();
    let http = |protocol: Protocol| matches!(protocol, Protocol::Http | Protocol::Auto);
    let any_http = ports.iter().any(|port| http(port.protocol));
    let target = |given: &ServicePort<'_>| {
        let protocol = port(given)?.protocol;
        let needed = if any_http { http(protocol) } else { protocol != Protocol::Udp };
        let target = given.target_port.0.as_ref().filter(|_| needed)?;
        Some((words.get(given.name.some().unwrap_or_default()), words.get(target)))
    };
    let targets = spec.ports.iter().filter_map(target).collect();
    ServiceRow {
        namespace: words.get(&metadata.namespace.0),
        name: words.get(&metadata.name.0),
        uid: (*metadata.uid.0).into(),
        shape,
        ports,
        targets,
        selector: spec.selector.kept(words),
        deleting: metadata.deletion_timestamp.some().is_some(),
        export_to: exported_to(metadata.annotations.get(EXPORT_TO).unwrap_or_default()),
    }
}

fn slice(object: SliceJson<'_>, words: &Words) -> SliceRow {
    let takes_traffic = |endpoint: &&Endpoint<'_>| {
        // Absent means ready: <https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions>.
        endpoint.conditions.ready.0.unwrap_or(true) && !endpoint.conditions.terminating.0.unwrap_or(false)
    };
    let mut ready: Vec<Word> = object
        .endpoints
        .iter()
        .filter(takes_traffic)
        .filter(|endpoint| endpoint.target_ref.kind.0 == "Pod")
        .map(|endpoint| words.get(&endpoint.target_ref.name.0))
        .collect();
    ready.sort_unstable();
    ready.dedup();
    SliceRow {
        namespace: words.get(&object.metadata.namespace.0),
        name: words.get(&object.metadata.name.0),
        service: words.get(object.metadata.labels.get("kubernetes.io/service-name").unwrap_or_default()),
        ready: ready.into_boxed_slice(),
        ports: object.ports.iter().map(|port| words.get(&port.name.0)).collect(),
    }
}

fn pod(object: Thing<'_, PodSpec<'_>, PodStatus<'_>>, words: &Words) -> PodRow {
    let Thing { metadata, spec, status } = object;
    let sidecar = spec.containers.iter().chain(&spec.init_containers).any(|c| c.name.0 == SIDECAR)
        || metadata.annotations.get("sidecar.istio.io/status").is_some();
    let mesh = match metadata.labels.get(DATAPLANE_MODE) {
        _ if sidecar => PodMesh::In,
        Some("ambient") => PodMesh::In,
        Some("none") => PodMesh::Out,
        _ => PodMesh::Unsaid,
    };
    PodRow {
        namespace: words.get(&metadata.namespace.0),
        name: words.get(&metadata.name.0),
        labels: metadata.labels.kept(words),
        image: words.get(image(&spec.containers)),
        cause: cause(&status, words).map(Arc::new),
        owner: owner(&metadata, words),
        terminating: metadata.deletion_timestamp.some().is_some(),
        ended: matches!(&*status.phase.0, "Succeeded" | "Failed"),
        mesh,
    }
}

/// The controller of a pod. The name of a ReplicaSet ends in a hash that its pods carry: without it, it is the name of
/// the Deployment (or of what else makes ReplicaSets), which is kept once for all pods.
fn owner(metadata: &Meta<'_>, words: &Words) -> Option<PodOwner> {
    let owner = metadata.owner_references.iter().find(|owner| owner.controller.0 == Some(true))?;
    let name = &*owner.name.0;
    let kind = match &*owner.kind.0 {
        "ReplicaSet" => OwnerKind::ReplicaSet,
        "StatefulSet" => OwnerKind::StatefulSet,
        _ => OwnerKind::Other,
    };
    let hashes = HASHES.iter().filter(|_| kind == OwnerKind::ReplicaSet);
    let maker = hashes.filter_map(|key| metadata.labels.get(key)).find_map(|hash| {
        let maker = name.strip_suffix(hash)?.strip_suffix('-')?;
        Some((maker, hash))
    });
    let (name, hash) = maker.map_or((name, None), |(maker, hash)| (maker, Some(words.get(hash))));
    Some(PodOwner { kind, name: words.get(name), hash })
}

/// The labels that hold the hash of a ReplicaSet's name.
const HASHES: [&str; 2] = ["pod-template-hash", "rollouts-pod-template-hash"];

const SIDECAR: &str = "istio-proxy";

/// The image of the first container that is the application's own.
fn image<'a>(containers: &'a [Container<'_>]) -> &'a str {
    let own = containers.iter().find(|container| container.name.0 != SIDECAR);
    own.or(containers.first()).map_or("", |container| &container.image.0)
}

/// Why a pod is not ready, in the cluster's words: what a container waits for, how it ended, why no node takes it,
/// which check of a running container fails.
fn cause(status: &PodStatus<'_>, words: &Words) -> Option<PodCause> {
    let all = || status.init_container_statuses.iter().chain(&status.container_statuses);
    let waits = || {
        all().filter_map(|container| {
            let waiting = &container.state.waiting;
            let ended = &container.last_state.terminated;
            let last_exit = ended.exit_code.0.map(|code| (ended.reason.0.as_ref().into(), code));
            Some((waiting.reason.some()?, waiting.message.some(), last_exit))
        })
    };
    // `PodInitializing` only says that an earlier container is not done; that one says why.
    let telling = waits().find(|(reason, ..)| !matches!(*reason, "PodInitializing" | "ContainerCreating"));
    let ended = || {
        let ended = all().map(|container| &container.state.terminated);
        let mut ended = ended.filter_map(|one| Some((one.reason.some()?, one.message.some(), None)));
        ended.find(|(reason, ..)| *reason != "Completed")
    };
    let lacking = |kind: &str| {
        let mut lacking = status.conditions.iter().filter(|c| c.r#type.0 == kind && c.status.0 == "False");
        lacking.next().and_then(|one| Some((one.reason.some()?, one.message.some(), None)))
    };
    let own = || status.reason.some().map(|reason| (reason, status.message.some(), None));
    let (reason, message, last_exit) = telling
        .or_else(ended)
        .or_else(|| lacking("PodScheduled"))
        .or_else(own)
        .or_else(|| waits().next())
        .or_else(|| lacking("Ready"))?;
    let message: String = message.unwrap_or_default().chars().take(PodCause::LONGEST).collect();
    Some(PodCause { reason: words.get(reason), message: message.into(), last_exit })
}

fn workload(kind: WorkloadKind, json: &str, words: &Words) -> serde_json::Result<Row> {
    let Thing { metadata, spec, .. } = serde_json::from_str::<Thing<'_, WorkloadSpec<'_>, Nothing>>(json)?;
    let going = metadata.deletion_timestamp.some().map(|_| {
        let finalizers: Vec<&str> = metadata.finalizers.iter().map(|one| &*one.0).collect();
        words.get(&finalizers.join(", "))
    });
    Ok(Row::Workload(Arc::new(WorkloadRow {
        namespace: words.get(&metadata.namespace.0),
        name: words.get(&metadata.name.0),
        kind,
        created_ms: millis(&metadata.creation_timestamp.0),
        image: words.get(image(&spec.template.spec.containers)),
        wanted: spec.replicas.0.unwrap_or(1),
        selector: spec.selector.match_labels.kept(words),
        pod_labels: spec.template.metadata.labels.kept(words),
        going,
        template: template::read(json, &spec.template.spec, words),
    })))
}

/// A VirtualService or DestinationRule. A spec of another shape than documented gives an empty view with the error.
fn routing_object<T: Default + serde::de::DeserializeOwned>(
    json: &str,
    words: &Words,
    writers: &Writers,
) -> serde_json::Result<Object<T>> {
    #[derive(serde::Deserialize)]
    struct RoutingJson<'a> {
        metadata: MetaJson,
        #[serde(borrow)]
        spec: Option<&'a RawValue>,
    }
    let object: RoutingJson<'_> = serde_json::from_str(json)?;
    let (spec, malformed) = match serde_json::from_str(object.spec.map_or("{}", RawValue::get)) {
        Ok(spec) => (spec, None),
        Err(error) => (T::default(), Some(error.to_string())),
    };
    Ok(Object { meta: object.metadata.read(words, writers), spec, malformed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Watched, json: &str) -> Row {
        row(kind, json, &Words::default(), &Writers::default()).unwrap()
    }

    #[test]
    fn a_spec_of_another_shape_is_kept_as_malformed() {
        let json = r#"{"metadata": {"name": "a", "namespace": "b"}, "spec": {"http": [{"route": "all"}]}}"#;
        let Row::VirtualService(object) = read(Watched::VirtualService, json) else { panic!() };
        assert!(object.malformed.as_ref().is_some_and(|why| why.contains("invalid type")));
        assert!(object.spec.http.is_empty());
        let Row::DestinationRule(object) = read(Watched::DestinationRule, r#"{"metadata": {"name": "a"}}"#)
        else {
            panic!()
        };
        assert_eq!((&*object.spec.host, &object.malformed), ("", &None));
    }

    #[test]
    fn absent_null_and_escaped_values_are_read() {
        let json = r#"{"metadata": {"name": "a", "namespace": "b", "labels": null},
            "spec": {"selector": {"app\u002fname": "x\ty"}, "ports": [{"port": 80, "name": null}, {"name": "none"}],
            "sessionAffinity": {"odd": [1, 2]}}, "status": 7}"#
            .replace("\"status\": 7", "\"status\": null");
        let Row::Service(service) = read(Watched::Service, &json) else { panic!() };
        assert_eq!(service.selector.get("app/name").map(AsRef::as_ref), Some("x\ty"));
        assert_eq!(service.ports.iter().map(|port| port.number).collect::<Vec<_>>(), [80]);
        assert_eq!(service.shape, Shape::ClusterIp);
        let Row::Workload(workload) = read(Watched::Deployment, r#"{"metadata": {"name": "a"}, "spec": {}}"#)
        else {
            panic!()
        };
        assert_eq!((workload.wanted, &*workload.image), (1, ""));
        assert!(row(Watched::Pod, "[]", &Words::default(), &Writers::default()).is_err());
    }

    #[test]
    fn a_pods_cause_is_the_most_telling_word() {
        let check = |status: &str, expected: Option<&str>| {
            let json = format!(r#"{{"metadata": {{"name": "a"}}, "status": {status}}}"#);
            let Row::Pod(pod) = read(Watched::Pod, &json) else { panic!() };
            assert_eq!(pod.cause.as_ref().map(|cause| &*cause.reason), expected, "{status}");
        };
        check("{}", None);
        let waiting = |reason: &str| format!(r#"{{"state": {{"waiting": {{"reason": "{reason}"}}}}}}"#);
        let containers = |list: &[String]| format!(r#"{{"containerStatuses": [{}]}}"#, list.join(","));
        check(&containers(&[waiting("ContainerCreating")]), Some("ContainerCreating"));
        check(
            &containers(&[waiting("PodInitializing"), waiting("CrashLoopBackOff")]),
            Some("CrashLoopBackOff"),
        );
        let ended = r#"{"state": {"terminated": {"reason": "OOMKilled"}}}"#.to_owned();
        check(&containers(&[waiting("ContainerCreating"), ended]), Some("OOMKilled"));
        let homeless =
            r#"{"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}"#;
        check(homeless, Some("Unschedulable"));
        check(r#"{"reason": "Evicted"}"#, Some("Evicted"));
        // A container that runs and does not pass its readiness check.
        let unready = r#"{"conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
            "containerStatuses": [{"state": {"running": {}}}]}"#;
        check(unready, Some("ContainersNotReady"));
    }
}
