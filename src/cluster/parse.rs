//! From the API server's JSON to rows. Parses only what is kept, borrows from the text while it does, and takes
//! odd values for absent ones: one strange object must not hide the others.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::istio::Object;
use crate::domain::service::{Port, Protocol, Shape, WorkloadKind};

use super::kinds::Watched;
use super::meta::{MetaJson, millis};
use super::rows::{NamespaceRow, PodMesh, PodRow, Row, ServiceRow, SliceRow, WorkloadRow};
use super::words::{LabelSet, Word, Words};

/// Reads one object of a kind.
pub(super) fn row(kind: Watched, json: &str, words: &Words) -> serde_json::Result<Row> {
    Ok(match kind {
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
        Watched::VirtualService => Row::VirtualService(Arc::new(routing_object(json, words)?)),
        Watched::DestinationRule => Row::DestinationRule(Arc::new(routing_object(json, words)?)),
    })
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

/// A text that is borrowed where the JSON has no escapes in it; anything but a text is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        from.deserialize_any(Reader)
    }
}

impl Text<'_> {
    fn some(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&*self.0)
    }
}

/// A JSON object of texts, in the order in which they stand.
#[derive(Default)]
struct Texts<'a>(Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Texts<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts<'de>, A::Error> {
                let mut out = Vec::with_capacity(map.size_hint().unwrap_or(8));
                while let Some(entry) = map.next_entry()? {
                    out.push(entry);
                }
                Ok(Texts(out))
            }
            fn visit_unit<E>(self) -> Result<Texts<'de>, E> {
                Ok(Texts::default())
            }
        }
        from.deserialize_any(Reader)
    }
}

impl Texts<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k.0 == key).map(|(_, value)| &*value.0)
    }

    fn kept(&self, words: &Words) -> LabelSet {
        LabelSet::new(self.0.iter().map(|(key, value)| (words.get(&key.0), words.get(&value.0))).collect())
    }
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// Structs whose every field may be absent or null.
macro_rules! partial {
    ($($name:ident { $($field:ident: $ty:ty,)* })*) => {$(
        #[derive(Default, serde::Deserialize)]
        #[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
        struct $name<'a> {
            $(#[serde(borrow, deserialize_with = "null_as_default")] $field: $ty,)*
            #[serde(skip)] lifetime: std::marker::PhantomData<&'a ()>,
        }
    )*};
}

#[derive(Default, serde::Deserialize)]
struct Nothing {}

#[derive(serde::Deserialize)]
#[serde(
    default,
    bound(deserialize = "'de: 'a, S: Default + Deserialize<'de>, T: Default + Deserialize<'de>")
)]
struct Thing<'a, S, T> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(deserialize_with = "null_as_default")]
    spec: S,
    #[serde(deserialize_with = "null_as_default")]
    status: T,
}

impl<S: Default, T: Default> Default for Thing<'_, S, T> {
    fn default() -> Self {
        Self { metadata: Meta::default(), spec: S::default(), status: T::default() }
    }
}

partial! {
    Meta {
        namespace: Text<'a>,
        name: Text<'a>,
        uid: Text<'a>,
        creation_timestamp: Text<'a>,
        deletion_timestamp: Text<'a>,
        labels: Texts<'a>,
        annotations: Texts<'a>,
    }
    ServiceSpec {
        r#type: Text<'a>,
        cluster_i_p: Text<'a>,
        selector: Texts<'a>,
        ports: Vec<ServicePort<'a>>,
    }
    ServicePort {
        name: Text<'a>,
        protocol: Text<'a>,
        app_protocol: Text<'a>,
        port: Number<'a>,
    }
    TargetRef {
        kind: Text<'a>,
        name: Text<'a>,
    }
    Endpoint {
        conditions: Conditions<'a>,
        target_ref: TargetRef<'a>,
    }
    Conditions {
        ready: Flag<'a>,
        terminating: Flag<'a>,
    }
    Container {
        name: Text<'a>,
        image: Text<'a>,
    }
    PodSpec {
        containers: Vec<Container<'a>>,
        init_containers: Vec<Container<'a>>,
    }
    PodStatus {
        phase: Text<'a>,
        reason: Text<'a>,
        conditions: Vec<PodCondition<'a>>,
        container_statuses: Vec<ContainerStatus<'a>>,
        init_container_statuses: Vec<ContainerStatus<'a>>,
    }
    PodCondition {
        r#type: Text<'a>,
        status: Text<'a>,
        reason: Text<'a>,
    }
    ContainerStatus {
        state: ContainerState<'a>,
    }
    ContainerState {
        waiting: Because<'a>,
        terminated: Because<'a>,
    }
    Because {
        reason: Text<'a>,
    }
    WorkloadSpec {
        replicas: Number<'a>,
        selector: Selector<'a>,
        template: Template<'a>,
    }
    Selector {
        match_labels: Texts<'a>,
    }
    Template {
        metadata: Meta<'a>,
        spec: PodSpec<'a>,
    }
}

