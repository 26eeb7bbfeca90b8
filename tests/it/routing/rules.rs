//! Rules: read in words, written in the wanted order, everything else untouched.

use serde_json::{Value, json};
use sluice::domain::command::{Command, TrafficChange};
use sluice::domain::ids::Kind;
use sluice::domain::routing::{Condition, Op, Rule, Subject};

use super::support::{ALL_V1, SUBSETS, World, outcome, route, rules, split, three, told, usual, vs, weights};

fn header(name: &str, value: &str) -> Condition {
    Condition { on: Subject::Header(name.into()), op: Op::Exact, value: value.into() }
}

fn new(name: Option<&str>, when: Vec<Vec<Condition>>, to: &str) -> Rule {
    Rule { id: None, name: name.map(str::to_owned), when, opaque: Vec::new(), to: weights(to), action: None }
}

/// Rules `a`, `b`, `c` on header `x` to v1, v2, v3, then everything to v1.
fn abc() -> World {
    let rule = |name: &str, to: &str| {
        format!(
            "  - name: {name}\n    match: [{{headers: {{x: {{exact: {name}}}}}, statPrefix: s-{name}}}]\n    timeout: 1s\n    later: {{k: [1]}}\n    route:\n{}",
            route(to)
        )
    };
    three().with(SUBSETS).with(&vs(&format!(
        "  http:\n{}{}{}  - timeout: 5s\n    retries: {{attempts: 2}}\n    route:\n{}",
        rule("a", "v1:100"),
        rule("b", "v2:100"),
        rule("c", "v3:100"),
        route("v1:100")
    )))
}

/// The rules of the world at these positions of its list, as they were read.
fn kept(world: &World, order: &[usize]) -> Vec<Rule> {
    let read = world.read().rules;
    order.iter().map(|at| read[*at].clone()).collect()
}

fn check(world: &World, wanted: Vec<Rule>, expected: &str) {
    assert_eq!(outcome(world, &rules(wanted)), expected);
}

const A: &str = "a m1→ reviews/v1:100";
const B: &str = "b m1→ reviews/v2:100";
const C: &str = "c m1→ reviews/v3:100";
const REST: &str = "→ reviews/v1:100";

#[test]
fn rules_are_reordered_and_removed() {
    let world = abc();
    let list = |parts: &[&str]| format!("http {}", parts.join("; "));
    check(&world, kept(&world, &[0, 1, 2]), &list(&[A, B, C, REST]));
    check(&world, kept(&world, &[2, 1, 0]), &list(&[C, B, A, REST]));
    check(&world, kept(&world, &[1, 2, 0]), &list(&[B, C, A, REST]));
    check(&world, kept(&world, &[0, 2]), &list(&[A, C, REST]));
    check(&world, kept(&world, &[2, 0]), &list(&[C, A, REST]));
    check(&world, kept(&world, &[1]), &list(&[B, REST]));
    check(&world, Vec::new(), &list(&[REST]));
    check(&usual(), Vec::new(), "http → reviews/v1:!");
}

#[test]
fn a_moved_rule_is_the_same_rule() {
    let world = abc();
    let before = world.spec(Kind::VirtualService, "reviews");
    let planned = world.plan(&rules(kept(&world, &[2, 0]))).expect("a plan");
    let after = world.after(&planned).spec(Kind::VirtualService, "reviews");
    assert_eq!(after["http"][0], before["http"][2]);
    assert_eq!(after["http"][1], before["http"][0]);
    assert_eq!(after["http"][2], before["http"][3]);
    assert!(world.plan(&rules(kept(&world, &[0, 1, 2]))).expect("a plan").plan.is_empty());
}

#[test]
fn new_rules_stand_before_what_follows_them() {
    let world = abc();
    let fresh = || new(Some("n"), vec![vec![header("y", "1")]], "v2=100");
    let n = "n m1→ reviews/v2:100";
    let put = |order: &[usize], at: usize| {
        let mut list = kept(&world, order);
        list.insert(at, fresh());
        list
    };
    check(&world, put(&[0, 1, 2], 0), &format!("http {n}; {A}; {B}; {C}; {REST}"));
    check(&world, put(&[0, 1, 2], 1), &format!("http {A}; {n}; {B}; {C}; {REST}"));
    check(&world, put(&[0, 1, 2], 3), &format!("http {A}; {B}; {C}; {n}; {REST}"));
    check(&world, put(&[], 0), &format!("http {n}; {REST}"));
    check(&world, put(&[2, 0], 1), &format!("http {C}; {n}; {A}; {REST}"));
    check(&usual(), vec![fresh()], &format!("http {n}; → reviews/v1:!"));
}

