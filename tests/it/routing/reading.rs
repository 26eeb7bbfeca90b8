//! Which routes matter, which one is the default, whom destinations reach.

use sluice::domain::routing::{Dest, Route};
use sluice::domain::service::PodGroup;

use super::support::{SUBSETS, World, http, reviews, route, shown, three, usual, vs};

/// Routes as `list[index] object weights`, the default one with a star.
fn check(world: &World, expected: &[&str]) {
    let told: Vec<String> = world
        .read()
        .routes
        .iter()
        .map(|route| {
            let star = if route.is_default { "*" } else { "" };
            let fixed = route.fixed.map_or(String::new(), |fixed| format!(" {fixed:?}"));
            format!(
                "{star}{}[{}] {}/{} {}{fixed}",
                route.kind.as_str(),
                route.index,
                route.object.namespace,
                route.object.name,
                shown(route.weights())
            )
        })
        .collect();
    assert_eq!(told, expected);
}

fn base() -> World {
    three().with(SUBSETS)
}

#[test]
fn the_default_is_the_catch_all_of_the_services_own_object() {
    check(&three(), &[]);
    check(&usual(), &["*http[0] shop/reviews v1=100"]);
    let rules = vs(&format!(
        "  http:
  - match: [{{headers: {{a: {{exact: b}}}}}}]
    route:
{}  - match: [{{uri: {{prefix: /}}}}]
    route:
{}  - route:
{}",
        route("v2:100"),
        route("v1:90 v3:10"),
        route("v3:100")
    ));
    check(
        &base().with(&rules),
        &["http[0] shop/reviews v2=100", "*http[1] shop/reviews v1=90 v3=10", "http[2] shop/reviews v3=100"],
    );
    let tcp = vs(&format!("  tcp:\n  - route:\n{}", route("v1:100")));
    check(
        &base().ports(&[(9000, sluice::domain::service::Protocol::Tcp)]).with(&tcp),
        &["*tcp[0] shop/reviews v1=100"],
    );
    let tls = vs(&format!("  tls:\n  - match: [{{sniHosts: [a]}}]\n    route:\n{}", route("v1:100")));
    check(
        &base().ports(&[(443, sluice::domain::service::Protocol::Tls)]).with(&tls),
        &["*tls[0] shop/reviews v1=100"],
    );
    let both =
        vs(&format!("  tcp:\n  - route:\n{}  http:\n  - route:\n{}", route("v1:100"), route("v2:100")));
    check(&base().with(&both), &["*http[0] shop/reviews v2=100", "tcp[0] shop/reviews v1=100"]);
    // An http list without a catch-all has no default, whatever tcp says.
    let partial = vs(&format!(
        "  tcp:\n  - route:\n{}  http:\n  - match: [{{uri: {{exact: /a}}}}]\n    route:\n{}",
        route("v1:100"),
        route("v2:100")
    ));
    check(&base().with(&partial), &["http[0] shop/reviews v2=100", "tcp[0] shop/reviews v1=100"]);
    check(&base().with(&vs("  http:\n  - redirect: {uri: /x}\n")), &["http[0] shop/reviews - Redirect"]);
}

#[test]
fn a_route_of_one_port_is_the_default_when_there_is_no_wider_one() {
    let ports = vs(&format!(
        "  http:\n  - match: [{{port: 9080}}]\n    route:\n{}  - match: [{{port: 9090}}]\n    route:\n{}",
        route("v1:100"),
        route("v2:100")
    ));
    check(&base().with(&ports), &["*http[0] shop/reviews v1=100", "http[1] shop/reviews v2=100"]);
    assert_eq!(base().with(&ports).read().routes[1].port, Some(9090));
    let gateways = format!(
        "kind: VirtualService\nmetadata: {{name: reviews}}\nspec:\n  hosts: [reviews]\n  gateways: [mesh, gw]\n  http:\n  - match: [{{gateways: [gw]}}]\n    route:\n{}  - match: [{{gateways: [mesh]}}]\n    route:\n{}",
        route("v2:100"),
        route("v1:100")
    );
    check(&base().with(&gateways), &["http[0] shop/reviews v2=100", "*http[1] shop/reviews v1=100"]);
}

const EDGE: &str = "
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: [shop.example.com]
  gateways: [istio-system/gw]
  http:
  - match: [{uri: {prefix: /ratings}}]
    route:
    - {destination: {host: ratings}}
  - match: [{uri: {prefix: /reviews}}]
    route:
    - {destination: {host: reviews, subset: v1}, weight: 80}
    - {destination: {host: reviews, subset: v2}, weight: 20}
";

