//! Switch back: weights, rules and mirror as they were, everything else as it is now.

use serde_json::{Value, json};
use sluice::domain::command::Command;
use sluice::domain::ids::{Kind, ObjectRef};
use sluice::domain::plan::Planned;
use sluice::domain::refusal::Severity;
use sluice::routing::{Policy, saved};

use super::support::{
    ALL_V1, SUBSETS, World, codes, http, mirror, outcome, reviews, route, rules, set, stamp, take_over,
    three, told, usual, vs,
};

/// The command that goes back to how things are in `then`.
fn back_to(then: &World) -> Command {
    back_with(then, Vec::new())
}

/// The same where Sluice has added these subsets since then.
fn back_with(then: &World, added: Vec<(ObjectRef, Value)>) -> Command {
    let weights = then.read().declared();
    Command::SwitchBack { revision: 3, specs: saved(&then.snapshot), weights, added }
}

fn check(now: &World, then: &World, expected: &str) {
    assert_eq!(outcome(now, &back_to(then)), expected);
}

fn with(entries: &str) -> World {
    three().with(SUBSETS).with(&http(entries))
}

/// The world after a command.
fn after(world: &World, command: &Command) -> World {
    world.after(&world.plan(command).expect("a plan"))
}

#[test]
fn weights_come_back() {
    check(&with("v1:0 v2:100"), &with("v1:30 v2:70"), "http → reviews/v1:30 reviews/v2:70");
    check(&with("v1:0 v2:100"), &with("v1:!"), "http → reviews/v1:!");
    check(&with("v1:!"), &with("v1:30 v2:70"), "http → reviews/v1:30 reviews/v2:70");
    check(&with("v1:50 v3:50"), &with("-:!"), "http → reviews:!");
    check(&with("v1:50 v2:50"), &with("v1:3 v2:7"), "http → reviews/v1:3 reviews/v2:7");
    check(&with("v1:30 v2:70"), &with("v1:30 v2:70"), "http → reviews/v1:30 reviews/v2:70");
    check(
        &with("v2:100 ratings.shop.svc.cluster.local/-:0"),
        &with("v1:90 ratings.shop.svc.cluster.local/-:10"),
        "http → reviews/v1:90 ratings.shop.svc.cluster.local:10",
    );
}

#[test]
fn what_changed_besides_stays() {
    let now = three().with(SUBSETS).with(&vs(&format!(
        "  http:\n  - timeout: 9s\n    later: 1\n    headers: {{request: {{set: {{a: b}}}}}}\n    route:\n{}",
        route("v1:0 v2:100")
    )));
    let planned = now.plan(&back_to(&with("v1:30 v2:70"))).expect("a plan");
    let spec = now.after(&planned).spec(Kind::VirtualService, "reviews");
    assert_eq!(spec["http"][0]["timeout"], "9s");
    assert_eq!(spec["http"][0]["later"], 1);
    assert_eq!(told(&spec), "http → reviews/v1:30 reviews/v2:70");
    // An entry keeps what it says besides its weight.
    let rich =
        http("v1:0 v2:100").replace("subset: v1}, weight: 0}", "subset: v1}, weight: 0, headers: {x: 1}}");
    let now = three().with(SUBSETS).with(&rich);
    let planned = now.plan(&back_to(&with("v1:30 v2:70"))).expect("a plan");
    let spec = now.after(&planned).spec(Kind::VirtualService, "reviews");
    assert_eq!(
        spec["http"][0]["route"][0],
        json!({"destination": {"host": "reviews", "subset": "v1"}, "weight": 30, "headers": {"x": 1}})
    );
}

fn ruled(names: &[(&str, &str)], rest: &str) -> World {
    let list: Vec<String> = names
        .iter()
        .map(|(name, to)| {
            format!(
                "  - name: {name}\n    match: [{{uri: {{exact: /{name}}}}}]\n    note: {name}\n    route:\n{}",
                route(to)
            )
        })
        .collect();
    three().with(SUBSETS).with(&vs(&format!("  http:\n{}  - route:\n{}", list.concat(), route(rest))))
}

