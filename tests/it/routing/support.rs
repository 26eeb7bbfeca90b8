//! A small world for routing tests: a service with versions, and routing objects written as YAML.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use sluice::domain::command::{Command, MirrorWish, TrafficChange};
use sluice::domain::ids::{Kind, ObjectRef, RouteId, ServiceRef, VersionName};
use sluice::domain::istio::{Meta, Object};
use sluice::domain::owner::{Marks, Reference, Writers};
use sluice::domain::plan::Planned;
use sluice::domain::refusal::{Refusal, Severity};
use sluice::domain::routing::{Routing, Rule, Weights};
use sluice::domain::service::{Labels, PodGroup, Port, Protocol, ServiceFacts, Shape, Version};
use sluice::domain::snapshot::{Held, Mesh, Snapshot};
use sluice::domain::split::Split;
use sluice::routing::{ChangeStamp, Policy, plan};

/// The service `shop/reviews` and what is around it.
#[derive(Clone, Debug)]
pub struct World {
    pub snapshot: Snapshot,
    clock_ms: i64,
}

/// The service `shop/reviews` with an HTTP port 9080 and no version.
pub fn reviews() -> World {
    let port = Port { name: Some("http".into()), number: 9080, protocol: Protocol::Http };
    World {
        snapshot: Snapshot {
            service: ServiceFacts {
                at: ServiceRef::new("shop", "reviews"),
                uid: "uid".into(),
                shape: Shape::ClusterIp,
                ports: vec![port],
                selector: labels("app=reviews"),
                deleting: false,
                export_to: Box::default(),
            },
            versions: Vec::new(),
            virtual_services: Vec::new(),
            destination_rules: Vec::new(),
            mesh: Mesh {
                installed: true,
                cluster_domain: "cluster.local".into(),
                root_namespace: "istio-system".into(),
                meshed_pods: 3,
                pods: 3,
            },
            taken: Vec::new(),
            others: Vec::new(),
        },
        clock_ms: 1_000_000,
    }
}

/// `reviews` with v1, v2 and v3, two ready pods each, no routing object.
pub fn three() -> World {
    reviews().version("v1", 2).version("v2", 2).version("v3", 2)
}

/// A DestinationRule with subsets v1, v2, v3.
pub const SUBSETS: &str = "
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
  - {name: v3, labels: {version: v3}}
";

/// A VirtualService that sends everything to v1.
pub const ALL_V1: &str = "
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews, subset: v1}
";

/// `three` with [`SUBSETS`] and [`ALL_V1`].
pub fn usual() -> World {
    three().with(SUBSETS).with(ALL_V1)
}

/// `a=b,c=d`
pub fn labels(text: &str) -> Labels {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (Arc::from(key), Arc::from(value)))
        .collect()
}

impl World {
    /// Adds a version with this many pods, all ready; its pods carry `app` and `version`.
    pub fn version(self, name: &str, pods: u32) -> Self {
        self.pods(name, pods, pods, &format!("app=reviews,version={name}"), &format!("version={name}"))
    }

    /// Adds a version with some pods ready, these pod labels, and labels that tell it from others.
    pub fn pods(mut self, name: &str, ready: u32, total: u32, pods: &str, telling: &str) -> Self {
        self.clock_ms += 1000;
        self.snapshot.versions.push(Version {
            name: name.into(),
            subset_labels: labels(telling),
            pods: vec![PodGroup { labels: labels(pods).into_iter().collect(), ready, total }],
            workloads: Vec::new(),
            image: "".into(),
            ready,
            total,
            lacks: None,
            cause: None,
            waiting: Vec::new(),
            created_ms: self.clock_ms,
        });
        self
    }