#[test]
fn a_new_rule_is_written_out() {
    let world = abc();
    let when = vec![
        vec![
            header("End-User", "jason"),
            Condition { on: Subject::Path, op: Op::Prefix, value: "/api".into() },
            Condition { on: Subject::Method, op: Op::Exact, value: "get".into() },
            Condition { on: Subject::Query("q".into()), op: Op::Present, value: "ignored".into() },
            Condition { on: Subject::Cookie("user".into()), op: Op::Exact, value: "ja.son".into() },
        ],
        vec![Condition {
            on: Subject::Header("x-email".into()),
            op: Op::Regex,
            value: ".*@gmail\\.com".into(),
        }],
    ];
    let planned = world.plan(&rules(vec![new(None, when, "v2=90 v3=10")])).expect("a plan");
    let after = world.after(&planned);
    let written = &after.spec(Kind::VirtualService, "reviews")["http"][0];
    assert!(written["name"].as_str().is_some_and(|name| name.starts_with("sluice-")), "{written}");
    assert_eq!(
        written["match"],
        json!([
            {
                "uri": {"prefix": "/api"},
                "method": {"exact": "GET"},
                "headers": {
                    "end-user": {"exact": "jason"},
                    "cookie": {"regex": "^(.*?;\\s*)?(user=ja\\.son)(;.*)?$"},
                },
                "queryParams": {"q": {}},
            },
            {"headers": {"x-email": {"regex": ".*@gmail\\.com"}}},
        ])
    );
    assert_eq!(written["route"][0]["weight"], 90);
    assert_eq!(written["route"][1]["destination"], json!({"host": "reviews", "subset": "v3"}));
    // Istio's routes inherit nothing, so the time-outs of the default route are copied.
    assert_eq!(written["timeout"], "5s");
    assert_eq!(written["retries"], json!({"attempts": 2}));
    let read = after.read().rules;
    assert_eq!(read[0].when[0].len(), 5, "{:?}", read[0]);
    assert!(read[0].opaque.is_empty());
    assert_eq!(read[0].to, weights("v2=90 v3=10"));
}

#[test]
fn changed_conditions_replace_only_the_match() {
    let world = abc();
    let mut wanted = kept(&world, &[0, 1, 2]);
    wanted[1].when = vec![vec![header("x", "other")]];
    let planned = world.plan(&rules(wanted)).expect("a plan");
    let after = world.after(&planned).spec(Kind::VirtualService, "reviews");
    let mut expected = world.spec(Kind::VirtualService, "reviews");
    expected["http"][1]["match"] = json!([{"headers": {"x": {"exact": "other"}}, "statPrefix": "s-b"}]);
    assert_eq!(after, expected);
}

#[test]
fn changed_targets_change_only_numbers() {
    let world = abc();
    let mut wanted = kept(&world, &[0, 1, 2]);
    wanted[1].to = weights("v2=50 v3=50");
    check(&world, wanted.clone(), &format!("http {A}; b m1→ reviews/v2:50 reviews/v3:50; {C}; {REST}"));
    wanted[1].to = weights("v9=100");
    check(&world, wanted.clone(), "refused unknown_version");
    wanted[1].to = weights("v2=99");
    check(&world, wanted.clone(), "refused sum");
    wanted[1].to = Vec::new();
    check(&world, wanted, "refused sum");
}

#[test]
fn names_can_change() {
    let world = abc();
    let mut wanted = kept(&world, &[0]);
    wanted[0].name = Some("better".into());
    check(&world, wanted.clone(), &format!("http better m1→ reviews/v1:100; {REST}"));
    wanted[0].name = Some("a\nb".into());
    check(&world, wanted.clone(), "refused bad_rule");
    wanted[0].name = None;
    check(&world, wanted, &format!("http {A}; {REST}"));
}

