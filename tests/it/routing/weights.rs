//! Setting weights: only the numbers of the named route change.

use super::support::{World, http, outcome, reviews, route, set, set_on, three, usual, vs};

fn check(world: &World, command: &str, expected: &str) {
    assert_eq!(outcome(world, &set(command)), expected, "{command}");
}

fn with(entries: &str) -> World {
    three().with(super::support::SUBSETS).with(&http(entries))
}

#[test]
fn numbers_go_to_the_versions_own_entries() {
    check(&usual(), "v1=30 v2=70", "http → reviews/v1:30 reviews/v2:70");
    check(&usual(), "v1=100", "http → reviews/v1:!");
    check(&usual(), "v2=100", "http → reviews/v1:0 reviews/v2:100");
    check(&usual(), "v1=0 v2=0 v3=100", "http → reviews/v1:0 reviews/v3:100");
    check(&usual(), "v3=34 v2=33 v1=33", "http → reviews/v1:33 reviews/v3:34 reviews/v2:33");
    check(&with("v1:50 v2:50"), "v1=30 v2=70", "http → reviews/v1:30 reviews/v2:70");
    check(&with("v2:50 v1:50"), "v1=30 v2=70", "http → reviews/v2:70 reviews/v1:30");
    check(&with("v1:100 v2:0"), "v1=99 v2=1", "http → reviews/v1:99 reviews/v2:1");
    check(&with("v1:100 v2:0"), "v1=1 v2=99", "http → reviews/v1:1 reviews/v2:99");
    check(&with("v1:20 v2:30 v3:50"), "v1=100", "http → reviews/v1:100 reviews/v2:0 reviews/v3:0");
    check(&with("v1:20 v2:30 v3:50"), "v3=100", "http → reviews/v1:0 reviews/v2:0 reviews/v3:100");
    check(&with("v1:20 v2:80"), "v3=100", "http → reviews/v1:0 reviews/v2:0 reviews/v3:100");
    check(&with("v1:20 v2:80"), "v3=10 v1=90", "http → reviews/v1:90 reviews/v2:0 reviews/v3:10");
}

#[test]
fn an_entry_at_zero_is_kept_and_a_lone_zero_is_never_written() {
    check(&with("v1:100 v2:0 v3:0"), "v1=100", "http → reviews/v1:100 reviews/v2:0 reviews/v3:0");
    check(&with("v1:!"), "v2=100", "http → reviews/v1:0 reviews/v2:100");
    check(&with("v1:0"), "v2=100", "http → reviews/v1:0 reviews/v2:100");
    check(&with("v1:0"), "v1=100", "http → reviews/v1:0");
    check(&with("v1:7"), "v1=100", "http → reviews/v1:7");
}

#[test]
fn what_is_so_already_is_left_alone() {
    for (entries, command) in [
        ("v1:!", "v1=100"),
        ("v1:30 v2:70", "v1=30 v2=70"),
        ("v1:30 v2:70", "v2=70 v1=30 v3=0"),
        ("v1:100 v2:!", "v1=100"),
        ("v1:10 v1:20 v2:70", "v1=30 v2=70"),
    ] {
        let world = with(entries);
        let planned = world.plan(&set(command)).expect("a plan");
        assert!(planned.plan.is_empty(), "{entries} {command}");
        assert_eq!(planned.effect.moved(), 0);
    }
}

#[test]
fn odd_sums_are_made_whole_when_the_command_is_about_them() {
    check(&with("v1:3 v2:7"), "v1=30 v2=70", "http → reviews/v1:30 reviews/v2:70");
    check(&with("v1:1 v2:1 v3:1"), "v1=34 v2=33 v3=33", "http → reviews/v1:34 reviews/v2:33 reviews/v3:33");
    check(&with("v1:300 v2:700"), "v1=0 v2=100", "http → reviews/v1:0 reviews/v2:100");
    check(&with("v1:! v2:!"), "v1=100", "http → reviews/v1:100 reviews/v2:0");
    check(&with("v1:0 v2:0"), "v2=100", "http → reviews/v1:0 reviews/v2:100");
}

#[test]
fn twins_of_a_version_add_up_and_one_of_them_carries_the_number() {
    let twins = |entries: &str| {
        three()
            .with(
                "
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews.shop.svc.cluster.local
  subsets:
  - {name: old, labels: {version: v1}}
  - {name: older, labels: {app: reviews, version: v1}}
  - {name: new, labels: {version: v2}}
",
            )
            .with(&http(entries))
    };
    check(
        &twins("old:20 older:30 new:50"),
        "v1=40 v2=60",
        "http → reviews/old:40 reviews/older:0 reviews/new:60",
    );
    check(
        &twins("old:0 older:30 new:70"),
        "v1=40 v2=60",
        "http → reviews/old:0 reviews/older:40 reviews/new:60",
    );
    check(
        &twins("old:0 older:0 new:100"),
        "v1=40 v2=60",
        "http → reviews/old:40 reviews/older:0 reviews/new:60",
    );
    check(
        &twins("new:60 older:20 old:20"),
        "v1=40 v2=60",
        "http → reviews/new:60 reviews/older:20 reviews/old:20",
    );
}