    /// Adds objects (YAML documents divided by `---`), each a second younger than the one before. Namespace `shop`
    /// unless they say another.
    pub fn with(mut self, yaml: &str) -> Self {
        for document in yaml.split("\n---") {
            let mut object: Value = serde_saphyr::from_str(document).expect("YAML");
            let kind = object["kind"].as_str().expect("kind").to_owned();
            object["apiVersion"] = "networking.istio.io/v1".into();
            let metadata = object["metadata"].as_object_mut().expect("metadata");
            metadata.entry("namespace").or_insert("shop".into());
            metadata.entry("resourceVersion").or_insert("7".into());
            self.clock_ms += 1000;
            let clock = self.clock_ms;
            match kind.as_str() {
                "VirtualService" => self.snapshot.virtual_services.push(held(object, clock)),
                "DestinationRule" => self.snapshot.destination_rules.push(held(object, clock)),
                other => panic!("{other}"),
            }
        }
        self
    }

    /// Ports by number and protocol.
    pub fn ports(mut self, ports: &[(u16, Protocol)]) -> Self {
        self.snapshot.service.ports = ports
            .iter()
            .map(|(number, protocol)| Port {
                name: Some(format!("{}-{number}", protocol.as_str()).into()),
                number: *number,
                protocol: *protocol,
            })
            .collect();
        self
    }

    pub fn read(&self) -> Routing {
        sluice::routing::read(&self.snapshot)
    }

    pub fn plan(&self, command: &Command) -> Result<Planned, Refusal> {
        plan(command, &self.snapshot, &Policy::default(), &stamp())
    }

    /// The world after a plan.
    pub fn after(&self, planned: &Planned) -> Self {
        let mut world = self.clone();
        for edit in planned.plan.edits() {
            world.put(&edit.object, edit.after.clone());
        }
        world
    }

    /// Puts an object, or takes it away.
    pub fn put(&mut self, at: &ObjectRef, json: Option<Value>) {
        match (json, at.kind) {
            (Some(json), _) => self.write(at, json),
            (None, Kind::VirtualService) => {
                self.snapshot.virtual_services.retain(|held| held.object.at(at.kind) != *at);
            }
            (None, Kind::DestinationRule) => {
                self.snapshot.destination_rules.retain(|held| held.object.at(at.kind) != *at);
            }
        }
    }

    /// Puts an object.
    pub fn write(&mut self, at: &ObjectRef, json: Value) {
        self.clock_ms += 1000;
        let clock = self.clock_ms;
        match at.kind {
            Kind::VirtualService => put(&mut self.snapshot.virtual_services, at, json, clock),
            Kind::DestinationRule => put(&mut self.snapshot.destination_rules, at, json, clock),
        }
    }

    /// The spec of an object of namespace `shop`.
    pub fn spec(&self, kind: Kind, name: &str) -> Value {
        self.spec_at(&ObjectRef::new(kind, "shop", name))
    }

    pub fn spec_at(&self, at: &ObjectRef) -> Value {
        self.json_at(at)["spec"].clone()
    }

    /// The whole object, null for one that is not there.
    pub fn json_at(&self, at: &ObjectRef) -> Value {
        let json = match at.kind {
            Kind::VirtualService => self
                .snapshot
                .virtual_services
                .iter()
                .find(|held| held.object.at(at.kind) == *at)
                .and_then(|held| held.json.clone()),
            Kind::DestinationRule => self
                .snapshot
                .destination_rules
                .iter()
                .find(|held| held.object.at(at.kind) == *at)
                .and_then(|held| held.json.clone()),
        };
        json.map_or(Value::Null, |json| Value::clone(&json))
    }
}

fn put<T: DeserializeOwned + Default>(list: &mut Vec<Held<T>>, at: &ObjectRef, json: Value, clock: i64) {
    let created = list
        .iter()
        .find(|held| held.object.at(at.kind) == *at)
        .map_or(clock, |held| held.object.meta.created_ms);
    list.retain(|held| held.object.at(at.kind) != *at);
    list.push(held(json, created));
}