#[test]
fn bad_lists_are_refused() {
    let world = abc();
    check(&world, vec![kept(&world, &[0])[0].clone(); 2], "refused bad_rule");
    let mut unknown = kept(&world, &[0]);
    unknown[0].id = Some("shop/reviews/http/zzz".into());
    unknown[0].when = vec![vec![header("x", "zzz")]];
    check(&world, unknown, "refused unknown_rule");
    check(&world, vec![new(None, Vec::new(), "v1=100")], "refused rule_empty");
    check(&world, vec![new(None, vec![vec![header("host", "a")]], "v1=100")], "refused bad_header_name");
    check(&world, vec![new(None, vec![vec![header("x", "a")]], "v1=10")], "refused sum");
    check(&world, vec![new(None, vec![vec![header("q", "a")]], "v7=100")], "refused unknown_version");
    let many = (0..51).map(|at| new(None, vec![vec![header("x", &at.to_string())]], "v1=100")).collect();
    check(&world, many, "refused too_many_rules");
}

/// How one match reads: conditions, and in brackets what cannot be edited.
fn reads(entry: &str, expected: &str) {
    let world = three().with(SUBSETS).with(&vs(&format!(
        "  http:\n  - match: [{entry}]\n    route:\n{}  - route:\n{}",
        route("v2:100"),
        route("v1:100")
    )));
    let rule = world.read().rules.first().cloned().expect("a rule");
    let told: Vec<String> = rule.when[0]
        .iter()
        .map(|condition| format!("{:?} {} {}", condition.on, condition.op.as_str(), condition.value))
        .collect();
    assert_eq!(format!("{} {:?}", told.join(", "), rule.opaque), expected, "{entry}");
}

#[test]
fn matches_are_read_in_words() {
    reads("{headers: {a: {exact: b}}}", "Header(\"a\") exact b []");
    reads("{headers: {a: {}}}", "Header(\"a\") present  []");
    reads("{headers: {a: {prefix: b}}, uri: {exact: /x}}", "Path exact /x, Header(\"a\") prefix b []");
    reads("{uri: {regex: /a.*}, method: {exact: POST}}", "Path regex /a.*, Method exact POST []");
    reads("{queryParams: {q: {exact: \"1\"}}}", "Query(\"q\") exact 1 []");
    reads("{uri: {prefix: /x}, ignoreUriCase: true}", "Path prefix /x [\"ignoreUriCase\"]");
    reads("{headers: {authorization: {exact: secret}}}", " [\"headers.authorization\"]");
    reads("{headers: {\":path\": {exact: /}}}", " [\"headers.:path\"]");
    reads("{headers: {cookie: {regex: \"^(.*?;)?(user=jason)(;.*)?$\"}}}", "Cookie(\"user\") exact jason []");
    reads(
        "{headers: {cookie: {regex: \"^(.*?;\\\\s*)?(user=ja\\\\.s[^;]*)(;.*)?$\"}}}",
        "Cookie(\"user\") prefix ja.s []",
    );
    reads(
        "{headers: {cookie: {regex: \"^(.*?;\\\\s*)?(user=[^;]*)(;.*)?$\"}}}",
        "Cookie(\"user\") present  []",
    );
    reads(
        "{headers: {cookie: {regex: \"^(.*?;\\\\s*)?(user=(?:a|b))(;.*)?$\"}}}",
        "Cookie(\"user\") regex a|b []",
    );
    reads("{headers: {cookie: {regex: \"^(.*?;)?(user=j.*)(;.*)?$\"}}}", "Cookie(\"user\") regex j.* []");
    reads("{headers: {cookie: {regex: \"^(.*?;)?(user=(?:a)|(b))(;.*)?$\"}}}", " [\"headers.cookie\"]");
    reads("{headers: {cookie: {regex: \".*user.*\"}}}", " [\"headers.cookie\"]");
    reads("{headers: {cookie: {exact: a}}}", " [\"headers.cookie\"]");
    reads("{headers: {a: {exact: b}}, sourceLabels: {app: x}}", "Header(\"a\") exact b [\"sourceLabels\"]");
    reads(
        "{headers: {a: {exact: b}}, withoutHeaders: {c: {}}}",
        "Header(\"a\") exact b [\"withoutHeaders\"]",
    );
    reads("{headers: {a: {exact: b}}, port: 80}", "Header(\"a\") exact b [\"port\"]");
    reads("{headers: {a: {exact: b}}, gateways: [gw]}", "Header(\"a\") exact b [\"gateways\"]");
    reads("{authority: {exact: a}, scheme: {exact: https}}", " [\"authority\", \"scheme\"]");
    reads("{sourceNamespace: a}", " [\"sourceNamespace\"]");
    reads("{uri: {}}", " [\"uri\"]");
}

