//! Routes of gateways, of other hosts and of delegates that bring requests to a service: which of them a command
//! without a route means, and that no VirtualService is created beside them.

use sluice::domain::command::{Command, TrafficChange};
use sluice::domain::ids::{Kind, ObjectRef};
use sluice::domain::routing::{Condition, Op, Rule, Subject};

use super::support::{
    SUBSETS, World, entries, mirror, route, rules, set, set_on, shown, take_over, three, usual,
};

const FULL: &str = "reviews.shop.svc.cluster.local";

fn base() -> World {
    three().with(SUBSETS)
}

/// A root at a gateway that delegates a path to `shop/order`.
const ROOT: &str = "
kind: VirtualService
metadata: {name: root, namespace: edge}
spec:
  hosts: [shop.example.com]
  gateways: [edge]
  http:
  - match: [{uri: {prefix: /order}}]
    delegate: {name: order, namespace: shop}
";

/// A delegate with a path of its own and a route without conditions.
const ORDER: &str = "
kind: VirtualService
metadata: {name: order}
spec:
  http:
  - match: [{uri: {prefix: /order/v2}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - name: rest
    route:
    - {destination: {host: reviews, subset: v1}, weight: 90}
    - {destination: {host: reviews, subset: v2}, weight: 10}
";

/// What a host outside the cluster is sent to.
fn alias(name: &str, entries: &str) -> String {
    format!(
        "kind: VirtualService\nmetadata: {{name: {name}}}\nspec:\n  hosts: [{name}.example.com]\n  http:\n  - name: all\n    route:\n{}",
        route(entries)
    )
}

/// The id of the default route and its weights; `-` = none.
fn default_of(world: &World) -> String {
    let routing = world.read();
    routing.default_route().map_or("-".to_owned(), |one| format!("{} {}", one.id, shown(one.weights())))
}

/// The refusal of a command, with what it lists.
fn refused(world: &World, command: &Command) -> String {
    let refusal = world.plan(command).expect_err("a refusal");
    let list = refusal.args.iter().find(|(name, _)| name == "list").map_or("", |(_, list)| list.as_str());
    format!("{} {:?} {list}", refusal.code, refusal.field)
}

#[test]
fn a_route_of_a_delegate_without_conditions_is_the_default_of_its_gateway() {
    let world = base().with(ROOT).with(ORDER);
    assert_eq!(default_of(&world), "shop/order/http/rest v1=90 v2=10");
    let planned = world.plan(&set("v1=50 v2=50")).expect("a plan");
    let edits: Vec<String> = planned.plan.edits().map(|edit| edit.object.to_string()).collect();
    assert_eq!(edits, ["VirtualService shop/order"]);
    let spec = world.after(&planned).spec(Kind::VirtualService, "order");
    assert_eq!(entries(&spec, "http", 1), "reviews/v1:50 reviews/v2:50");
    assert_eq!(entries(&spec, "http", 0), "reviews/v2:!");
}

#[test]
fn nothing_is_created_beside_routes_that_bring_requests() {
    let second = ORDER.replace("name: order", "name: cart").replace("order", "cart");
    let root = ROOT.replace("order, namespace", "cart, namespace").replace("/order", "/cart");
    let root = root.replace("name: root", "name: other");
    let world = base().with(ROOT).with(ORDER).with(&root).with(&second);
    assert_eq!(default_of(&world), "-");
    let told = refused(&world, &set("v1=50 v2=50"));
    assert!(told.starts_with("choose_route Some(\"route\") "), "{told}");
    for id in ["`shop/order/http/rest`", "`shop/cart/http/rest`"] {
        assert!(told.contains(id), "{told}");
    }
    // Rules and mirrors have the same question.
    let rule = Rule {
        id: None,
        name: None,
        when: vec![vec![Condition { on: Subject::Header("a".into()), op: Op::Exact, value: "b".into() }]],
        opaque: Vec::new(),
        to: vec![("v3".into(), 100)],
        action: None,
    };
    assert!(refused(&world, &rules(vec![rule])).starts_with("choose_route"));
    assert!(refused(&world, &mirror(Some(("v3", 10.0)))).starts_with("choose_route"));
    // To ask for what is so already asks nothing.
    assert!(world.plan(&rules(Vec::new())).expect("a plan").plan.is_empty());
    // The one that is named is moved, the other stays.
    let planned = world.plan(&set_on("shop/cart/http/rest", "v1=50 v2=50")).expect("a plan");
    let edits: Vec<String> = planned.plan.edits().map(|edit| edit.object.to_string()).collect();
    assert_eq!(edits, ["VirtualService shop/cart"]);
    let found: Vec<&str> = world.read().findings.iter().map(|finding| finding.code.as_str()).collect();
    assert!(found.contains(&"choose_route") && !found.contains(&"spread_by_pods"), "{found:?}");
}

#[test]
fn a_host_outside_the_cluster_is_a_route_like_another() {
    let world = base().with(&alias("server", "v1:80 v2:20"));
    assert_eq!(default_of(&world), "shop/server/http/all v1=80 v2=20");
    let planned = world.plan(&set("v1=50 v2=50")).expect("a plan");
    let edits: Vec<String> = planned.plan.edits().map(|edit| edit.object.to_string()).collect();
    assert_eq!(edits, ["VirtualService shop/server"]);
    // Two of them: the person says which. One that also sends elsewhere is not the service's split.
    let two = world.with(&alias("old", "v1:100"));
    assert_eq!(default_of(&two), "-");
    assert!(refused(&two, &set("v1=50 v2=50")).starts_with("choose_route"));
    let shared = base().with(&alias("server", "v1:80 ratings/-:20"));
    assert_eq!(default_of(&shared), "-");
    assert!(refused(&shared, &set("v1=50 v2=50")).starts_with("choose_route"));
    // What claims the host itself goes first.
    let own = usual().with(&alias("server", "v1:80 v2:20"));
    assert!(default_of(&own).starts_with("shop/reviews/"));
}

#[test]
fn a_rule_of_a_delegate_is_kept_beside_its_default() {
    let world = base().with(ROOT).with(ORDER);
    let kept = world.read().rules;
    assert_eq!(kept.len(), 1);
    let planned = world
        .plan(&Command::Set(TrafficChange {
            weights: Some(super::support::split("v1=10 v2=90")),
            rules: Some(kept),
            ..TrafficChange::default()
        }))
        .expect("a plan");
    let spec = world.after(&planned).spec(Kind::VirtualService, "order");
    assert_eq!(entries(&spec, "http", 0), "reviews/v2:!");
    assert_eq!(entries(&spec, "http", 1), "reviews/v1:10 reviews/v2:90");
}

#[test]
fn take_over_moves_every_route_and_claims_the_host_for_the_mesh() {
    let world = base().with(ROOT).with(ORDER).with(&alias("server", "v1:80 v2:20"));
    let planned = world.plan(&take_over("v2")).expect("a plan");
    let after = world.after(&planned);
    assert_eq!(entries(&after.spec(Kind::VirtualService, "order"), "http", 1), "reviews/v1:0 reviews/v2:100");
    assert_eq!(
        entries(&after.spec(Kind::VirtualService, "server"), "http", 0),
        "reviews/v1:0 reviews/v2:100"
    );
    let own = after.spec_at(&ObjectRef::new(Kind::VirtualService, "shop", "reviews"));
    assert_eq!(entries(&own, "http", 0), format!("{FULL}/v2:100"));
}