/// An object as the cluster module would hold it.
pub fn held<T: DeserializeOwned + Default>(json: Value, created_ms: i64) -> Held<T> {
    let meta = &json["metadata"];
    let map = |key: &str| -> BTreeMap<String, String> {
        serde_json::from_value(meta[key].clone()).unwrap_or_default()
    };
    let part = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let owners: Vec<(String, String, String, bool)> = meta["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|owner| {
            let of = |key: &str| part(owner, key);
            (of("apiVersion"), of("kind"), of("name"), owner["controller"] == true)
        })
        .collect();
    let owners: Vec<Reference<'_>> = owners
        .iter()
        .map(|(api_version, kind, name, controller)| Reference {
            api_version,
            kind,
            name,
            controller: *controller,
        })
        .collect();
    let managers: Vec<String> =
        meta["managedFields"].as_array().into_iter().flatten().map(|entry| part(entry, "manager")).collect();
    let managers: Vec<&str> = managers.iter().map(String::as_str).collect();
    let text = |key: &str| meta[key].as_str().unwrap_or_default();
    let held_meta = Meta {
        namespace: text("namespace").into(),
        name: text("name").into(),
        uid: text("uid").into(),
        resource_version: text("resourceVersion").into(),
        generation: 1,
        created_ms,
        owner: Writers::default().owner_of(&Marks {
            labels: &map("labels"),
            annotations: &map("annotations"),
            owners: &owners,
            managers: &managers,
        }),
        manager: None,
        deleting: !meta["deletionTimestamp"].is_null(),
    };
    let (spec, malformed) = match serde_json::from_value::<Option<T>>(json["spec"].clone()) {
        Ok(spec) => (spec.unwrap_or_default(), None),
        Err(error) => (T::default(), Some(error.to_string())),
    };
    Held { object: Arc::new(Object { meta: held_meta, spec, malformed }), json: Some(Arc::new(json)) }
}

pub fn stamp() -> ChangeStamp {
    ChangeStamp { change: "0199-change".into(), revision: Some(7), actor: "mara".into() }
}

/// `v1=30 v2=70`
pub fn weights(text: &str) -> Weights {
    text.split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .map(|(version, weight)| (VersionName::from(version), weight.parse().expect("weight")))
        .collect()
}

pub fn split(text: &str) -> Split {
    Split::new(weights(text)).expect("split")
}

/// Weights for the default route.
pub fn set(text: &str) -> Command {
    Command::Set(TrafficChange { weights: Some(split(text)), ..TrafficChange::default() })
}

/// Weights for a route.
pub fn set_on(route: &str, text: &str) -> Command {
    let route = Some(RouteId::from(route));
    Command::Set(TrafficChange { route, weights: Some(split(text)), ..TrafficChange::default() })
}

pub fn rules(rules: Vec<Rule>) -> Command {
    Command::Set(TrafficChange { rules: Some(rules), ..TrafficChange::default() })
}

pub fn mirror(wish: Option<(&str, f64)>) -> Command {
    let wish = wish.map(|(version, percent)| MirrorWish { version: version.into(), percent });
    Command::Set(TrafficChange { mirror: Some(wish), ..TrafficChange::default() })
}

pub fn take_over(version: &str) -> Command {
    Command::TakeOver { version: version.into() }
}

/// Weights as text, in order: `v1=30 v2=70`; `-` = spread by pods.
pub fn shown(weights: Option<Weights>) -> String {
    weights.map_or_else(
        || "-".to_owned(),
        |weights| {
            let parts: Vec<String> =
                weights.iter().map(|(version, weight)| format!("{version}={weight}")).collect();
            parts.join(" ")
        },
    )
}

/// The codes of checks of one severity, in order.
pub fn codes(planned: &Planned, severity: Severity) -> String {
    let list: Vec<&str> = planned
        .checks
        .iter()
        .filter(|check| check.severity == severity)
        .map(|check| check.code.as_str())
        .collect();
    list.join(" ")
}

/// The destinations of an http route as `host/subset:weight`, `!` for a weight that is not written.
pub fn entries(spec: &Value, list: &str, index: usize) -> String {
    let parts: Vec<String> = spec[list][index]["route"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| {
            let destination = &entry["destination"];
            let subset = destination["subset"].as_str().map_or(String::new(), |subset| format!("/{subset}"));
            let weight = entry["weight"].as_i64().map_or("!".to_owned(), |weight| weight.to_string());
            format!("{}{subset}:{weight}", destination["host"].as_str().unwrap_or("?"))
        })
        .collect();
    parts.join(" ")
}