#[test]
fn routes_of_gateways_and_other_hosts_are_routes_too() {
    check(&usual().with(EDGE), &["*http[0] shop/reviews v1=100", "http[1] shop/edge v1=80 v2=20"]);
    // Where nothing claims the host in the mesh, the split at the edge is the service's split.
    check(&base().with(EDGE), &["*http[1] shop/edge v1=80 v2=20"]);
    let second = EDGE.replace("name: edge", "name: edge2");
    check(
        &base().with(EDGE).with(&second),
        &["http[1] shop/edge v1=80 v2=20", "http[1] shop/edge2 v1=80 v2=20"],
    );
    let alias = "
kind: VirtualService
metadata: {name: alias}
spec:
  hosts: [opinions.example.com]
  http:
  - route:
    - {destination: {host: reviews, subset: v3}}
  tcp:
  - route:
    - {destination: {host: ratings}}
";
    check(&usual().with(alias), &["*http[0] shop/reviews v1=100", "http[0] shop/alias v3=100"]);
    let copies = "
kind: VirtualService
metadata: {name: copies}
spec:
  hosts: [ratings]
  http:
  - route:
    - {destination: {host: ratings}}
    mirror: {host: reviews, subset: v2}
";
    check(&usual().with(copies), &["*http[0] shop/reviews v1=100"]);
}

const ROOT: &str = "
kind: VirtualService
metadata: {name: root}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {prefix: /api}}]
    delegate: {name: api}
  - delegate: {name: rest, namespace: team}
";

fn delegate(name: &str, namespace: &str, body: &str) -> String {
    format!("kind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n{body}")
}

#[test]
fn delegates_are_followed() {
    let full = |subset: &str| {
        format!("    - {{destination: {{host: reviews.shop.svc.cluster.local, subset: {subset}}}}}\n")
    };
    let api = delegate("api", "shop", &format!("  http:\n  - route:\n{}", full("v1")));
    let rest = delegate(
        "rest",
        "team",
        &format!(
            "  http:\n  - match: [{{headers: {{a: {{exact: b}}}}}}]\n    route:\n{}  - route:\n{}",
            full("v2"),
            full("v3")
        ),
    );
    let world = base().with(ROOT).with(&api).with(&rest);
    check(&world, &["http[0] shop/api v1=100", "http[0] team/rest v2=100", "*http[1] team/rest v3=100"]);
    let routing = world.read();
    assert_eq!(routing.routes[2].hosts, ["reviews"]);
    assert_eq!(routing.rules.len(), 1, "rules of the delegate that holds the default");
    // Missing, not exported to the root, with hosts of its own, contradicting the root.
    check(
        &base().with(ROOT).with(&rest),
        &["http[0] shop/root - Delegate", "http[0] team/rest v2=100", "*http[1] team/rest v3=100"],
    );
    let private = rest.replace("spec:\n", "spec:\n  exportTo: [\".\"]\n");
    check(
        &base().with(ROOT).with(&api).with(&private),
        &["http[0] shop/api v1=100", "http[1] shop/root - Delegate"],
    );
    let hosted = rest.replace("spec:\n", "spec:\n  hosts: [a.example.com]\n");
    check(
        &base().with(ROOT).with(&api).with(&hosted),
        &[
            "http[0] shop/api v1=100",
            "http[1] shop/root - Delegate",
            "http[0] team/rest v2=100",
            "http[1] team/rest v3=100",
        ],
    );
    let other = api.replace("- route", "- match: [{uri: {prefix: /other}}]\n    route");
    check(
        &base().with(ROOT).with(&other).with(&rest),
        &["http[0] team/rest v2=100", "*http[1] team/rest v3=100"],
    );
    let inside = api.replace("- route", "- match: [{uri: {prefix: /api/v2}}]\n    route");
    check(
        &base().with(ROOT).with(&inside).with(&rest),
        &["http[0] shop/api v1=100", "http[0] team/rest v2=100", "*http[1] team/rest v3=100"],
    );
}

#[test]
fn the_first_of_two_claimants_is_the_service_s_own() {
    let second = super::support::ALL_V1.replace("name: reviews", "name: second").replace("v1", "v2");
    check(&usual().with(&second), &["*http[0] shop/reviews v1=100", "http[0] shop/second v2=100"]);
    // One of them for http, the other for tcp: each acts for its kind.
    let tcp =
        vs(&format!("  tcp:\n  - route:\n{}", route("v2:100"))).replace("name: reviews", "name: second");
    let world = usual().with(&tcp);
    check(&world, &["*http[0] shop/reviews v1=100", "tcp[0] shop/second v2=100"]);
    assert!(!world.read().findings.iter().any(|finding| finding.code.as_str() == "host_conflict"));
}

