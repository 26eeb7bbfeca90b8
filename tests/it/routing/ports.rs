//! Ports: what Istio takes them for, and which routes move their traffic.

use sluice::domain::refusal::Severity;
use sluice::domain::service::Protocol::{self, Auto, Http, Tcp, Tls, Udp};

use super::support::{
    SUBSETS, World, codes, entries, outcome, route, set, set_on, shown, take_over, three, vs,
};

const FULL: &str = "reviews.shop.svc.cluster.local";

/// A port as `number name`, with `/appProtocol` and `@transport` where they are set.
#[track_caller]
fn protocol(port: &str, expected: Protocol) {
    let (rest, transport) = port.split_once('@').map_or((port, None), |(rest, to)| (rest, Some(to)));
    let (rest, app) = rest.split_once('~').map_or((rest, None), |(rest, app)| (rest, Some(app)));
    let (number, name) = rest.split_once(' ').map_or((rest, None), |(number, name)| (number, Some(name)));
    let number = number.parse().expect("a port number");
    assert_eq!(Protocol::of_port(number, transport, app, name), expected, "{port}");
}

/// Istio's own rules: `ConvertProtocol` in pkg/config/kube/conversion.go.
#[test]
fn a_port_is_what_istio_takes_it_for() {
    for http in ["80 http", "80 http-web", "80 HTTP-web", "81 http2", "81 http2-x", "82 grpc", "82 grpc-x"] {
        protocol(http, Http);
    }
    for http in ["83 grpc-web", "83 grpc-web-x", "83 grpc-webx", "84 http_proxy"] {
        protocol(http, Http);
    }
    for tcp in ["90 tcp", "90 tcp-x", "91 mongo", "92 mysql-x", "93 redis", "94 mongo-db"] {
        protocol(tcp, Tcp);
    }
    for tls in ["443 https", "443 https-web", "443 tls", "443 tls-x"] {
        protocol(tls, Tls);
    }
    for udp in ["53 dns@UDP", "80 http@UDP", "53 udp", "53 udp-dns", "5060 sip@SCTP"] {
        protocol(udp, Udp);
    }
    // Nothing that Istio knows: it looks at the first bytes.
    for auto in
        ["5432 postgres", "8080", "8080 web", "8080 dns-tcp", "80 httpweb", "5672 amqp", "443", "8443 ssl"]
    {
        protocol(auto, Auto);
    }
    // Where the server speaks first, it never does.
    for tcp in ["25", "53 dns", "53 dns-tcp", "3306 db", "3306", "27017", "27017 data@TCP"] {
        protocol(tcp, Tcp);
    }
    protocol("3306 http", Http);
    protocol("27017 tls-db", Tls);
    // `appProtocol` alone counts, whatever the name is.
    for (port, expected) in [
        ("80 tcp-x~http", Http),
        ("80 http~tcp", Tcp),
        ("80~kubernetes.io/h2c", Http),
        ("80 tcp~kubernetes.io/ws", Http),
        ("80 http~kubernetes.io/wss", Tls),
        ("80~grpc", Http),
        ("80~https", Tls),
        ("80 http~example.com/http", Auto),
        ("80 http~gopher", Auto),
        ("5432 http~postgresql", Auto),
        ("3306 http~example.com/wire", Tcp),
        ("80 http~HTTP2", Http),
    ] {
        protocol(port, expected);
    }
}

fn world(ports: &[(u16, Protocol)]) -> World {
    three().with(SUBSETS).ports(ports)
}

/// What a plan makes of the service's ports.
#[track_caller]
fn plans(ports: &[(u16, Protocol)], expected: &str) {
    assert_eq!(outcome(&world(ports), &set("v1=100")).replace(FULL, "R"), expected);
}

#[test]
fn a_port_whose_protocol_is_detected_gets_a_route_of_each() {
    plans(&[(5432, Auto)], "http → R/v1:100 | tcp → R/v1:100");
    plans(&[(80, Http), (5432, Auto)], "http m1→ R/v1:100; m1→ R/v1:100 | tcp m1→ R/v1:100");
    plans(&[(5432, Auto), (3306, Tcp)], "http → R/v1:100 | tcp m1→ R/v1:100; m1→ R/v1:100");
    plans(&[(5432, Auto), (443, Tls)], "http → R/v1:100 | tcp m1→ R/v1:100");
    plans(&[(443, Tls), (53, Udp)], "refused tls_port");
    let refusal = world(&[(443, Tls)]).plan(&set("v1=100")).expect_err("a refusal");
    assert!(refusal.args.iter().any(|(name, value)| name == "port" && value == "443 (tls-443)"));
    // What stays as it was is reported.
    let both = world(&[(80, Http), (443, Tls)]).plan(&set("v1=100")).expect("a plan");
    assert!(codes(&both, Severity::Info).contains("port_by_pods"), "{:?}", both.checks);
    assert!(!codes(&both, Severity::Acknowledge).contains("port_by_pods"));
}

/// A VirtualService with an http and a tcp route for one port.
fn pair(http: &str, tcp: &str) -> String {
    vs(&format!("  http:\n  - route:\n{}  tcp:\n  - route:\n{}", route(http), route(tcp)))
}

