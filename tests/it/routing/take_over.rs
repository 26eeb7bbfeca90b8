//! Take over: everything to one version, everywhere.

use sluice::domain::ids::Kind;
use sluice::domain::refusal::Severity;

use super::support::{SUBSETS, World, codes, http, outcome, route, take_over, three, told, usual, vs};

fn check(world: &World, version: &str, expected: &str) {
    assert_eq!(outcome(world, &take_over(version)), expected);
}

#[test]
fn every_choice_goes_to_the_version() {
    check(&usual(), "v2", "http → reviews/v1:0 reviews/v2:100");
    check(&usual(), "v1", "http → reviews/v1:!");
    check(&three().with(SUBSETS).with(&http("v1:30 v2:70")), "v2", "http → reviews/v1:0 reviews/v2:100");
    check(&three().with(SUBSETS).with(&http("-:!")), "v2", "http → reviews/v2:100");
    let many = three().with(SUBSETS).with(&vs(&format!(
        "  http:
  - name: a
    match: [{{uri: {{exact: /a}}}}]
    route:
{}  - name: r
    match: [{{uri: {{exact: /r}}}}]
    redirect: {{uri: /x}}
  - name: o
    match: [{{uri: {{exact: /o}}}}]
    route: [{{destination: {{host: ratings}}}}]
  - mirror: {{host: reviews, subset: v3}}
    route:
{}  tcp:
  - route:
{}",
        route("v3:100"),
        route("v1:50 v2:50"),
        route("v1:100")
    )));
    check(
        &many,
        "v2",
        "http a m1→ reviews/v3:0 reviews/v2:100; r m1→ redirect; o m1→ ratings:!; → reviews/v1:0 reviews/v2:100 | tcp → reviews/v1:0 reviews/v2:100",
    );
    let planned = many.plan(&take_over("v2")).expect("a plan");
    assert_eq!(planned.effect.rules_followed, 1);
    assert!(codes(&planned, Severity::Info).contains("rules_follow"));
    assert!(planned.effect.mirror_after.is_some(), "the mirror stays");
}

#[test]
fn it_follows_requests_through_gateways_and_other_hosts() {
    let edge = "kind: VirtualService\nmetadata: {name: edge, namespace: front}\nspec:\n  hosts: [a.example.com]\n  gateways: [gw]\n  http:\n  - match: [{uri: {prefix: /r}}]\n    route: [{destination: {host: reviews.shop.svc.cluster.local, subset: v1}}]\n  - route: [{destination: {host: web}}]\n";
    let world = usual().with(edge);
    let planned = world.plan(&take_over("v2")).expect("a plan");
    let at = sluice::domain::ids::ObjectRef::new(Kind::VirtualService, "front", "edge");
    assert_eq!(
        told(&world.after(&planned).spec_at(&at)),
        "http m1→ reviews.shop.svc.cluster.local/v1:0 reviews.shop.svc.cluster.local/v2:100; → web:!"
    );
    // Callers in the mesh are spread by pods until an object claims the host: "all" means them too.
    let world = three().with(SUBSETS).with(edge);
    check(&world, "v2", "http → reviews.shop.svc.cluster.local/v2:100");
}

#[test]
fn it_refuses_what_it_cannot_take() {
    let other = three().with(SUBSETS).with(&http("v1:90 ratings.shop.svc.cluster.local/-:10"));
    check(&other, "v2", "refused foreign_destination");
    check(&usual(), "v9", "refused unknown_version");
    check(&three(), "v9", "refused unknown_version");
    check(&usual().ready("v2", 0), "v2", "blocked no_ready_pods: http → reviews/v1:0 reviews/v2:100");
    // A version that has everything already may keep it, pods or not.
    check(&usual().ready("v1", 0), "v1", "http → reviews/v1:!");
}

#[test]
fn a_delegate_is_taken_over_once() {
    let root = |name: &str, host: &str| {
        format!(
            "kind: VirtualService\nmetadata: {{name: {name}}}\nspec:\n  hosts: [{host}]\n  http:\n  - delegate: {{name: rest}}\n"
        )
    };
    let rest = format!(
        "kind: VirtualService\nmetadata: {{name: rest}}\nspec:\n  http:\n  - route:\n{}",
        route("v1:100")
    );
    let world = three().with(SUBSETS).with(&root("a", "reviews")).with(&rest);
    let planned = world.plan(&take_over("v2")).expect("a plan");
    assert_eq!(
        told(&world.after(&planned).spec(Kind::VirtualService, "rest")),
        "http → reviews/v1:0 reviews/v2:100"
    );
    assert!(!codes(&planned, Severity::Acknowledge).contains("shared_delegate"));
    let world = world.with(&root("b", "opinions.example.com"));
    let planned = world.plan(&take_over("v2")).expect("a plan");
    assert_eq!(planned.plan.edits().count(), 1);
    assert!(codes(&planned, Severity::Acknowledge).contains("shared_delegate"));
}