/// Whom the only destination of the default route reaches.
fn reaches(world: &World, expected: &Dest) {
    let routing = world.read();
    let targets = routing.default_route().map(|route: &Route| route.targets.clone()).expect("a default");
    assert_eq!(targets[0].to, *expected);
}

#[test]
fn destinations_reach_versions_by_the_labels_of_subsets() {
    let rule = |subset: &str| {
        format!(
            "kind: DestinationRule\nmetadata: {{name: reviews}}\nspec:\n  host: reviews\n  subsets:\n  - {subset}\n"
        )
    };
    let world = |subset: &str, entry: &str| three().with(&rule(subset)).with(&http(entry));
    let version = |name: &str| Dest::Version(name.into());
    reaches(&world("{name: v1, labels: {version: v1}}", "v1:!"), &version("v1"));
    reaches(&world("{name: stable, labels: {version: v2}}", "stable:!"), &version("v2"));
    reaches(&world("{name: v1, labels: {version: v2}}", "v1:!"), &version("v2"));
    reaches(&world("{name: v1, labels: {version: v1, app: reviews}}", "v1:!"), &version("v1"));
    reaches(
        &world("{name: all, labels: {app: reviews}}", "all:!"),
        &Dest::Several { subset: "all".into(), versions: vec!["v1".into(), "v2".into(), "v3".into()] },
    );
    reaches(&world("{name: old, labels: {version: v0}}", "old:!"), &Dest::Nobody { subset: "old".into() });
    reaches(
        &world("{name: old, labels: {version: v1, zone: a}}", "old:!"),
        &Dest::Nobody { subset: "old".into() },
    );
    reaches(&world("{name: v1, labels: {version: v1}}", "v2:!"), &Dest::Missing { subset: "v2".into() });
    reaches(&world("{name: v1, labels: {version: v1}}", "-:!"), &Dest::Whole);
    reaches(
        &world("{name: v1, labels: {version: v1}}", "ratings/v9:!"),
        &Dest::Foreign { host: "ratings".into(), subset: Some("v9".into()) },
    );
    // Where a pod is, Istio knows without a label of the pod.
    reaches(
        &world("{name: v1, labels: {version: v1, topology.kubernetes.io/zone: a}}", "v1:!"),
        &version("v1"),
    );
    // One version only: a subset without labels is that version, today.
    let only = reviews().version("v1", 1).with(&rule("{name: any}")).with(&http("any:!"));
    reaches(&only, &version("v1"));
    // Two workloads with one version label.
    let mut twins = world("{name: v1, labels: {version: v1, track: blue}}", "v1:!");
    let blue = super::support::labels("app=reviews,version=v1,track=blue").into_iter().collect();
    twins.snapshot.versions[0].pods.push(PodGroup { labels: blue, ready: 1, total: 1 });
    reaches(&twins, &version("v1"));
}

#[test]
fn ids_survive_weights_order_and_new_destinations() {
    let rules = |first: &str, second: &str, entries: &str| {
        base().with(&vs(&format!(
            "  http:
  - match: [{{headers: {{a: {{exact: {first}}}}}}}]
    route:
{}  - match: [{{headers: {{a: {{exact: {second}}}}}}}]
    route:
{}  - name: all
    route:
{}",
            route("v2:100"),
            route("v2:100"),
            route(entries)
        )))
    };
    let ids = |world: &World| -> Vec<String> {
        world.read().routes.iter().map(|route| route.id.as_str().to_owned()).collect()
    };
    let one = ids(&rules("x1", "x2", "v1:100"));
    let two = ids(&rules("x2", "x1", "v1:50 v2:50"));
    assert_eq!(one[2], "shop/reviews/http/all");
    assert_eq!((&one[0], &one[1], &one[2]), (&two[1], &two[0], &two[2]));
    let twins = ids(&rules("x1", "x1", "v1:100"));
    assert_eq!(format!("{}-2", twins[0]), twins[1]);
    assert!(one[0].starts_with("shop/reviews/http/~"), "{}", one[0]);
}

#[test]
fn names_that_stand_twice_are_no_ids() {
    let world = base().with(&vs(&format!(
        "  http:\n  - name: a\n    match: [{{uri: {{exact: /a}}}}]\n    route:\n{}  - name: a\n    route:\n{}",
        route("v1:100"),
        route("v1:100")
    )));
    let routing = world.read();
    assert!(routing.routes.iter().all(|route| route.id.as_str().contains('~')), "{:?}", routing.routes);
    assert_ne!(routing.routes[0].id, routing.routes[1].id);
}
