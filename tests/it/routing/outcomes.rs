//! What becomes of requests besides reaching a version: other hosts, hosts and ports that are not there, what the
//! proxy answers by itself; and for whom a split holds.

use sluice::domain::agreement::Beside;
use sluice::domain::ids::{ObjectRef, ServiceRef};
use sluice::domain::refusal::Severity;
use sluice::domain::routing::{Outcome, Part};
use sluice::domain::service::{PodGroup, Port, Protocol, ServiceFacts, Shape};
use sluice::domain::snapshot::OtherService;

use super::support::{
    SUBSETS, World, codes, entries, http, labels, route, set, set_on, shown, take_over, three, usual, vs,
};

impl World {
    /// A Service of the namespace that destinations name, with these ports and this selector.
    fn other(mut self, name: &str, ports: &[u16], selector: &str) -> Self {
        let at = ServiceRef::new("shop", name);
        let port = |number: &u16| Port { name: None, number: *number, protocol: Protocol::Http };
        let facts = ServiceFacts {
            at: at.clone(),
            uid: "other".into(),
            shape: Shape::ClusterIp,
            ports: ports.iter().map(port).collect(),
            selector: labels(selector),
            deleting: false,
            export_to: Box::default(),
        };
        self.snapshot.others.push(OtherService { at, facts: Some(facts) });
        self
    }

    /// A Service that destinations name and that does not exist.
    fn nowhere(mut self, name: &str) -> Self {
        self.snapshot.others.push(OtherService { at: ServiceRef::new("shop", name), facts: None });
        self
    }
}