#[test]
fn both_routes_of_a_detected_port_move_together() {
    let world = world(&[(5432, Auto)]).with(&pair("v1:100 v2:0", "v1:100 v2:0"));
    let moved = "http → reviews/v1:60 reviews/v2:40 | tcp → reviews/v1:60 reviews/v2:40";
    assert_eq!(outcome(&world, &set("v1=60 v2=40")), moved);
    for list in ["http", "tcp"] {
        assert_eq!(outcome(&world, &set_on(&world.id(list, 0), "v1=60 v2=40")), moved);
    }
    let planned = world.plan(&set("v1=60 v2=40")).expect("a plan");
    assert!(codes(&planned, Severity::Info).contains("per_connection"));
    assert!(!codes(&planned, Severity::Acknowledge).contains("port_by_pods"));
    assert_eq!(
        outcome(&world, &take_over("v2")),
        "http → reviews/v1:0 reviews/v2:100 | tcp → reviews/v1:0 reviews/v2:100"
    );
}

#[test]
fn routes_that_split_differently_move_one_by_one() {
    let world = world(&[(5432, Auto)]).with(&pair("v1:100 v2:0", "v1:50 v2:50"));
    assert_eq!(
        outcome(&world, &set("v1=60 v2=40")),
        "http → reviews/v1:60 reviews/v2:40 | tcp → reviews/v1:50 reviews/v2:50"
    );
}

#[test]
fn a_tcp_route_of_another_port_is_not_moved_along() {
    let world = world(&[(5432, Auto), (9000, Tcp)]).with(&pair("v1:100 v2:0", "v1:100 v2:0"));
    let planned = world.plan(&set("v1=60 v2=40")).expect("a plan");
    let spec = world.after(&planned).spec(sluice::domain::ids::Kind::VirtualService, "reviews");
    assert_eq!(entries(&spec, "tcp", 0), "reviews/v1:100 reviews/v2:0");
}

/// A finding of each port that is spread by pods, as `severity list port`.
fn open(world: &World) -> String {
    let findings = world.read().findings;
    let of = |check: &sluice::domain::refusal::Check, name: &str| {
        check.args.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let open = findings.iter().filter(|finding| finding.code.as_str() == "port_by_pods");
    let parts: Vec<String> = open
        .map(|check| format!("{} {} {}", check.severity.as_str(), of(check, "list"), of(check, "port")))
        .collect();
    parts.join("; ")
}

#[test]
fn what_no_route_takes_is_found() {
    let http_only = &super::support::http("v1:100 v2:0");
    let tcp_only = &vs(&format!("  tcp:\n  - route:\n{}", route("v1:100 v2:0")));
    let check = |ports: &[(u16, Protocol)], object: &str, declared: &str, found: &str| {
        let world = world(ports).with(object);
        assert_eq!((shown(world.read().declared()).as_str(), open(&world).as_str()), (declared, found));
    };
    check(&[(80, Http)], http_only, "v1=100 v2=0", "");
    check(&[(5432, Auto)], http_only, "v1=100 v2=0", "acknowledge tcp 5432 (auto-5432)");
    check(&[(80, Http), (9000, Tcp)], http_only, "v1=100 v2=0", "info tcp 9000 (tcp-9000)");
    // Routes that no port uses declare nothing.
    check(&[(9000, Tcp)], http_only, "-", "acknowledge tcp 9000 (tcp-9000)");
    check(&[(443, Tls)], http_only, "-", "acknowledge tls 443 (tls-443)");
    check(&[(80, Http)], tcp_only, "-", "acknowledge http 80 (http-80)");
    check(&[(5432, Auto)], tcp_only, "v1=100 v2=0", "acknowledge http 5432 (auto-5432)");
    check(&[(9000, Tcp)], tcp_only, "v1=100 v2=0", "");
    check(&[(80, Http), (53, Udp)], http_only, "v1=100 v2=0", "");
    // Where nothing claims the host, everything is spread by pods, and that is reported already.
    let bare = world(&[(5432, Auto)]);
    assert_eq!(open(&bare), "");
}

#[test]
fn a_shift_that_leaves_connections_behind_is_acknowledged_or_refused() {
    let http_only = &super::support::http("v1:100 v2:0");
    let planned = world(&[(5432, Auto)]).with(http_only).plan(&set("v1=0 v2=100")).expect("a plan");
    assert!(codes(&planned, Severity::Acknowledge).contains("port_by_pods"), "{:?}", planned.checks);
    assert_eq!(outcome(&world(&[(9000, Tcp)]).with(http_only), &set("v1=0 v2=100")), "refused port_by_pods");
    assert_eq!(outcome(&world(&[(443, Tls)]).with(http_only), &set("v1=0 v2=100")), "refused port_by_pods");
    let planned =
        world(&[(80, Http), (9000, Tcp)]).with(http_only).plan(&set("v1=0 v2=100")).expect("a plan");
    assert!(codes(&planned, Severity::Info).contains("port_by_pods"), "{:?}", planned.checks);
}