#[test]
fn what_is_not_understood_is_kept_and_not_edited() {
    let body = |field: &str| {
        vs(&format!(
            "  http:\n  - name: o\n    match: [{{headers: {{a: {{exact: b}}}}, {field}}}]\n    route:\n{}  - route:\n{}",
            route("v2:100"),
            route("v1:100")
        ))
    };
    for field in [
        "sourceLabels: {app: x}",
        "withoutHeaders: {c: {}}",
        "port: 80",
        "gateways: [gw]",
        "newInIstio: {a: 1}",
    ] {
        let world = three().with(SUBSETS).with(&body(field));
        let mut wanted = kept(&world, &[0]);
        wanted[0].to = weights("v3=100");
        check(&world, wanted.clone(), "http o m1→ reviews/v2:0 reviews/v3:100; → reviews/v1:100");
        wanted[0].when = vec![vec![header("a", "c")]];
        check(&world, wanted, "refused rule_fixed");
        check(&world, Vec::new(), "http → reviews/v1:100");
    }
}

#[test]
fn actions_that_are_no_choice_are_named_and_kept() {
    let rule = |does: &str| {
        vs(&format!(
            "  http:\n  - name: r\n    match: [{{uri: {{exact: /x}}}}]\n    {does}\n  - route:\n{}",
            route("v1:100")
        ))
    };
    for (does, action) in [
        ("redirect: {uri: /y}", "redirect"),
        ("directResponse: {status: 404}", "direct_response"),
        ("route: [{destination: {host: ratings}}]", "ratings"),
        ("route: [{destination: {host: reviews}}]", "spread_by_pods"),
        ("route: [{destination: {host: reviews, subset: v9}}]", "subset v9"),
        ("route: []", "nothing"),
        (
            "route: [{destination: {host: reviews, subset: v1}, weight: 50}, {destination: {host: ratings}, weight: 50}]",
            "ratings",
        ),
    ] {
        let world = three().with(SUBSETS).with(&rule(does));
        let read = world.read().rules;
        assert_eq!(read[0].action.as_deref(), Some(action));
        assert!(read[0].to.is_empty());
        assert!(world.plan(&rules(read.clone())).expect("a plan").plan.is_empty());
        let mut wanted = read;
        wanted[0].to = weights("v2=100");
        let told = outcome(&world, &rules(wanted));
        let shiftable = ["spread_by_pods", "subset v9"].contains(&action);
        assert_eq!(!told.starts_with("refused"), shiftable, "{does}: {told}");
    }
}

#[test]
fn routes_of_other_services_keep_their_places() {
    let world = three().with(SUBSETS).with(&format!(
        "kind: VirtualService
metadata: {{name: reviews}}
spec:
  hosts: [reviews, ratings]
  http:
  - name: a
    match: [{{uri: {{exact: /a}}}}]
    route:
{}  - name: other
    match: [{{uri: {{exact: /o}}}}]
    route: [{{destination: {{host: ratings}}}}]
  - name: b
    match: [{{uri: {{exact: /b}}}}]
    route:
{}  - route:
{}",
        route("v1:100"),
        route("v2:100"),
        route("v1:100")
    ));
    assert_eq!(world.read().rules.len(), 2);
    let other = "other m1→ ratings:!";
    check(&world, kept(&world, &[1, 0]), &format!("http {B}; {other}; {A}; {REST}"));
    check(&world, kept(&world, &[1]), &format!("http {other}; {B}; {REST}"));
    check(&world, Vec::new(), &format!("http {other}; {REST}"));
    let mut wanted = kept(&world, &[0, 1]);
    wanted.push(new(Some("n"), vec![vec![header("y", "1")]], "v2=100"));
    check(&world, wanted, &format!("http {A}; {other}; {B}; n m1→ reviews/v2:100; {REST}"));
}