#[test]
fn other_hosts_keep_what_they_have_or_forbid_the_change() {
    let other = "ratings.shop.svc.cluster.local/-";
    check(
        &with(&format!("v1:100 {other}:0")),
        "v1=50 v2=50",
        "http → reviews/v1:50 ratings.shop.svc.cluster.local:0 reviews/v2:50",
    );
    check(&with(&format!("v1:90 {other}:10")), "v1=50 v2=50", "refused foreign_destination");
    check(&with(&format!("v1:999 {other}:1")), "v1=50 v2=50", "refused foreign_destination");
    check(&with(&format!("{other}:!")), "v1=50 v2=50", "refused foreign_destination");
    check(
        &with(&format!("v1:100 {other}:!")),
        "v1=50 v2=50",
        "http → reviews/v1:50 ratings.shop.svc.cluster.local:! reviews/v2:50",
    );
}

#[test]
fn subsets_of_several_versions_cannot_be_split() {
    let several = |entries: &str| {
        three()
            .with(
                "
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
  - {name: all, labels: {app: reviews}}
  - {name: any}
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
",
            )
            .with(&http(entries))
    };
    check(&several("all:100 v1:0"), "v1=50 v2=50", "refused subset_shared");
    check(&several("any:!"), "v1=50 v2=50", "refused subset_shared");
    check(&several("all:0 v1:100"), "v1=50 v2=50", "http → reviews/all:0 reviews/v1:50 reviews/v2:50");
}

#[test]
fn entries_that_reach_nobody_lose_their_share() {
    let world = |entries: &str| {
        three()
            .with(
                "
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
  - {name: gone, labels: {version: v0}}
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
",
            )
            .with(&http(entries))
    };
    check(&world("gone:50 v1:50"), "v1=100", "http → reviews/gone:0 reviews/v1:100");
    check(&world("nowhere:50 v1:50"), "v1=90 v2=10", "http → reviews/nowhere:0 reviews/v1:90 reviews/v2:10");
    check(&world("gone:!"), "v1=100", "http → reviews/gone:0 reviews/v1:100");
}