#[test]
fn rules_come_back_where_they_were() {
    let then = ruled(&[("a", "v1:100"), ("b", "v2:100"), ("c", "v3:100")], "v1:100");
    let all = "http a m1→ reviews/v1:100; b m1→ reviews/v2:100; c m1→ reviews/v3:100; → reviews/v1:100";
    check(&ruled(&[], "v2:100"), &then, all);
    check(&ruled(&[("b", "v1:100")], "v1:100"), &then, all);
    check(&ruled(&[("c", "v3:100"), ("a", "v1:100")], "v1:100"), &then, all);
    check(&ruled(&[("x", "v1:100"), ("c", "v3:100"), ("a", "v2:100")], "v3:100"), &then, all);
    check(&then, &ruled(&[], "v1:100"), "http → reviews/v1:100");
    check(
        &then,
        &ruled(&[("c", "v1:100"), ("b", "v2:100")], "v1:100"),
        "http c m1→ reviews/v1:100; b m1→ reviews/v2:100; → reviews/v1:100",
    );
    let planned = ruled(&[], "v2:100").plan(&back_to(&then)).expect("a plan");
    let spec = ruled(&[], "v2:100").after(&planned).spec(Kind::VirtualService, "reviews");
    assert_eq!(spec["http"][1]["note"], "b", "the JSON of then comes back");
}

#[test]
fn conditions_come_back() {
    let then = ruled(&[("a", "v2:100")], "v1:100");
    let mut list = then.read().rules;
    list[0].when[0][0].value = "/other".into();
    let now = after(&then, &rules(list));
    let planned = now.plan(&back_to(&then)).expect("a plan");
    assert_eq!(
        now.after(&planned).spec(Kind::VirtualService, "reviews"),
        then.spec(Kind::VirtualService, "reviews")
    );
}

#[test]
fn the_mirror_comes_back() {
    let then = after(&usual(), &mirror(Some(("v2", 10.0))));
    let now = after(&then, &mirror(Some(("v3", 50.0))));
    assert_eq!(after(&now, &back_to(&then)).read().mirror, then.read().mirror);
    let off = after(&then, &mirror(None));
    assert_eq!(after(&off, &back_to(&then)).read().mirror, then.read().mirror);
    assert_eq!(after(&then, &back_to(&usual())).read().mirror, None);
}

/// The objects of the world with the manager of another writer among their managed fields.
fn edited_by(world: &World, kind: Kind, manager: &str) -> World {
    let mut out = world.clone();
    for at in world.read().objects.into_iter().filter(|at| at.kind == kind) {
        let mut json = world.json_at(&at);
        json["metadata"]["managedFields"] = json!([
            {"manager": "sluice", "operation": "Update"},
            {"manager": "pilot-discovery", "subresource": "status", "operation": "Update"},
            {"manager": manager, "operation": "Update"},
        ]);
        out.write(&at, json);
    }
    out
}

fn gone(planned: &Planned) -> Vec<String> {
    planned.plan.edits().filter(|edit| edit.deletes()).map(|edit| edit.object.to_string()).collect()
}

#[test]
fn what_sluice_made_since_then_goes_routes_before_subsets() {
    let now = after(&three(), &set("v1=90 v2=10"));
    let planned = now.plan(&back_to(&three())).expect("a plan");
    assert_eq!(gone(&planned), ["VirtualService shop/reviews", "DestinationRule shop/reviews"]);
    assert_eq!(planned.plan.stages().count(), 2, "a route never names a subset that is gone");
    assert!(codes(&planned, Severity::Info).contains("deletes_objects"));
    let after = now.after(&planned);
    assert!(
        after.read().objects.is_empty() && after.plan(&back_to(&three())).expect("again").plan.is_empty()
    );
    // Its own status and its own later writes are nobody else's edits.
    let planned = edited_by(&now, Kind::VirtualService, "sluice").plan(&back_to(&three())).expect("a plan");
    assert_eq!(gone(&planned).len(), 2);
    // With the rule there before, only the route goes.
    let now = self::after(&three().with(SUBSETS), &set("v1=90 v2=10"));
    let planned = now.plan(&back_to(&three().with(SUBSETS))).expect("a plan");
    assert_eq!(gone(&planned), ["VirtualService shop/reviews"]);
}

#[test]
fn what_somebody_edited_stays_without_effect_and_is_named() {
    let full = "reviews.shop.svc.cluster.local";
    let now = edited_by(&after(&three(), &set("v1=90 v2=10")), Kind::VirtualService, "kubectl-edit");
    check(&now, &three(), &format!("http → {full}:100"));
    let planned = now.plan(&back_to(&three())).expect("a plan");
    assert_eq!(gone(&planned), ["DestinationRule shop/reviews"], "no route names its subsets any more");
    assert!(codes(&planned, Severity::Info).contains("stays_behind"));

    let now = edited_by(&after(&three(), &set("v1=90 v2=10")), Kind::DestinationRule, "kubectl-edit");
    assert_eq!(gone(&now.plan(&back_to(&three())).expect("a plan")), ["VirtualService shop/reviews"]);
}

