//! Real requests through a real Envoy, driven by the real istiod, changed by the real Sluice: nothing about
//! traffic is believed because of a fake. Needs the mesh of `tests/cluster` (see its README).

mod crowd;
mod effects;
mod faults;
mod flows;
mod nonsense;
mod opinions;
mod ports;
mod progress;
mod releases;
mod seen;
mod shapes;
mod unbroken;
mod weather;

use serde_json::{Value, json};

use crate::support::cluster::RealCluster;
use crate::support::mesh::{Ask, Load, Town};

/// Bookinfo's productpage with a sidecar, and `reviews` with these versions, all traffic on v1.
async fn bookinfo<'a>(
    cluster: &'a RealCluster,
    namespace: &str,
    reviews: &[(&str, u32)],
) -> (Town<'a>, Load) {
    let town = Town::new(cluster, namespace).await;
    town.app("productpage", 9080, &[("v1", 1)]).await;
    town.app("reviews", 9080, reviews).await;
    let names: Vec<&str> = reviews.iter().map(|(version, _)| *version).collect();
    subsets(&town, "reviews", &names).await;
    let route: Vec<Value> =
        names.iter().map(|v| to("reviews", v, if *v == names[0] { 100 } else { 0 })).collect();
    town.istio("VirtualService", "reviews", json!({"hosts": ["reviews"], "http": [{"route": route}]})).await;
    town.settled().await;
    let from = town.sidecar("productpage").await;
    let host = format!("reviews.{namespace}.svc.cluster.local:9080");
    let load = Load { from, port: 9080, requests: vec![Ask::to(&host)], streams: 4, ..Load::default() };
    town.until(&load, &names[..1]).await;
    (town, load)
}

/// A DestinationRule with one subset a version.
async fn subsets(town: &Town<'_>, host: &str, versions: &[&str]) {
    let subsets: Vec<Value> = versions.iter().map(|v| json!({"name": v, "labels": {"version": v}})).collect();
    town.istio("DestinationRule", host, json!({"host": host, "subsets": subsets})).await;
}

fn to(host: &str, subset: &str, weight: i64) -> Value {
    json!({"destination": {"host": host, "subset": subset}, "weight": weight})
}
