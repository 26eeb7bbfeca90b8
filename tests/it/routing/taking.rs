//! Rules that take every request: the plan, the reader and the demo's proxies agree on who gets what.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice::demo::random::Random;
use sluice::demo::router::{Caller, End, Proxy, Request, route as routed};
use sluice::demo::world::World as Mesh;
use sluice::domain::command::{Command, Lane, TrafficChange};
use sluice::domain::ids::Kind;
use sluice::domain::refusal::Severity;
use sluice::domain::routing::{Condition, Op, Rule, Subject};

use super::support::{SUBSETS, World, codes, rules, set, shown, split, three, usual, vs, weights};

/// Who answers these paths (`GET`, by a pod of the same namespace), by the demo's proxies.
fn answered(world: &World, paths: &[&str]) -> Vec<String> {
    let service = json!({"kind": "Service", "metadata": {"namespace": "shop", "name": "reviews"},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"name": "http", "port": 9080}]}});
    let versions = ["v1", "v2", "v3"];
    let endpoints: Vec<Value> = versions
        .iter()
        .map(|v| {
            json!({"addresses": ["10.1.1.1"], "conditions": {"ready": true},
                "targetRef": {"kind": "Pod", "name": format!("reviews-{v}")}})
        })
        .collect();
    let mut all = vec![
        service,
        json!({"kind": "EndpointSlice", "endpoints": endpoints, "metadata": {"namespace": "shop", "name": "reviews-x",
            "labels": {"kubernetes.io/service-name": "reviews"}}}),
    ];
    all.extend(versions.iter().map(|v| {
        json!({"kind": "Pod", "metadata": {"namespace": "shop", "name": format!("reviews-{v}"),
            "labels": {"app": "reviews", "version": v}},
            "spec": {"containers": [{"name": "app"}, {"name": "istio-proxy"}]}})
    }));
    for (kind, name) in [(Kind::VirtualService, "VirtualService"), (Kind::DestinationRule, "DestinationRule")]
    {
        all.push(json!({"kind": name, "spec": world.spec(kind, "reviews"), "metadata": {"namespace": "shop",
            "name": "reviews", "creationTimestamp": "1970-01-01T00:00:01Z"}}));
    }
    let mesh = Mesh::of(all.into_iter());
    let from = Caller { namespace: "shop".into(), labels: BTreeMap::new(), proxy: Proxy::Sidecar };
    let headers = BTreeMap::new();
    let mut random = Random::new(5);
    let mut out: Vec<String> = Vec::new();
    for path in paths.iter().cycle().take(40) {
        let request =
            Request { authority: "reviews", port: 9080, method: "GET", path, query: &[], headers: &headers };
        let end = match routed(&mesh, &from, &request, &mut random).end {
            End::Pod(endpoint) => endpoint.version.to_string(),
            End::Proxy { status, flag } => format!("{status} {flag}"),
        };
        if !out.contains(&end) {
            out.push(end);
        }
    }
    out
}

const PATHS: [&str; 5] = ["/", "/a", "/index.html", "/a/b/c", "/q_~x/%20"];

fn on_path(op: Op, value: &str) -> Vec<Vec<Condition>> {
    vec![vec![Condition { on: Subject::Path, op, value: value.to_owned() }]]
}

fn to_v2(when: Vec<Vec<Condition>>) -> Rule {
    Rule { id: None, name: None, when, opaque: Vec::new(), to: weights("v2=100"), action: None }
}

fn is_asked(world: &World, command: &Command, code: &str) -> bool {
    codes(&world.plan(command).unwrap(), Severity::Acknowledge).split(' ').any(|asked| asked == code)
}

#[test]
fn a_rule_that_takes_every_request_is_previewed_as_the_move_that_it_is() {
    let mut all = vec![on_path(Op::Prefix, "/")];
    for regex in [".*", "/.*", ".+", "/+.*", "(/.*)?", "[^?]*", "/?.*", "/([^/]*/?)*", "^/.*$"] {
        all.push(on_path(Op::Regex, regex));
    }
    // One alternative is enough.
    all.push([on_path(Op::Exact, "/a"), on_path(Op::Regex, "/|/.+")].concat());
    for when in all {
        let said = format!("{when:?}");
        let world = usual();
        let command = rules(vec![to_v2(when)]);
        let planned = world.plan(&command).unwrap();
        assert_eq!(shown(Some(planned.effect.before.clone())), "v1=100 v2=0 v3=0", "{said}");
        assert_eq!(shown(Some(planned.effect.after.clone())), "v1=0 v2=100 v3=0", "{said}");
        for code in ["big_jump", "rule_takes_all"] {
            assert!(is_asked(&world, &command, code), "{code} {said}: {:?}", planned.checks);
        }
        assert!(planned.effect.kept.is_empty(), "{said}");
        let after = world.after(&planned);
        assert_eq!(shown(after.read().declared()), "v2=100", "{said}");
        assert_eq!(answered(&after, &PATHS), ["v2"], "{said}");
        assert!(after.plan(&command).unwrap().plan.is_empty(), "the same once more changes nothing: {said}");
        // Weights are those of the rule from now on.
        let half = after.plan(&set("v1=100")).unwrap();
        assert_eq!(answered(&after.after(&half), &PATHS), ["v1"], "{said}");
    }
}

