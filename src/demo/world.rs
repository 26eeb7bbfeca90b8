//! The cluster as proxies know it: services with their endpoints, and the routing objects, parsed. Pure apart
//! from [`World::read`], which takes one look at the API server.
//!
//! Rebuilt when the cluster changes; the router and the traffic only read it. It uses the views of `domain`
//! and nothing of `routing`: what Sluice decides and what the demo's proxies do are two opinions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::api::ApiServer;
use super::pods;
use crate::domain::ids::{Kind, ObjectRef, ServiceRef};
use crate::domain::istio::{DestinationRule, HttpMatch, HttpRoute, StringMatch, VirtualService};
use crate::domain::service::{EXPORT_TO, Labels, Port, Protocol, Shape, exported_to, is_known_in};

/// Everything that decides where a request goes.
#[derive(Debug, Default)]
pub struct World {
    pub services: BTreeMap<ServiceRef, Service>,
    /// Oldest first, as proxies try them.
    pub virtual_services: Vec<Rules>,
    /// Oldest first.
    pub destination_rules: Vec<Subsets>,
    pub gateways: Vec<Entrance>,
    /// Every regular expression of the objects, compiled; those that RE2 would refuse are absent.
    pub patterns: HashMap<Box<str>, Regex>,
}

/// A Service and who answers for it.
#[derive(Debug)]
pub struct Service {
    pub at: ServiceRef,
    pub shape: Shape,
    pub ports: Vec<Port>,
    /// The namespaces whose proxies know it; none = all.
    pub export_to: Box<[Box<str>]>,
    /// Ready ones only.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// A pod behind a service.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub service: ServiceRef,
    pub pod: Arc<str>,
    pub labels: Labels,
    /// The Deployment or StatefulSet.
    pub workload: Arc<str>,
    /// As the mesh names it in metrics: the `version` label, else `latest`.
    pub version: Arc<str>,
    /// Has a sidecar.
    pub meshed: bool,
}

/// A VirtualService.
#[derive(Debug)]
pub struct Rules {
    pub at: ObjectRef,
    created_ms: i64,
    pub spec: VirtualService,
    /// What the view of `domain` does not hold, by the place of the http route.
    pub extras: Vec<Extra>,
    /// The matches of each http route, to hand out without copying.
    pub whens: Vec<Arc<[HttpMatch]>>,
}