/// A VirtualService in one line: `http m→ reviews/v2:100; → reviews/v1:100 | tcp → …`; `m2` = two matches,
/// a name in front where there is one.
pub fn told(spec: &Value) -> String {
    let mut lists = Vec::new();
    for list in ["http", "tls", "tcp"] {
        let Some(routes) = spec[list].as_array() else { continue };
        let parts: Vec<String> = routes
            .iter()
            .enumerate()
            .map(|(index, route)| {
                let name = route["name"].as_str().map_or(String::new(), |name| format!("{name} "));
                let matches = route["match"].as_array().map_or(0, Vec::len);
                let prefix = if matches > 0 { format!("m{matches}") } else { String::new() };
                let does = ["redirect", "directResponse", "delegate"]
                    .iter()
                    .find(|key| !route[**key].is_null())
                    .map_or_else(|| entries(spec, list, index), |key| (*key).to_owned());
                format!("{name}{prefix}→ {does}")
            })
            .collect();
        lists.push(format!("{list} {}", parts.join("; ")));
    }
    lists.join(" | ")
}

/// What becomes of a command: VirtualService `shop/reviews` after it, or `refused code`. A plan that is
/// blocked is marked in front: `blocked code: …`. Every plan that can be made must be done when it is done.
pub fn outcome(world: &World, command: &Command) -> String {
    let planned = match world.plan(command) {
        Ok(planned) => planned,
        Err(refusal) => return format!("refused {}", refusal.code),
    };
    let after = world.after(&planned);
    let again = after.plan(command).expect("the same command on its own result");
    assert!(again.plan.is_empty(), "not idempotent: {:#?}", again.plan);
    let blocks = codes(&planned, Severity::Block);
    let told = told(&after.spec(Kind::VirtualService, "reviews"));
    if blocks.is_empty() { told } else { format!("blocked {blocks}: {told}") }
}

impl World {
    /// The id of a route of the VirtualService `shop/reviews`.
    pub fn id(&self, list: &str, index: usize) -> String {
        self.read()
            .routes
            .iter()
            .find(|route| {
                route.kind.as_str() == list && route.index == index && &*route.object.name == "reviews"
            })
            .map_or_else(|| "no such route".to_owned(), |route| route.id.as_str().to_owned())
    }

    /// Pods of a version that are ready.
    pub fn ready(mut self, version: &str, ready: u32) -> Self {
        for held in &mut self.snapshot.versions {
            if held.name.as_str() == version {
                held.ready = ready;
                held.pods[0].ready = ready;
            }
        }
        self
    }
}

/// A VirtualService `shop/reviews` for host `reviews` with this body (indented by two).
pub fn vs(body: &str) -> String {
    format!("kind: VirtualService\nmetadata: {{name: reviews}}\nspec:\n  hosts: [reviews]\n{body}")
}

/// The same with one http route to these `subset:weight` destinations; `-` for no subset.
pub fn http(entries: &str) -> String {
    vs(&format!("  http:\n  - route:\n{}", route(entries)))
}

/// YAML of destinations: `v1:30 -:0 other.shop.svc.cluster.local/v1:5`; `!` for no weight.
pub fn route(entries: &str) -> String {
    let mut out = String::new();
    for entry in entries.split_whitespace() {
        let (to, weight) = entry.rsplit_once(':').expect("weight");
        let (host, subset) = to.split_once('/').unwrap_or(("reviews", to));
        let subset = if subset == "-" { String::new() } else { format!(", subset: {subset}") };
        let weight = if weight == "!" { String::new() } else { format!(", weight: {weight}") };
        let _ = writeln!(out, "    - {{destination: {{host: {host}{subset}}}{weight}}}");
    }
    out
}
