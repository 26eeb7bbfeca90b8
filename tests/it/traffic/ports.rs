//! Ports whose protocol is not declared: Envoy looks at the first bytes, so a shift must move HTTP requests and TCP
//! connections alike, or Sluice says what stays where it was.

use serde_json::{Value, json};

use super::{subsets, to};
use crate::support::cluster::RealCluster;
use crate::support::mesh::{Ask, Load, Town, weights};
use crate::support::served::Served;

/// A service with one port, and pods of v1 and v2.
async fn service(town: &Town<'_>, app: &str, port: Value) -> u16 {
    let number = u16::try_from(port["port"].as_u64().unwrap()).unwrap();
    let spec = json!({"selector": {"app": app}, "ports": [port]});
    let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": app}, "spec": spec});
    town.create("Service", object).await.unwrap();
    for version in ["v1", "v2"] {
        town.deploy(app, version, 1, number, json!({})).await;
    }
    number
}

fn load(from: &str, app: &str, port: u16, speaks: &'static str) -> Load {
    let host = format!("{app}.ports.svc.cluster.local");
    let host = if speaks == "http" { format!("{host}:{port}") } else { host };
    let requests = vec![Ask::to(&host)];
    Load { from: from.to_owned(), port, speaks, requests, streams: 2, ..Load::default() }
}

/// The findings and checks about ports, as `severity list port`.
fn about_ports(list: &Value) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    let ports = all.filter(|check| check["code"] == json!("port_by_pods"));
    ports
        .map(|check| format!("{} {}", check["severity"].as_str().unwrap(), check["text"].as_str().unwrap()))
        .collect()
}

async fn known(town: &Town<'_>, sluice: &Served, app: &str) {
    town.known(sluice, app, &[("v1", 1), ("v2", 1)]).await;
}

#[tokio::test]
async fn what_is_not_declared_is_moved_as_http_and_as_tcp() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let town = Town::new(cluster, "ports").await;
    town.app("client", 8080, &[("v1", 1)]).await;
    town.settled().await;
    let from = town.sidecar("client").await;
    let sluice = town.sluice().await;

    for (app, port) in [
        ("db", json!({"name": "postgres", "port": 5432, "targetPort": 5432})),
        ("raw", json!({"port": 7000, "targetPort": 7000})),
        ("dns", json!({"name": "dns-tcp", "port": 5300, "targetPort": 5300})),
    ] {
        let number = service(&town, app, port).await;
        town.settled().await;
        known(&town, &sluice, app).await;
        let accepted = town.changed(&sluice, app, weights(&[("v1", 25), ("v2", 75)])).await;
        assert!(!accepted.contains(&"port_by_pods".to_owned()), "{app}: {accepted:?}");
        for speaks in ["http", "tcp"] {
            town.until_split(&load(&from, app, number, speaks), 400, &[("v1", 0.25), ("v2", 0.75)]).await;
        }
        // The second change moves both routes that the first one made.
        town.changed(&sluice, app, weights(&[("v1", 100), ("v2", 0)])).await;
        for speaks in ["http", "tcp"] {
            town.until_split(&load(&from, app, number, speaks), 200, &[("v1", 1.0), ("v2", 0.0)]).await;
        }
        assert_eq!(
            about_ports(&town.seen(&sluice, app).await.body["findings"]),
            Vec::<String>::new(),
            "{app}"
        );
    }

    // Istio never looks into MySQL's port, so there is nothing but TCP.
    let number = service(&town, "mysql", json!({"port": 3306, "targetPort": 3306})).await;
    town.settled().await;
    known(&town, &sluice, "mysql").await;
    town.changed(&sluice, "mysql", weights(&[("v1", 25), ("v2", 75)])).await;
    assert_eq!(town.get("VirtualService", "mysql").await["spec"]["http"], Value::Null);
    town.until_split(&load(&from, "mysql", number, "tcp"), 400, &[("v1", 0.25), ("v2", 0.75)]).await;

    // Encrypted by the callers: nothing is planned, and the answer names the port.
    service(&town, "secret", json!({"name": "https", "port": 443, "targetPort": 443})).await;
    town.settled().await;
    known(&town, &sluice, "secret").await;
    let (answer, _) = town.change(&sluice, "secret", weights(&[("v1", 100), ("v2", 0)])).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (422, Some("tls_port")));
    assert!(answer.body["detail"].as_str().unwrap().contains("443 (https)"), "{:?}", answer.body);
}

#[tokio::test]
async fn an_http_route_alone_leaves_the_connections_of_a_port_to_the_pods() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let town = Town::new(cluster, "ports-http").await;
    town.app("client", 8080, &[("v1", 1)]).await;
    let number = service(&town, "orders", json!({"name": "orders", "port": 6543, "targetPort": 6543})).await;
    let host = "orders.ports-http.svc.cluster.local";
    subsets(&town, host, &["v1", "v2"]).await;
    let route = json!([to(host, "v1", 100), to(host, "v2", 0)]);
    town.istio("VirtualService", "orders", json!({"hosts": [host], "http": [{"route": route}]})).await;
    town.settled().await;
    let from = town.sidecar("client").await;
    let sluice = town.sluice().await;
    known(&town, &sluice, "orders").await;
    let of = |speaks: &'static str| Load {
        requests: vec![Ask::to(&if speaks == "http" { format!("{host}:{number}") } else { host.to_owned() })],
        ..load(&from, "orders", number, speaks)
    };
    town.until_split(&of("http"), 200, &[("v1", 1.0), ("v2", 0.0)]).await;
    // Envoy sends connections to all pods, and that is what is reported.
    town.until_split(&of("tcp"), 400, &[("v1", 0.5), ("v2", 0.5)]).await;
    let found = about_ports(&town.seen(&sluice, "orders").await.body["findings"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("acknowledge TCP") && found[0].contains("6543 (orders)"), "{found:?}");
    let accepted = town.changed(&sluice, "orders", weights(&[("v1", 0), ("v2", 100)])).await;
    assert!(accepted.contains(&"port_by_pods".to_owned()), "{accepted:?}");
}