/// A route of another service that copies requests to a version of this one.
const COPIES: &str = "
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http:
  - route: [{destination: {host: ratings}}]
    mirror: {host: reviews, subset: v2}
";

#[test]
fn a_subset_that_another_route_or_mirror_names_stays() {
    let made = after(&three(), &set("v1=90 v2=10"));
    let planned = made.clone().with(COPIES).plan(&back_to(&three())).expect("a plan");
    assert_eq!(gone(&planned), ["VirtualService shop/reviews"], "the copies would be lost");
    assert!(codes(&planned, Severity::Info).contains("stays_behind"));
    let unnamed = COPIES.replace(", subset: v2", "");
    let planned = made.with(&unnamed).plan(&back_to(&three().with(&unnamed))).expect("a plan");
    assert_eq!(gone(&planned), ["VirtualService shop/reviews", "DestinationRule shop/reviews"]);
}

#[test]
fn what_may_not_be_deleted_stays_without_effect() {
    let now = after(&three(), &set("v1=90 v2=10"));
    let policy = Policy { may_delete: false, ..Policy::default() };
    let planned =
        sluice::routing::plan(&back_to(&three()), &now.snapshot, &policy, &stamp()).expect("a plan");
    assert_eq!(gone(&planned), [""; 0]);
    let spec = now.after(&planned).spec(Kind::VirtualService, "reviews");
    assert_eq!(told(&spec), "http → reviews.shop.svc.cluster.local:100");
}

#[test]
fn an_object_of_somebody_else_that_did_not_exist_spreads_by_pods_again() {
    let ruled = ruled(&[("a", "v2:100")], "v1:100");
    check(&ruled, &three().with(SUBSETS), "http → reviews:100");
    let only = three()
        .with(SUBSETS)
        .with(&vs(&format!("  http:\n  - match: [{{uri: {{exact: /a}}}}]\n    route:\n{}", route("v2:100"))));
    check(&only, &three(), "http m1→ reviews:100");
}

#[test]
fn an_object_that_was_deleted_comes_back() {
    let then = ruled(&[("a", "v2:100")], "v1:30 v2:70");
    let now = three().with(SUBSETS);
    check(&now, &then, "http a m1→ reviews/v2:100; → reviews/v1:30 reviews/v2:70");
    let planned = now.plan(&back_to(&then)).expect("a plan");
    assert!(codes(&planned, Severity::Info).contains("creates_objects"));
    // Its subsets are created again, too.
    let bare = three();
    let planned = bare.plan(&back_to(&then)).expect("a plan");
    assert_eq!(planned.plan.stages().count(), 2);
    let mut taken = three();
    taken.snapshot.taken.push(sluice::domain::ids::ObjectRef::new(Kind::VirtualService, "shop", "reviews"));
    assert_eq!(outcome(&taken, &back_to(&then)), "refused conflict");
}

#[test]
fn versions_that_are_gone_are_refused() {
    let then = three().with(SUBSETS).with(&http("v1:30 v3:70"));
    let now = reviews().version("v1", 2).version("v2", 2).with(SUBSETS).with(&http("v1:0 v2:100"));
    let refusal = now.plan(&back_to(&then)).expect_err("v3 is gone");
    assert_eq!(refusal.code.as_str(), "unknown_version");
    assert_eq!(refusal.args[0].1, "v3");
    // At 0 % nobody misses it.
    let then = three().with(SUBSETS).with(&http("v1:100 v3:0"));
    check(&now, &then, "http → reviews/v1:100 reviews/v3:0");
}

#[test]
fn subsets_that_were_renamed_are_found_by_their_version() {
    let renamed = SUBSETS.replace("name: v1,", "name: first,").replace("name: v2,", "name: second,");
    let now = three().with(&renamed).with(&http("first:0 second:100"));
    check(&now, &with("v1:30 v2:70"), "http → reviews/first:30 reviews/second:70");
    // Or added when there is none.
    let without = SUBSETS.replace("  - {name: v3, labels: {version: v3}}\n", "");
    let now = three().with(&without).with(&http("v1:100"));
    check(&now, &with("v1:30 v3:70"), "http → reviews/v1:30 reviews/v3:70");
}