#[test]
fn rules_behind_a_catch_all_stay_there_until_they_are_moved() {
    let rule = |name: &str, to: &str| {
        format!("  - name: {name}\n    match: [{{uri: {{exact: /{name}}}}}]\n    route:\n{}", route(to))
    };
    let world = three().with(SUBSETS).with(&vs(&format!(
        "  http:\n{}  - route:\n{}{}{}",
        rule("a", "v1:100"),
        route("v1:100"),
        rule("b", "v2:100"),
        rule("c", "v3:100")
    )));
    check(&world, kept(&world, &[0, 1, 2]), &format!("http {A}; {REST}; {B}; {C}"));
    check(&world, kept(&world, &[0, 2, 1]), &format!("http {A}; {REST}; {C}; {B}"));
    check(&world, kept(&world, &[1, 0, 2]), &format!("http {B}; {A}; {REST}; {C}"));
    check(&world, kept(&world, &[1]), &format!("http {REST}; {B}"));
    let mut wanted = kept(&world, &[0, 1]);
    wanted.push(new(Some("n"), vec![vec![header("y", "1")]], "v2=100"));
    check(&world, wanted, &format!("http {A}; {B}; n m1→ reviews/v2:100; {REST}"));
}

#[test]
fn a_rule_is_for_the_port_and_gateways_that_the_default_is_for() {
    let world = three().with(SUBSETS).with(&vs(&format!(
        "  http:\n  - match: [{{port: 9080}}]\n    route:\n{}  - match: [{{port: 9090}}]\n    route:\n{}",
        route("v1:100"),
        route("v1:100")
    )));
    let fresh = new(Some("n"), vec![vec![header("y", "1")]], "v2=100");
    let planned = world.plan(&rules(vec![fresh])).expect("a plan");
    let after = world.after(&planned);
    assert_eq!(
        after.spec(Kind::VirtualService, "reviews")["http"][0]["match"],
        json!([{"headers": {"y": {"exact": "1"}}, "port": 9080}])
    );
    assert!(after.read().rules[0].opaque.is_empty(), "its own port is no condition");
}

#[test]
fn rules_need_http() {
    let fresh = || vec![new(Some("n"), vec![vec![header("y", "1")]], "v2=100")];
    let tcp = three()
        .with(SUBSETS)
        .ports(&[(9000, sluice::domain::service::Protocol::Tcp)])
        .with(&vs(&format!("  tcp:\n  - route:\n{}", route("v1:100"))));
    check(&tcp, fresh(), "refused no_http");
    let only_tcp = three().with(SUBSETS).ports(&[(9000, sluice::domain::service::Protocol::Tcp)]);
    check(&only_tcp, fresh(), "refused no_http");
    // Asking for none is asking for what is so already.
    check(&tcp, Vec::new(), "tcp → reviews/v1:100");
    check(&three(), Vec::new(), "");
    let off = super::support::mirror(None);
    assert_eq!(outcome(&tcp, &off), "tcp → reviews/v1:100");
    assert_eq!(outcome(&three(), &off), "");
    // Where nothing exists, everything else is spread by pods as before.
    check(
        &three().with(SUBSETS),
        fresh(),
        "http n m1→ reviews.shop.svc.cluster.local/v2:100; → reviews.shop.svc.cluster.local:100",
    );
    // A gateway's partial route says nothing about the rest, so nothing may be put before it.
    let edge = "kind: VirtualService\nmetadata: {name: reviews}\nspec:\n  hosts: [a.example.com]\n  gateways: [gw]\n  http:\n  - match: [{uri: {prefix: /r}}]\n    route: [{destination: {host: reviews, subset: v1}}]\n";
    check(&three().with(SUBSETS).with(edge), fresh(), "refused no_default_route");
    // No catch-all: rules are all there is.
    let partial = vs(&format!(
        "  http:\n  - name: a\n    match: [{{uri: {{exact: /a}}}}]\n    route:\n{}",
        route("v1:100")
    ));
    let world = three().with(SUBSETS).with(&partial);
    let mut wanted = kept(&world, &[0]);
    wanted.extend(fresh());
    check(&world, wanted, &format!("http {A}; n m1→ reviews.shop.svc.cluster.local/v2:100"));
}