/// A split as text: `v1=63 pods=7 host ratings=10 503 NC v2=10`.
fn told(split: &[Part]) -> String {
    let one = |part: &Part| {
        let to = match &part.to {
            Outcome::Version(version) => version.to_string(),
            Outcome::Several { subset, .. } => format!("several {subset}"),
            Outcome::Pods => "pods".to_owned(),
            Outcome::Host(host) => format!("host {host}"),
            Outcome::Answer(answer) => {
                format!("{} {} {} {}", answer.status, answer.flag, answer.why.as_str(), answer.name)
            }
        };
        format!("{}={}", to.trim_end(), part.percent)
    };
    split.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[track_caller]
fn check(world: &World, split: &str, declared: &str, found: &[&str]) {
    let routing = world.read();
    assert_eq!(told(&routing.split), split);
    assert_eq!(shown(routing.declared()), declared);
    let codes: Vec<&str> = routing.findings.iter().map(|finding| finding.code.as_str()).collect();
    for code in found {
        assert!(codes.contains(code), "{code} is not among {codes:?}");
    }
    let whole: u32 = routing.split.iter().map(|part| u32::from(part.percent)).sum();
    assert!(routing.split.is_empty() || whole == 100, "{whole}");
}

fn blocks(world: &World, text: &str) -> String {
    world.plan(&set(text)).map_or_else(|no| no.code.to_string(), |planned| codes(&planned, Severity::Block))
}

#[test]
fn a_host_without_a_service_is_named_with_what_is_answered() {
    let world = three().with(&http("-:90 reviews-v2/-:10")).nowhere("reviews-v2");
    check(&world, "pods=90, 503 NC no_host reviews-v2=10", "-", &["host_missing"]);
    assert_eq!(blocks(&world, "v1=50 v2=50"), "host_missing");
    // Of a Service that is not known nothing is claimed.
    let unknown = three().with(&http("-:90 reviews-v2/-:10"));
    check(&unknown, "pods=90, host reviews-v2=10", "-", &[]);
    assert!(!unknown.read().findings.iter().any(|finding| finding.code.as_str() == "host_missing"));
    let there = three().with(&http("-:90 ratings/-:10")).other("ratings", &[9080], "app=ratings");
    check(&there, "pods=90, host ratings=10", "-", &[]);
    // A host outside the cluster is nobody's Service.
    let outside = usual().with(&http("v1:90 www.example.com/-:10")).nowhere("www");
    check(&outside, "v1=100", "v1=100", &[]);
}

const WRONG_PORT: &str = "
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - {destination: {host: reviews, subset: v1, port: {number: 8080}}, weight: 90}
    - {destination: {host: reviews, subset: v2, port: {number: 9080}}, weight: 10}
";

#[test]
fn a_port_that_the_service_does_not_have_fails() {
    let world = three().with(SUBSETS).with(WRONG_PORT);
    check(&world, "503 NC no_port v1=90, v2=10", "v1=0 v2=10", &["port_missing"]);
    assert_eq!(blocks(&world, "v1=50 v2=50"), "port_missing");
    assert_eq!(blocks(&world, "v1=0 v2=100"), "", "away from it is the way out");
    let whole = three().with(SUBSETS).with(&WRONG_PORT.replace("9080", "8080"));
    check(&whole, "503 NC no_port v1=90, 503 NC no_port v2=10", "v1=0 v2=0", &["port_missing"]);
    let right = three().with(SUBSETS).with(&WRONG_PORT.replace("8080", "9080"));
    check(&right, "v1=90, v2=10", "v1=90 v2=10", &[]);
    assert_eq!(blocks(&right, "v1=50 v2=50"), "");
    // The same of another Service.
    let other = "
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - {destination: {host: ratings, port: {number: 81}}, weight: 10}
    - {destination: {host: reviews, subset: v1}, weight: 90}
";
    let world = three().with(SUBSETS).with(other).other("ratings", &[80], "app=ratings");
    check(&world, "503 NC no_port ratings=10, v1=90", "v1=90", &["port_missing"]);
}

/// Versions `blue` and `green`, each behind a Service of its own.
fn siblings() -> World {
    super::support::reviews()
        .pods("blue", 2, 2, "app=reviews,color=blue", "color=blue")
        .pods("green", 2, 2, "app=reviews,color=green", "color=green")
        .other("reviews-blue", &[9080], "app=reviews,color=blue")
        .other("reviews-green", &[9080], "app=reviews,color=green")
}

#[test]
fn a_split_between_sibling_services_is_a_split_between_versions() {
    let world = siblings().with(&http("reviews-blue/-:70 reviews-green/-:30"));
    check(&world, "blue=70, green=30", "blue=70 green=30", &[]);
    let planned = world.plan(&set("blue=10 green=90")).expect("a plan");
    assert_eq!(codes(&planned, Severity::Block), "");
    let edits: Vec<String> = planned.plan.edits().map(|edit| edit.object.to_string()).collect();
    assert_eq!(edits, ["VirtualService shop/reviews"], "no subset is needed");
    let spec = world.after(&planned).spec(sluice::domain::ids::Kind::VirtualService, "reviews");
    assert_eq!(entries(&spec, "http", 0), "reviews-blue:10 reviews-green:90");
    let planned = world.plan(&take_over("green")).expect("a plan");
    let spec = world.after(&planned).spec(sluice::domain::ids::Kind::VirtualService, "reviews");
    assert_eq!(entries(&spec, "http", 0), "reviews-blue:0 reviews-green:100");
}

#[test]
fn a_version_without_a_sibling_gets_a_subset_of_the_service() {
    let world = siblings()
        .pods("red", 2, 2, "app=reviews,color=red", "color=red")
        .with(&http("reviews-blue/-:70 reviews-green/-:30"));
    let planned = world.plan(&set("blue=60 green=30 red=10")).expect("a plan");
    let spec = world.after(&planned).spec(sluice::domain::ids::Kind::VirtualService, "reviews");
    assert_eq!(
        entries(&spec, "http", 0),
        "reviews-blue:60 reviews-green:30 reviews.shop.svc.cluster.local/red:10"
    );
    let after = world.after(&planned);
    assert_eq!(shown(after.read().declared()), "blue=60 green=30 red=10");
}

#[test]
fn a_service_that_is_no_version_is_another_host() {
    let split = "reviews-blue/-:70 reviews-green/-:30";
    let all = |world: World| world.with(&http(split));
    // Of several versions, of a part of one, of none of ours, of another namespace, without selector.
    let several = all(siblings().other("x", &[80], "app=reviews"));
    check(&several, "blue=70, green=30", "blue=70 green=30", &[]);
    let wide = super::support::reviews().pods("blue", 2, 2, "app=reviews,color=blue", "color=blue").pods(
        "green",
        2,
        2,
        "app=reviews,color=green",
        "color=green",
    );
    let wide = wide.other("reviews-blue", &[9080], "app=reviews").other("reviews-green", &[9080], "app=web");
    check(&all(wide), "host reviews-blue=70, host reviews-green=30", "-", &[]);
    let mut part = siblings();
    let dark =
        PodGroup { labels: labels("app=reviews,color=dark").into_iter().collect(), ready: 1, total: 1 };
    part.snapshot.versions[0].pods.push(dark);
    check(&all(part), "host reviews-blue=70, green=30", "green=30", &[]);
}

fn with_fault(fault: &str) -> World {
    let body = format!("  http:\n  - fault: {fault}\n    route:\n{}", route("v1:90 v2:10"));
    three().with(SUBSETS).with(&vs(&body))
}

#[test]
fn what_the_proxy_answers_is_part_of_the_split() {
    let all = with_fault("{abort: {httpStatus: 555, percentage: {value: 100}}}");
    check(&all, "555 FI fault=100", "v1=90 v2=10", &["answered_by_proxy"]);
    let some = with_fault("{abort: {httpStatus: 503, percentage: {value: 30}}}");
    check(&some, "503 FI fault=30, v1=63, v2=7", "v1=90 v2=10", &["answered_by_proxy"]);
    // Without a percentage, or at zero, nothing is aborted.
    for fault in ["{abort: {httpStatus: 503}}", "{abort: {httpStatus: 503, percentage: {value: 0}}}"] {
        check(&with_fault(fault), "v1=90, v2=10", "v1=90 v2=10", &[]);
        assert_eq!(with_fault(fault).read().answered_percent(), 0);
    }
    let grpc = with_fault("{abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}}");
    check(&grpc, "200 FI fault=100", "v1=90 v2=10", &["answered_by_proxy"]);
    let slow = with_fault("{delay: {fixedDelay: 7s, percentage: {value: 50}}}");
    check(&slow, "v1=90, v2=10", "v1=90 v2=10", &["delayed"]);
    let redirect = three().with(SUBSETS).with(&vs("  http:\n  - redirect: {uri: /x, redirectCode: 302}\n"));
    check(&redirect, "302 - redirect=100", "-", &["answered_by_proxy"]);
    let direct = three().with(SUBSETS).with(&vs("  http:\n  - directResponse: {status: 418}\n"));
    check(&direct, "418 - direct_response=100", "-", &["answered_by_proxy"]);
    let rules =
        vs(&format!("  http:\n  - match: [{{uri: {{prefix: /a}}}}]\n    route:\n{}", route("v1:100")));
    check(&three().with(SUBSETS).with(&rules), "404 NR no_route=100", "-", &["no_default_route"]);
}

#[test]
fn a_shift_that_nobody_feels_is_acknowledged() {
    let all = with_fault("{abort: {httpStatus: 555, percentage: {value: 100}}}");
    let planned = all.plan(&set("v1=80 v2=20")).expect("a plan");
    assert!(codes(&planned, Severity::Acknowledge).contains("answered_by_proxy"));
    let redirect = three().with(SUBSETS).with(&vs("  http:\n  - redirect: {uri: /x}\n"));
    assert_eq!(blocks(&redirect, "v1=50 v2=50"), "no_default_route");
    // A fault for some requests only is a rule: it says so, and nothing has to be accepted.
    let body = format!(
        "  http:\n  - match: [{{headers: {{a: {{exact: b}}}}}}]\n    fault: {{abort: {{httpStatus: 500, percentage: {{value: 100}}}}}}\n    route:\n{}  - route:\n{}",
        route("v1:100"),
        route("v1:90 v2:10")
    );
    let world = three().with(SUBSETS).with(&vs(&body));
    check(&world, "v1=90, v2=10", "v1=90 v2=10", &["answered_by_proxy"]);
    let planned = world.plan(&set("v1=80 v2=20")).expect("a plan");
    assert!(!codes(&planned, Severity::Acknowledge).contains("answered_by_proxy"));
}

#[test]
fn a_missing_subset_is_named() {
    let world = three().with("kind: DestinationRule\nmetadata: {name: reviews}\nspec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}\n").with(&http("v1:90 v2:10"));
    check(&world, "v1=90, 503 NC no_subset v2=10", "v1=90", &["subset_missing"]);
    let podless = usual().ready("v1", 0);
    check(&podless, "503 UH no_pods v1=100", "v1=100", &["weight_without_pods"]);
}

#[test]
fn a_take_over_names_what_it_cannot_move_and_moves_the_rest_when_asked() {
    let edge = "kind: VirtualService\nmetadata: {name: edge, namespace: front}\nspec:\n  hosts: [a.example.com]\n  gateways: [gw]\n  http:\n  - name: strangler\n    route:\n    - {destination: {host: legacy}, weight: 95}\n    - {destination: {host: reviews.shop.svc.cluster.local, subset: v2}, weight: 5}\n";
    let world = three().with(SUBSETS).with(&http("v1:50 v2:50")).with(edge);
    let planned = world.plan(&take_over("v1")).expect("a plan");
    assert_eq!(codes(&planned, Severity::Block), "");
    let stays = planned.checks.iter().find(|check| check.code.as_str() == "routes_stay").expect("a check");
    assert_eq!(stays.severity, Severity::Acknowledge);
    let list = stays.args.iter().find(|(name, _)| name == "list").map_or("", |(_, list)| list.as_str());
    for part in ["VirtualService front/edge", "front/edge/http/strangler", "legacy"] {
        assert!(list.contains(part), "{list}");
    }
    let after = world.after(&planned);
    let own = after.spec(sluice::domain::ids::Kind::VirtualService, "reviews");
    assert_eq!(entries(&own, "http", 0), "reviews/v1:100 reviews/v2:0");
    let at = ObjectRef::new(sluice::domain::ids::Kind::VirtualService, "front", "edge");
    assert_eq!(after.spec_at(&at), world.spec_at(&at), "it stays as it is");
    // Nothing else to take over: refused, and the route is named.
    let only = three().with(SUBSETS).with(edge);
    let refusal = only.plan(&take_over("v1")).expect_err("a refusal");
    assert_eq!(refusal.code.as_str(), "foreign_destination");
    assert!(refusal.args.iter().any(|(_, value)| value.contains("strangler")), "{refusal}");
}

/// Scope of the default route: gateways, port, namespaces, exceptions, the rest.
fn scope(world: &World) -> String {
    let routing = world.read();
    let Some(scope) = &routing.scope else { return "-".to_owned() };
    let port = scope.port.map_or(String::new(), |port| format!(" :{port}"));
    let only = scope.namespaces.as_ref().map_or(String::new(), |only| format!(" only {}", only.join(" ")));
    let except =
        if scope.except.is_empty() { String::new() } else { format!(" except {}", scope.except.join(" ")) };
    format!("{}{port}{only}{except} rest {}", scope.gateways.join(" "), scope.rest.as_str())
}

#[test]
fn a_split_says_for_whom_it_holds() {
    let base = || three().with(SUBSETS);
    assert_eq!(scope(&three()), "-");
    assert_eq!(scope(&usual()), "mesh rest nobody");
    let private = http("v1:100").replace(
        "metadata: {name: reviews}\nspec:",
        "metadata: {name: reviews, namespace: team}\nspec:\n  exportTo: [\".\"]",
    );
    let private = private.replace("hosts: [reviews]", "hosts: [reviews.shop.svc.cluster.local]");
    let private = private.replace("host: reviews,", "host: reviews.shop.svc.cluster.local,");
    let world = base().with(&private);
    assert_eq!(scope(&world), "mesh only team rest spread_by_pods");
    check(&world, "v1=100", "v1=100", &["split_of_namespaces"]);
    let both = usual().with(&private.replace("v1", "v2"));
    assert_eq!(scope(&both), "mesh except team rest other_routes");
    check(&both, "v1=100", "v1=100", &["split_without"]);
    let gateway = http("v1:60 v2:40").replace("hosts: [reviews]", "hosts: [a.example.com]\n  gateways: [gw]");
    let world = base().with(&gateway);
    assert_eq!(scope(&world), "gw rest spread_by_pods");
    check(&world, "v1=60, v2=40", "v1=60 v2=40", &["split_of_gateway"]);
}

#[test]
fn what_keeps_its_split_is_listed() {
    let ports = vs(&format!(
        "  http:\n  - name: admin\n    match: [{{port: 9090}}]\n    route:\n{}  - name: web\n    match: [{{port: 80}}]\n    route:\n{}",
        route("v1:100"),
        route("v1:100")
    ));
    let edge = "kind: VirtualService\nmetadata: {name: edge}\nspec:\n  hosts: [a.example.com]\n  gateways: [gw]\n  http:\n  - name: edge\n    route:\n    - {destination: {host: reviews, subset: v1}}\n";
    let world =
        three().with(SUBSETS).ports(&[(9090, Protocol::Http), (80, Protocol::Http)]).with(&ports).with(edge);
    assert_eq!(scope(&world), "mesh :9090 rest other_routes");
    let planned = world.plan(&set("v1=80 v2=20")).expect("a plan");
    assert_eq!(planned.effect.port, Some(9090));
    let kept: Vec<&str> = planned.effect.kept.iter().map(|route| route.id.as_str()).collect();
    assert_eq!(kept, ["shop/reviews/http/web", "shop/edge/http/edge"]);
    assert!(codes(&planned, Severity::Info).contains("routes_keep"));
    let planned = world.plan(&set_on("shop/edge/http/edge", "v1=80 v2=20")).expect("a plan");
    assert_eq!((planned.effect.port, planned.effect.kept.len()), (None, 2));
    let planned = world.plan(&take_over("v2")).expect("a plan");
    assert!(planned.effect.kept.is_empty(), "all of them move");
}

#[test]
fn a_subset_for_some_workloads_only_is_named_with_a_way_forward() {
    let rule = SUBSETS
        .replace("  host: reviews\n", "  host: reviews\n  workloadSelector: {matchLabels: {app: web}}\n");
    let world = three().with(&rule).with(&http("v1:100"));
    check(&world, "503 NC no_subset v1=100", "-", &["subset_selector"]);
    let told = blocks(&world, "v1=50 v2=50");
    assert!(told.contains("subset_selector") && !told.contains("subset_hidden"), "{told}");
}

#[test]
fn what_moves_requests_besides_the_split_is_named() {
    let beside = |world: World| Beside::of(&world.read()).map_or("-", Beside::as_str);
    let split = || three().with(SUBSETS).with(&http("v1:90 v2:10"));
    assert_eq!(beside(split()), "-");
    assert_eq!(beside(three()), "-", "nothing is declared");
    let ruled = format!(
        "  http:\n  - match: [{{headers: {{a: {{exact: b}}}}}}]\n    route:\n{}  - route:\n{}",
        route("v2:100"),
        route("v1:90 v2:10")
    );
    assert_eq!(beside(three().with(SUBSETS).with(&vs(&ruled))), "rules");
    let other = "kind: VirtualService\nmetadata: {name: edge}\nspec:\n  hosts: [a.example.com]\n  gateways: [edge]\n  http:\n  - route:\n";
    assert_eq!(beside(split().with(&format!("{other}{}", route("v1:100")))), "other_routes");
    assert_eq!(beside(three().with(SUBSETS).with(&http("v1:90 ratings/-:10"))), "other_destinations");
    assert_eq!(
        beside(with_fault("{abort: {httpStatus: 503, percentage: {value: 50}}}")),
        "other_destinations"
    );
    let by_service = siblings().with(&http("reviews-blue/-:70 reviews-green/-:30"));
    assert_eq!(beside(by_service), "sibling_services");
}

#[test]
fn the_scope_of_a_split_names_what_of_its_ports_no_route_takes() {
    let detected = three().with(SUBSETS).ports(&[(9080, Protocol::Auto)]);
    let uncovered = |world: &World| -> Vec<String> {
        let scope = world.read().scope.expect("a default route");
        scope.uncovered.iter().map(|open| format!("{} {}", open.port.number, open.kind.as_str())).collect()
    };
    assert_eq!(uncovered(&detected.clone().with(&http("v1:90 v2:10"))), ["9080 tcp"]);
    let both = format!("  http:\n  - route:\n{0}  tcp:\n  - route:\n{0}", route("v1:90 v2:10"));
    assert_eq!(uncovered(&detected.with(&vs(&both))), [""; 0]);
    assert_eq!(uncovered(&usual()), [""; 0]);
}

#[test]
fn namespaces_in_which_something_is_missing_are_known() {
    let missing = |namespace: &str, facts: Option<ServiceFacts>| {
        let mut world =
            three().with(SUBSETS).with(&http(&format!("v1:90 vault.{namespace}.svc.cluster.local/-:10")));
        let at = ServiceRef::new(namespace, "vault");
        world.snapshot.others.push(OtherService { at, facts });
        let beyond = world.read().beyond;
        beyond.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(missing("platform", None), ["platform"]);
    assert_eq!(missing("shop", None), [""; 0], "the service's own is for whoever sees it");
    let there = three().snapshot.service.clone();
    assert_eq!(missing("platform", Some(there)), [""; 0]);
}