#[test]
fn take_over_and_back_is_where_one_was() {
    let worlds = [
        usual(),
        with("v1:30 v2:70"),
        with("v1:3 v2:7"),
        with("-:!"),
        with("-:50 v2:50"),
        ruled(&[("a", "v3:100"), ("b", "v1:20 v2:80")], "v1:90 v2:10"),
        three()
            .with(SUBSETS)
            .ports(&[(9000, sluice::domain::service::Protocol::Tcp)])
            .with(&vs(&format!("  tcp:\n  - route:\n{}", route("v1:100")))),
    ];
    for world in worlds {
        for version in ["v1", "v2", "v3"] {
            let there = after(&world, &take_over(version));
            let back = after(&there, &back_to(&world));
            assert_eq!(
                back.spec(Kind::VirtualService, "reviews"),
                world.spec(Kind::VirtualService, "reviews"),
                "{version}"
            );
            assert_eq!(back.read().fingerprint, world.read().fingerprint);
        }
    }
}

#[test]
fn nothing_delays_the_way_back_but_what_would_break() {
    let then = with("v1:100");
    let now = with("v1:0 v2:100");
    let planned = now.plan(&back_to(&then)).expect("a plan");
    assert_eq!(codes(&planned, Severity::Acknowledge), "");
    let planned = now.clone().ready("v1", 0).plan(&back_to(&then)).expect("a plan");
    assert_eq!(codes(&planned, Severity::Block), "no_ready_pods");
    let owned = ALL_V1.replace(
        "{name: reviews}",
        "{name: reviews, annotations: {argocd.argoproj.io/tracking-id: \"shop:x\"}}",
    );
    let owned = three().with(SUBSETS).with(&owned.replace("subset: v1", "subset: v2"));
    let planned = owned.plan(&back_to(&then)).expect("a plan");
    assert_eq!(codes(&planned, Severity::Acknowledge), "");
    assert!(codes(&planned, Severity::Info).contains("gitops"));
}

#[test]
fn what_is_saved_is_what_was_read() {
    let specs = saved(&usual().snapshot);
    let told: Vec<String> = specs.iter().map(|(at, _)| at.to_string()).collect();
    assert_eq!(told, ["DestinationRule shop/reviews", "VirtualService shop/reviews"]);
    assert_eq!(specs[0].1["subsets"][0]["name"], "v1");
    assert!(saved(&three().snapshot).is_empty());
}

#[test]
fn what_was_strange_then_comes_back_as_it_was_and_is_accepted_first() {
    let podless = SUBSETS.to_owned() + "  - {name: v9, labels: {version: v9}}\n";
    let worlds = [
        ("a subset without pods", three().with(&podless).with(&http("v1:80 v9:20"))),
        ("a subset that nothing defines", three().with(SUBSETS).with(&http("v1:80 v9:20"))),
        ("no subset at all", three().with(&http("v1:80 v9:20"))),
    ];
    for (what, then) in worlds {
        let now = after(&then, &set("v1=45 v2=55"));
        let planned = now.plan(&back_to(&then)).expect(what);
        assert_eq!(codes(&planned, Severity::Block), "", "{what}");
        assert_eq!(codes(&planned, Severity::Acknowledge), "restores_failing", "{what}");
        let back = now.after(&planned);
        let spec = |world: &World| world.spec(Kind::VirtualService, "reviews");
        assert_eq!(spec(&back), spec(&then), "{what}");
        let check = planned.checks.iter().find(|check| check.code.as_str() == "restores_failing").unwrap();
        let args: Vec<&str> = check.args.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(args[1..], ["20", "v9", "503"], "{what}");
    }
    // A definition that went since comes back, too: it held several versions.
    let both = SUBSETS.to_owned() + "  - {name: all, labels: {app: reviews}}\n";
    let then = three().with(&both).with(&http("all:100"));
    let now = three().with(SUBSETS).with(&http("v1:100"));
    let planned = now.plan(&back_to(&then)).expect("a plan");
    let back = now.after(&planned);
    assert_eq!(back.spec(Kind::DestinationRule, "reviews"), then.spec(Kind::DestinationRule, "reviews"));
    assert_eq!(told(&back.spec(Kind::VirtualService, "reviews")), "http → reviews/all:100");
}

/// A rule that says how to connect, and names no subset.
const BARE: &str = "
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  trafficPolicy: {connectionPool: {http: {maxRetries: 1}}}
";