#[test]
fn a_rule_that_is_healed_by_the_same_change_is_kept_when_the_request_is_repeated() {
    let subsets = "kind: DestinationRule\nmetadata: {name: reviews, namespace: shop}\nspec:\n  host: reviews\n  subsets: [{name: v1, labels: {version: v1}}]\n";
    let lost = vs(&format!(
        "  http:\n  - name: a\n    match: [{{headers: {{x: {{exact: a}}}}}}]\n    route:\n{}  - route:\n{}",
        route("v2:100"),
        route("v1:100")
    ));
    let world = three().with(subsets).with(&lost);
    let mut wanted = kept(&world, &[0]);
    assert_eq!((wanted[0].to.len(), wanted[0].action.as_deref()), (0, Some("subset v2")));
    wanted.push(new(Some("n"), vec![vec![header("y", "1")]], "v2=100"));
    let planned = world.plan(&rules(wanted.clone())).expect("a plan");
    let after = world.after(&planned);
    assert_eq!(after.read().rules[0].to, weights("v2=100"), "its subset is there now");
    assert!(after.plan(&rules(wanted)).expect("the same again").plan.is_empty());
}

#[test]
fn weights_and_rules_go_together() {
    let world = three().with(SUBSETS).with(ALL_V1);
    let command = Command::Set(TrafficChange {
        weights: Some(split("v1=90 v2=10")),
        rules: Some(vec![new(Some("n"), vec![vec![header("y", "1")]], "v3=100")]),
        ..TrafficChange::default()
    });
    assert_eq!(outcome(&world, &command), "http n m1→ reviews/v3:100; → reviews/v1:90 reviews/v2:10");
    let planned = world.plan(&command).expect("a plan");
    assert_eq!(planned.effect.rules_before.len(), 0);
    assert_eq!(planned.effect.rules_after.len(), 1);
    assert_eq!(planned.effect.moved(), 10);
}

#[test]
fn rules_keep_their_hands_off_weights_and_weights_off_rules() {
    let world = abc();
    let planned = world.plan(&super::support::set("v1=50 v2=50")).expect("a plan");
    let after = world.after(&planned).spec(Kind::VirtualService, "reviews");
    let before = world.spec(Kind::VirtualService, "reviews");
    for at in 0..3 {
        assert_eq!(after["http"][at], before["http"][at]);
    }
    let planned = world.plan(&rules(kept(&world, &[1]))).expect("a plan");
    let after = world.after(&planned).spec(Kind::VirtualService, "reviews");
    assert_eq!(after["http"][1], before["http"][3]);
    assert_eq!(told(&json!({"http": Value::Null})), "");
}

#[test]
fn a_new_rule_treats_its_requests_as_the_default_route_does() {
    let treated = "
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - rewrite: {uri: /inner}
    timeout: 2s
    retries: {attempts: 5}
    fault: {delay: {fixedDelay: 1s, percentage: {value: 1}}}
    headers: {request: {set: {x-tenant: t1}}}
    corsPolicy: {maxAge: 1h}
    mirrors: [{destination: {host: reviews, subset: v3}}]
    route: [{destination: {host: reviews, subset: v1}}]
";
    let world = three().with(SUBSETS).with(treated);
    let planned = world.plan(&rules(vec![new(None, vec![vec![header("x-new", "zz")]], "v2=100")])).unwrap();
    let list = world.after(&planned).spec(Kind::VirtualService, "reviews")["http"].clone();
    for key in ["rewrite", "timeout", "retries", "fault", "headers", "corsPolicy"] {
        assert!(!list[0][key].is_null(), "{key}");
        assert_eq!(list[0][key], list[1][key], "{key}");
    }
    assert!(list[0]["mirrors"].is_null(), "the mirror is the default route's");
    let path = Condition { on: Subject::Path, op: Op::Prefix, value: "/api".into() };
    let refused = world.plan(&rules(vec![new(None, vec![vec![path]], "v2=100")])).unwrap_err();
    assert_eq!(refused.code.to_string(), "rule_rewrites");
}