/// Further fields of an http route.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Extra {
    pub redirect: Option<Redirect>,
    pub direct_response: Option<DirectResponse>,
    pub rewrite: Option<Rewrite>,
    pub fault: Option<Fault>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Redirect {
    pub uri: Option<String>,
    pub authority: Option<String>,
    pub redirect_code: Option<u16>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DirectResponse {
    pub status: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Rewrite {
    pub uri: Option<String>,
    pub authority: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fault {
    pub abort: Option<Abort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Abort {
    pub http_status: Option<u16>,
    pub percentage: Option<Percentage>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Percentage {
    pub value: f64,
}

/// A DestinationRule.
#[derive(Debug)]
pub struct Subsets {
    pub at: ObjectRef,
    created_ms: i64,
    pub spec: DestinationRule,
    /// The clients for which it holds; `None` = all.
    pub for_clients: Option<Labels>,
}

/// A Gateway.
#[derive(Debug)]
pub struct Entrance {
    /// `namespace/name`, as `gateways` lists name it.
    pub name: Box<str>,
    /// Without their namespace part.
    pub hosts: Vec<Box<str>>,
}

impl World {
    /// The cluster's state now.
    pub fn read(api: &ApiServer) -> Self {
        let kinds = ["Service", "Pod", "EndpointSlice", "VirtualService", "DestinationRule", "Gateway"];
        Self::of(kinds.iter().flat_map(|kind| {
            api.list(kind, None).into_iter().map(|object| {
                let mut value = object.value();
                value["kind"] = (*kind).into();
                value
            })
        }))
    }

    /// The world that these objects make; others are ignored.
    pub fn of(objects: impl Iterator<Item = Value>) -> Self {
        let mut world = Self::default();
        let mut found: HashMap<(Arc<str>, Arc<str>), Value> = HashMap::new();
        let mut slices = Vec::new();
        for object in objects {
            match object["kind"].as_str() {
                Some("Service") => world.add_service(&object),
                Some("Pod") => {
                    found.insert((meta(&object, "namespace"), meta(&object, "name")), object);
                }
                Some("EndpointSlice") => slices.push(object),
                Some("VirtualService") => world.virtual_services.push(rules(&object)),
                Some("DestinationRule") => world.destination_rules.push(subsets(&object)),
                Some("Gateway") => world.gateways.push(entrance(&object)),
                _ => {}
            }
        }
        for slice in &slices {
            world.add_endpoints(slice, &found);
        }
        let age = |at: &ObjectRef, created_ms: i64| (created_ms, at.name.clone(), at.namespace.clone());
        world.virtual_services.sort_by_cached_key(|rules| age(&rules.at, rules.created_ms));
        world.destination_rules.sort_by_cached_key(|rule| age(&rule.at, rule.created_ms));
        world.patterns = patterns(&world.virtual_services);
        world
    }

    fn add_service(&mut self, object: &Value) {
        let spec = &object["spec"];
        let at = ServiceRef::new(&meta(object, "namespace"), &meta(object, "name"));
        let shape = match (spec["type"].as_str(), spec["clusterIP"].as_str()) {
            (Some("ExternalName"), _) => Shape::ExternalName,
            (_, Some("None")) => Shape::Headless,
            _ => Shape::ClusterIp,
        };
        let ports = spec["ports"].as_array().into_iter().flatten().filter_map(|port| {
            let name = port["name"].as_str();
            let number = u16::try_from(port["port"].as_u64()?).ok()?;
            let (transport, app_protocol) = (port["protocol"].as_str(), port["appProtocol"].as_str());
            let protocol = Protocol::of_port(number, transport, app_protocol, name);
            Some(Port { name: name.map(Into::into), number, protocol })
        });
        let annotation = object["metadata"]["annotations"][EXPORT_TO].as_str().unwrap_or_default();
        let service = Service {
            at: at.clone(),
            shape,
            ports: ports.collect(),
            export_to: exported_to(annotation),
            endpoints: Vec::new(),
        };
        self.services.insert(at, service);
    }

    fn add_endpoints(&mut self, slice: &Value, found: &HashMap<(Arc<str>, Arc<str>), Value>) {
        let namespace = meta(slice, "namespace");
        let name = slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str().unwrap_or_default();
        let Some(service) = self.services.get_mut(&ServiceRef::new(&namespace, name)) else { return };
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let conditions = &endpoint["conditions"];
            // Absent means ready: discovery/v1, EndpointConditions.
            if conditions["ready"] == false || conditions["terminating"] == true {
                continue;
            }
            let pod: Arc<str> = endpoint["targetRef"]["name"].as_str().unwrap_or_default().into();
            let Some(found) = found.get(&(namespace.clone(), pod.clone())) else { continue };
            let labels = labels(&found["metadata"]["labels"]);
            let version = labels.get("version").cloned().unwrap_or_else(|| "latest".into());
            let workload = pods::workload_of(found).map_or_else(|| pod.clone(), Into::into);
            let meshed = pods::is_meshed(found);
            let service_at = service.at.clone();
            service.endpoints.push(Arc::new(Endpoint {
                service: service_at,
                pod,
                labels,
                workload,
                version,
                meshed,
            }));
        }
    }
}

impl Service {
    /// True when proxies of this namespace know it.
    pub fn is_known_in(&self, client: &str) -> bool {
        is_known_in(&self.export_to, self.at.namespace.as_str(), client)
    }

    pub fn port(&self, number: u16) -> Option<&Port> {
        self.ports.iter().find(|port| port.number == number)
    }
}

fn meta(object: &Value, field: &str) -> Arc<str> {
    object["metadata"][field].as_str().unwrap_or_default().into()
}

fn labels(map: &Value) -> Labels {
    let pairs = map.as_object().into_iter().flatten();
    pairs.filter_map(|(k, v)| Some((k.as_str().into(), v.as_str()?.into()))).collect()
}

fn at(kind: Kind, object: &Value) -> ObjectRef {
    ObjectRef::new(kind, &meta(object, "namespace"), &meta(object, "name"))
}

/// A spec that cannot be read routes nothing: a real proxy would not have got it either.
fn spec<T: Default + for<'de> Deserialize<'de>>(object: &Value) -> T {
    T::deserialize(&object["spec"]).unwrap_or_default()
}

fn rules(object: &Value) -> Rules {
    let http = object["spec"]["http"].as_array();
    let extras = http.into_iter().flatten().map(|route| Extra::deserialize(route).unwrap_or_default());
    let spec: VirtualService = spec(object);
    Rules {
        at: at(Kind::VirtualService, object),
        created_ms: pods::created_ms(object),
        extras: extras.collect(),
        whens: spec.http.iter().map(|route| route.r#match.clone().into()).collect(),
        spec,
    }
}

fn subsets(object: &Value) -> Subsets {
    let selector = object["spec"].get("workloadSelector").filter(|selector| !selector.is_null());
    Subsets {
        at: at(Kind::DestinationRule, object),
        created_ms: pods::created_ms(object),
        spec: spec(object),
        for_clients: selector.map(|selector| labels(&selector["matchLabels"])),
    }
}

fn entrance(object: &Value) -> Entrance {
    let servers = object["spec"]["servers"].as_array().into_iter().flatten();
    let hosts = servers.flat_map(|server| server["hosts"].as_array().into_iter().flatten());
    let bare = |host: &Value| host.as_str().map(|host| host.rsplit('/').next().unwrap_or(host).into());
    Entrance {
        name: format!("{}/{}", meta(object, "namespace"), meta(object, "name")).into(),
        hosts: hosts.filter_map(bare).collect(),
    }
}

/// RE2 matches the whole value; Envoy writes no anchors of its own.
fn patterns(all: &[Rules]) -> HashMap<Box<str>, Regex> {
    let mut patterns = HashMap::new();
    let routes = all.iter().flat_map(|rules| &rules.spec.http);
    for text in routes.flat_map(strings).filter_map(|string| string.regex.as_deref()) {
        if let Ok(pattern) = Regex::new(&format!("^(?:{text})$")) {
            patterns.insert(text.into(), pattern);
        }
    }
    patterns
}

fn strings(route: &HttpRoute) -> impl Iterator<Item = &StringMatch> {
    route.r#match.iter().flat_map(|when| {
        let single = [&when.uri, &when.scheme, &when.method, &when.authority];
        single
            .into_iter()
            .flatten()
            .chain(when.headers.values())
            .chain(when.without_headers.values())
            .chain(when.query_params.values())
    })
}