#[derive(Default)]
struct Number<'a>(Option<u32>, std::marker::PhantomData<&'a ()>);

impl<'de> Deserialize<'de> for Number<'_> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(from)?, std::marker::PhantomData))
    }
}

#[derive(Default)]
struct Flag<'a>(Option<bool>, std::marker::PhantomData<&'a ()>);

impl<'de> Deserialize<'de> for Flag<'_> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(from)?, std::marker::PhantomData))
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct SliceJson<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow, deserialize_with = "null_as_default")]
    endpoints: Vec<Endpoint<'a>>,
}

fn service(object: Thing<'_, ServiceSpec<'_>, Nothing>, words: &Words) -> ServiceRow {
    let Thing { metadata, spec, .. } = object;
    let shape = match (&*spec.r#type.0, &*spec.cluster_i_p.0) {
        ("ExternalName", _) => Shape::ExternalName,
        (_, "None") => Shape::Headless,
        _ => Shape::ClusterIp,
    };
    let port = |port: &ServicePort<'_>| {
        let protocol = Protocol::of_port(port.protocol.some(), port.app_protocol.some(), port.name.some());
        let number = u16::try_from(port.port.0?).ok()?;
        Some(Port { name: port.name.some().map(Into::into), number, protocol })
    };
    ServiceRow {
        namespace: words.get(&metadata.namespace.0),
        name: words.get(&metadata.name.0),
        uid: (*metadata.uid.0).into(),
        shape,
        ports: spec.ports.iter().filter_map(port).collect(),
        selector: spec.selector.kept(words),
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
        cause: cause(&status).map(|cause| words.get(cause)),
        terminating: metadata.deletion_timestamp.some().is_some(),
        ended: matches!(&*status.phase.0, "Succeeded" | "Failed"),
        mesh,
    }
}

const SIDECAR: &str = "istio-proxy";

/// The image of the first container that is the application's own.
fn image<'a>(containers: &'a [Container<'_>]) -> &'a str {
    let own = containers.iter().find(|container| container.name.0 != SIDECAR);
    own.or(containers.first()).map_or("", |container| &container.image.0)
}

/// Why a pod is not ready, in the cluster's word: what a container waits for, how it ended, why no node takes it.
fn cause<'a>(status: &'a PodStatus<'_>) -> Option<&'a str> {
    let all = || status.init_container_statuses.iter().chain(&status.container_statuses);
    let waits = all().filter_map(|container| container.state.waiting.reason.some());
    // `PodInitializing` only says that an earlier container is not done; that one says why.
    let telling = waits.clone().find(|reason| !matches!(*reason, "PodInitializing" | "ContainerCreating"));
    let ended = || {
        let reasons = all().filter_map(|container| container.state.terminated.reason.some());
        reasons.into_iter().find(|reason| *reason != "Completed")
    };
    let homeless = || {
        let conditions = status.conditions.iter();
        let mut lacking = conditions.filter(|c| c.r#type.0 == "PodScheduled" && c.status.0 == "False");
        lacking.next().and_then(|condition| condition.reason.some())
    };
    telling.or_else(ended).or_else(homeless).or_else(|| status.reason.some()).or_else(|| waits.clone().next())
}

fn workload(kind: WorkloadKind, json: &str, words: &Words) -> serde_json::Result<Row> {
    let Thing { metadata, spec, .. } = serde_json::from_str::<Thing<'_, WorkloadSpec<'_>, Nothing>>(json)?;
    Ok(Row::Workload(Arc::new(WorkloadRow {
        namespace: words.get(&metadata.namespace.0),
        name: words.get(&metadata.name.0),
        kind,
        created_ms: millis(&metadata.creation_timestamp.0),
        image: words.get(image(&spec.template.spec.containers)),
        wanted: spec.replicas.0.unwrap_or(1),
        selector: spec.selector.match_labels.kept(words),
        pod_labels: spec.template.metadata.labels.kept(words),
    })))
}

/// A VirtualService or DestinationRule. A spec of another shape than documented gives an empty view with the error.
fn routing_object<T: Default + serde::de::DeserializeOwned>(
    json: &str,
    words: &Words,
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
    Ok(Object { meta: object.metadata.read(words), spec, malformed })
}
