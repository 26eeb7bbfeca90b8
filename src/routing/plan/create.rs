//! A VirtualService where none routes the service in the mesh. Called by commands that need a route.

use serde_json::{Map, Value, json};

use crate::domain::ids::{Kind, ObjectRef};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::routing::RouteKind;
use crate::domain::service::{Labels, Port, Protocol, ServiceFacts};
use crate::domain::split::Split;

use super::super::json;
use super::Planner;

/// Why none of the service's ports can get a route.
fn unroutable(service: &ServiceFacts) -> Refusal {
    let first = |protocol: Protocol| service.ports.iter().find(|port| port.protocol == protocol);
    let refusal = |code, port: &Port| {
        Refusal::new(code).arg("port", port.label()).arg("host", &service.at).arg("number", port.number)
    };
    first(Protocol::Tls)
        .map(|port| refusal(Code::TlsPort, port))
        .or_else(|| first(Protocol::Udp).map(|port| refusal(Code::UdpPort, port)))
        .unwrap_or_else(|| Refusal::new(Code::NotShiftable).arg("object", &service.at).arg("route", "-"))
}

impl Planner<'_> {
    /// Creates the service's VirtualService for all HTTP and TCP ports; a port whose protocol Istio detects gets a
    /// route of each. Without a split its routes spread requests by pods, as they were spread before.
    ///
    /// TLS ports are left alone: Istio matches them by SNI, which callers choose.
    pub fn create_virtual_service(&mut self, split: Option<&Split>) -> Result<ObjectRef, Refusal> {
        let service = &self.snapshot.service;
        let of = |kind: RouteKind| -> Vec<Port> {
            service.ports.iter().filter(|port| kind.applies_to(port.protocol)).cloned().collect()
        };
        let (http, tcp) = (of(RouteKind::Http), of(RouteKind::Tcp));
        if http.is_empty() && tcp.is_empty() {
            return Err(unroutable(service));
        }
        let several = service.ports.len() > 1;
        let mut shares: Vec<(Option<String>, u8)> = Vec::new();
        match split {
            None => shares.push((None, 100)),
            Some(split) => {
                for (version, weight) in split.iter() {
                    let Some(known) = self.version(version) else {
                        return Err(Refusal::new(Code::UnknownVersion).field("weights").arg("v", version));
                    };
                    if weight == 0
                        && !self.can_be_told(known)
                        && self.existing_subset(version, &Labels::new(), 0).is_none()
                    {
                        continue;
                    }
                    shares.push((Some(self.subset(version, 0)?), weight));
                }
            }
        }
        let host = self.before.host.clone();
        let route = |port: &Port, match_port: bool| {
            let entries: Vec<Value> = shares
                .iter()
                .map(|(subset, weight)| {
                    let mut destination = Map::new();
                    destination.insert("host".to_owned(), json!(host));
                    if several {
                        destination.insert("port".to_owned(), json!({ "number": port.number }));
                    }
                    if let Some(subset) = subset {
                        destination.insert("subset".to_owned(), json!(subset));
                    }
                    json!({ "destination": destination, "weight": weight })
                })
                .collect();
            let mut route = Map::new();
            if match_port {
                route.insert("match".to_owned(), json!([{ "port": port.number }]));
            }
            route.insert("route".to_owned(), Value::Array(entries));
            Value::Object(route)
        };
        let mut spec = Map::new();
        spec.insert("hosts".to_owned(), json!([host]));
        let mut list = |name: &str, ports: &[Port], match_port: bool| {
            if !ports.is_empty() {
                let routes = ports.iter().map(|port| route(port, match_port)).collect();
                spec.insert(name.to_owned(), Value::Array(routes));
            }
        };
        list("http", &http, http.len() > 1);
        list("tcp", &tcp, several);
        let at = self.free_object_name(Kind::VirtualService);
        self.drafts.create(at.clone(), json::created(&at, Value::Object(spec)));
        Ok(at)
    }
}