#[test]
fn requests_that_pods_spread_become_one_entry_a_version() {
    check(&with("-:!"), "v1=100", "http → reviews/v1:100");
    check(&with("-:!"), "v1=90 v2=10 v3=0", "http → reviews/v1:90 reviews/v2:10 reviews/v3:0");
    check(&with("-:50 v2:50"), "v1=10 v2=90", "http → reviews:0 reviews/v2:90 reviews/v1:10");
    check(&with("-:0 v2:100"), "v1=10 v2=90", "http → reviews:0 reviews/v2:90 reviews/v1:10");
    let rich = vs("  http:
  - route:
    - destination: {host: reviews.shop.svc.cluster.local, port: {number: 9080}, later: {a: 1}}
      headers: {request: {set: {x-a: b}}}
");
    let world = three().with(super::support::SUBSETS).with(&rich);
    let planned = world.plan(&set("v1=60 v2=40")).expect("a plan");
    let spec = world.after(&planned).spec(sluice::domain::ids::Kind::VirtualService, "reviews");
    for at in [0, 1] {
        let entry = &spec["http"][0]["route"][at];
        assert_eq!(entry["headers"]["request"]["set"]["x-a"], "b");
        assert_eq!(entry["destination"]["port"]["number"], 9080);
        assert_eq!(entry["destination"]["later"]["a"], 1);
    }
}

#[test]
fn a_new_entry_goes_where_the_others_go() {
    let world = three().with(super::support::SUBSETS).with(&vs("  http:
  - route:
    - destination: {host: reviews.shop.svc.cluster.local, subset: v1, port: {number: 9080}}
      weight: 100
      headers: {request: {set: {x-a: b}}}
"));
    let planned = world.plan(&set("v1=60 v2=40")).expect("a plan");
    let spec = world.after(&planned).spec(sluice::domain::ids::Kind::VirtualService, "reviews");
    let entry = &spec["http"][0]["route"][1];
    assert_eq!(entry["destination"]["host"], "reviews.shop.svc.cluster.local");
    assert_eq!(entry["destination"]["port"]["number"], 9080);
    assert!(entry["headers"].is_null(), "headers of one version are not another's: {entry}");
}

#[test]
fn only_the_named_route_changes() {
    let world = three().with(super::support::SUBSETS).with(&vs(&format!(
        "  http:
  - name: jason
    match: [{{headers: {{end-user: {{exact: jason}}}}}}]
    route:
{}  - match: [{{uri: {{prefix: /v2}}}}]
    route:
{}  - name: all
    route:
{}  tcp:
  - match: [{{port: 9000}}]
    route:
{}",
        route("v2:100"),
        route("v3:100"),
        route("v1:100"),
        route("v1:100"),
    )));
    check(
        &world,
        "v1=30 v2=70",
        "http jason m1→ reviews/v2:100; m1→ reviews/v3:100; all → reviews/v1:30 reviews/v2:70 | tcp m1→ reviews/v1:100",
    );
    let told = |list: &str, index: usize| outcome(&world, &set_on(&world.id(list, index), "v1=30 v2=70"));
    assert_eq!(
        told("http", 0),
        "http jason m1→ reviews/v2:70 reviews/v1:30; m1→ reviews/v3:100; all → reviews/v1:100 | tcp m1→ reviews/v1:100"
    );
    assert_eq!(
        told("http", 1),
        "http jason m1→ reviews/v2:100; m1→ reviews/v3:0 reviews/v1:30 reviews/v2:70; all → reviews/v1:100 | tcp m1→ reviews/v1:100"
    );
    assert_eq!(
        told("tcp", 0),
        "http jason m1→ reviews/v2:100; m1→ reviews/v3:100; all → reviews/v1:100 | tcp m1→ reviews/v1:30 reviews/v2:70"
    );
    assert_eq!(outcome(&world, &set_on("shop/reviews/http/nobody", "v1=100")), "refused unknown_route");
}

#[test]
fn tcp_and_tls_routes_are_shifted_too_and_keep_their_first_destination() {
    let base = || three().with(super::support::SUBSETS);
    let tcp = base()
        .ports(&[(9000, sluice::domain::service::Protocol::Tcp)])
        .with(&vs(&format!("  tcp:\n  - route:\n{}", route("v1:100"))));
    check(&tcp, "v1=30 v2=70", "tcp → reviews/v1:30 reviews/v2:70");
    check(&tcp, "v2=100", "tcp → reviews/v1:0 reviews/v2:100");
    let tls = base().ports(&[(443, sluice::domain::service::Protocol::Tls)]).with(&vs(&format!(
        "  tls:\n  - match: [{{sniHosts: [reviews.shop.svc.cluster.local]}}]\n    route:\n{}",
        route("v1:100")
    )));
    check(&tls, "v1=30 v2=70", "tls m1→ reviews/v1:30 reviews/v2:70");
}

#[test]
fn what_is_no_choice_among_versions_is_refused() {
    let base = || three().with(super::support::SUBSETS);
    let fixed = |body: &str| base().with(&vs(body));
    check(&fixed("  http:\n  - redirect: {uri: /x}\n"), "v1=100", "refused no_default_route");
    check(&fixed("  http:\n  - directResponse: {status: 503}\n"), "v1=100", "refused no_default_route");
    check(
        &fixed(
            "  http:\n  - match: [{uri: {exact: /a}}]\n    route:\n    - destination: {host: reviews, subset: v1}\n",
        ),
        "v1=100",
        "refused no_default_route",
    );
    let redirect = fixed(
        "  http:\n  - match: [{uri: {exact: /a}}]\n    redirect: {uri: /x}\n  - route:\n    - destination: {host: reviews, subset: v1}\n",
    );
    assert_eq!(outcome(&redirect, &set_on(&redirect.id("http", 0), "v1=100")), "refused not_shiftable");
    check(&redirect, "v2=100", "http m1→ redirect; → reviews/v1:0 reviews/v2:100");
}

#[test]
fn versions_that_do_not_exist_are_refused() {
    check(&usual(), "v4=100", "refused unknown_version");
    check(&usual(), "v1=100 v4=0", "refused unknown_version");
    check(&three(), "v1=100 v4=0", "refused unknown_version");
    check(&reviews(), "v1=100", "refused unknown_version");
    check(&with("-:!"), "v4=100", "refused unknown_version");
}

#[test]
fn hosts_are_understood_in_every_form() {
    let host = |host: &str, namespace: &str, to: &str| {
        three().with(super::support::SUBSETS).with(&format!(
            "kind: VirtualService\nmetadata: {{name: reviews, namespace: {namespace}}}\nspec:\n  hosts: [\"{host}\"]\n  http:\n  - route:\n    - destination: {{host: {to}, subset: v1}}\n"
        ))
    };
    let full = "reviews.shop.svc.cluster.local";
    for (world, expected) in [
        (host("reviews", "shop", "reviews"), true),
        (host(full, "shop", full), true),
        (host("Reviews", "shop", "REVIEWS"), true),
        (host(full, "elsewhere", full), true),
        (host("*.shop.svc.cluster.local", "shop", full), true),
        (host("*", "shop", full), true),
        // Any dot, and the name is taken as it is: this is no Kubernetes service.
        (host("reviews.shop", "shop", "reviews.shop"), false),
        // Short names belong to the namespace of the object.
        (host("reviews", "elsewhere", "reviews"), false),
        (host(full, "elsewhere", "reviews"), false),
    ] {
        let planned = world.plan(&set("v1=50 v2=50"));
        let edits_it = planned.is_ok_and(|planned| planned.plan.edits().any(|edit| edit.before.is_some()));
        assert_eq!(edits_it, expected, "{:?}", world.snapshot.virtual_services[0].object);
    }
}