#[test]
fn subsets_that_were_added_since_go_again_after_the_routes() {
    let then = three().with(BARE);
    let now = after(&then, &set("v1=45 v2=55"));
    let rule = ObjectRef::new(Kind::DestinationRule, "shop", "reviews");
    let list = |world: &World| world.spec(Kind::DestinationRule, "reviews")["subsets"].as_array().cloned();
    let added: Vec<(ObjectRef, Value)> =
        list(&now).unwrap().into_iter().map(|subset| (rule.clone(), subset)).collect();
    let planned = now.plan(&back_with(&then, added.clone())).expect("a plan");
    let told: Vec<String> = planned.plan.edits().map(|edit| edit.object.to_string()).collect();
    assert_eq!(told, ["VirtualService shop/reviews", "DestinationRule shop/reviews"]);
    assert!(codes(&planned, Severity::Info).contains("removes_subsets"));
    let back = now.after(&planned);
    assert_eq!(back.spec(Kind::DestinationRule, "reviews"), then.spec(Kind::DestinationRule, "reviews"));
    assert!(back.snapshot.virtual_services.is_empty());
    // One that somebody edited stays, and one that a route of somebody else names.
    let mut edited = now.clone();
    let mut json = edited.json_at(&rule);
    json["spec"]["subsets"][0]["trafficPolicy"] = json!({"loadBalancer": {"simple": "RANDOM"}});
    edited.write(&rule, json);
    let edge = "
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: [shop.example.com]
  gateways: [gw]
  http:
  - route: [{destination: {host: reviews, subset: v1}}]
";
    let used = (now.clone().with(edge), then.clone().with(edge));
    for (what, (now, then)) in [("edited", (edited, then.clone())), ("in use", used)] {
        let planned = now.plan(&back_with(&then, added.clone())).expect(what);
        assert!(codes(&planned, Severity::Info).contains("subset_stays"), "{what}");
        let left = list(&now.after(&planned)).unwrap();
        let names: Vec<&str> = left.iter().map(|subset| subset["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["v1"], "{what}");
    }
    // What Sluice did not add is nobody's to take.
    let planned = now.plan(&back_to(&then)).expect("a plan");
    assert_eq!(list(&now.after(&planned)).unwrap().len(), added.len());
}

#[test]
fn the_copy_of_a_rule_of_several_services_goes_where_that_one_has_what_routes_name() {
    let wide = SUBSETS
        .replace("name: reviews}", "name: wide}")
        .replace("host: reviews", "host: '*.shop.svc.cluster.local'")
        .replace("  - {name: v3, labels: {version: v3}}\n", "");
    let then = three().with(&wide).with(&http("v1:100 v2:0"));
    let now = after(&then, &set("v1=40 v3=60"));
    let planned = now.plan(&back_to(&then)).expect("a plan");
    assert_eq!(gone(&planned), ["DestinationRule shop/reviews"]);
    let back = now.after(&planned);
    assert_eq!(back.spec(Kind::VirtualService, "reviews"), then.spec(Kind::VirtualService, "reviews"));
    assert_eq!(back.read().fingerprint, then.read().fingerprint);
}

#[test]
fn what_another_namespace_sees_keeps_its_name() {
    let narrow = "
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, exportTo: [client], subsets: [{name: v1, labels: {version: v1}}]}
";
    let own = "
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {x: {exact: '1'}}}]
    route: [{destination: {host: reviews, subset: twin}, weight: 1}, {destination: {host: reviews, subset: v3}, weight: 1}]
  - route: [{destination: {host: reviews}}, {destination: {host: reviews, subset: v1}, weight: 10}]
";
    let theirs = "
kind: VirtualService
metadata: {name: theirs, namespace: client}
spec:
  hosts: [reviews.shop.svc.cluster.local]
  exportTo: ['.']
  http: [{route: [{destination: {host: reviews.shop.svc.cluster.local, subset: v1}, weight: 84}]}]
";
    let world = three().with(narrow).with(own).with(theirs);
    let there = world.after(&world.plan(&take_over("v1")).unwrap());
    eprintln!("{}", there.spec(Kind::VirtualService, "theirs"));
    let here = there.after(&there.plan(&back_to(&world)).unwrap());
    assert_eq!(here.spec(Kind::VirtualService, "theirs"), world.spec(Kind::VirtualService, "theirs"));
}