#[test]
fn a_rule_that_may_take_every_request_is_asked_about() {
    let method =
        |name: &str| vec![vec![Condition { on: Subject::Method, op: Op::Exact, value: name.to_owned() }]];
    for when in
        [method("GET"), method("POST"), on_path(Op::Regex, "/.+"), on_path(Op::Regex, "/[a-zA-Z0-9_~%./-]+")]
    {
        let said = format!("{when:?}");
        let world = usual();
        let command = rules(vec![to_v2(when)]);
        assert!(is_asked(&world, &command, "rule_may_take_all"), "{said}");
        let after = world.after(&world.plan(&command).unwrap());
        let later = after.plan(&set("v1=50 v2=50")).unwrap();
        assert!(codes(&later, Severity::Info).contains("rule_may_take_all"), "{said}: {:?}", later.checks);
        assert!(!is_asked(&after, &set("v1=50 v2=50"), "rule_may_take_all"), "it was accepted: {said}");
    }
    for when in [
        method("DELETE"),
        on_path(Op::Prefix, "/api"),
        on_path(Op::Regex, "/api/.*"),
        on_path(Op::Exact, "/"),
    ] {
        let command = rules(vec![to_v2(when)]);
        let checks = usual().plan(&command).unwrap().checks;
        let named = checks.iter().any(|check| check.code.as_str().ends_with("_all"));
        assert!(!named, "{checks:?}");
    }
}

/// `match` of a first route to v2, before everything to v1.
fn first(when: &str) -> World {
    three().with(SUBSETS).with(&vs(&format!(
        "  http:\n  - match: [{when}]\n    route: [{{destination: {{host: reviews, subset: v2}}}}]\n  - route: [{{destination: {{host: reviews, subset: v1}}}}]\n"
    )))
}

#[test]
fn a_first_route_of_somebody_else_that_takes_everything_is_the_default() {
    for when in [
        "{port: 9080}",
        "{port: 9080, uri: {prefix: /}}",
        "{authority: {regex: .*}}",
        "{method: {regex: .*}}",
        "{scheme: {regex: .+}}",
        "{uri: {regex: \"/?.*\"}}",
        "{gateways: [mesh]}",
    ] {
        let world = first(when);
        assert_eq!(shown(world.read().declared()), "v2=100", "{when}");
        assert_eq!(answered(&world, &PATHS), ["v2"], "{when}");
        let planned = world.plan(&set("v1=100")).unwrap();
        assert_eq!(answered(&world.after(&planned), &PATHS), ["v1"], "{when}");
    }
    for when in [
        "{scheme: {exact: http}}",
        "{withoutHeaders: {x-never: {}}}",
        "{authority: {exact: reviews}}",
        "{method: {regex: \"GET|POST|PUT\"}}",
    ] {
        let world = first(when);
        assert_eq!(answered(&world, &PATHS), ["v2"], "{when}");
        let planned = world.plan(&set("v1=60 v2=40")).unwrap();
        assert!(
            codes(&planned, Severity::Info).contains("rule_may_take_all"),
            "{when}: {:?}",
            planned.checks
        );
    }
}

#[test]
fn a_lane_that_takes_every_request_is_refused() {
    for regex in ["/.*", "/+.*"] {
        let lane = Lane { name: "r-7".to_owned(), when: on_path(Op::Regex, regex), to: "v2".into() };
        let command = Command::Set(TrafficChange {
            weights: Some(split("v1=100")),
            lane: Some(lane),
            ..TrafficChange::default()
        });
        assert_eq!(usual().plan(&command).unwrap_err().code.as_str(), "rule_takes_all");
    }
}

#[test]
fn where_no_route_was_before_the_one_that_is_made_beside_a_rule_is_no_rule_that_takes_all() {
    let part = vec![vec![Condition {
        on: Subject::Header("x-user".to_owned()),
        op: Op::Exact,
        value: "beta".to_owned(),
    }]];
    let lane = |when: &Vec<Vec<Condition>>| {
        let lane = Lane { name: "r-7".to_owned(), when: when.clone(), to: "v2".into() };
        Command::Set(TrafficChange {
            weights: Some(split("v1=100")),
            lane: Some(lane),
            ..TrafficChange::default()
        })
    };
    let rule = |when: &Vec<Vec<Condition>>| {
        Command::Set(TrafficChange {
            weights: Some(split("v1=100")),
            rules: Some(vec![to_v2(when.clone())]),
            ..TrafficChange::default()
        })
    };
    for command in [lane(&part), rule(&part)] {
        assert!(!is_asked(&three(), &command, "rule_takes_all"));
    }
    assert!(is_asked(&three(), &rule(&on_path(Op::Prefix, "/")), "rule_takes_all"));
}
