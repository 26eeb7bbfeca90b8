//! A lane: one version gets the requests that fulfil its conditions, on every route that chooses among versions,
//! and they are treated as that route treats everybody else's.

use serde_json::{Value, json};
use sluice::domain::command::{Command, Lane, TrafficChange};
use sluice::domain::ids::Kind;
use sluice::domain::routing::{Condition, Op, Subject};

use super::support::{SUBSETS, World, split, three, usual, vs};

fn lane(when: &[(Subject, &str)]) -> Command {
    let when = when
        .iter()
        .map(|(on, value)| vec![Condition { on: on.clone(), op: Op::Exact, value: (*value).to_owned() }])
        .collect();
    let lane = Lane { name: "r-7".to_owned(), when, to: "v2".into() };
    Command::Set(TrafficChange {
        weights: Some(split("v1=100 v2=0")),
        lane: Some(lane),
        ..TrafficChange::default()
    })
}

fn jason() -> Command {
    lane(&[(Subject::Header("end-user".to_owned()), "jason")])
}

/// A path with a rewrite and a time-out of its own, a redirect, another host, then everything to v1.
fn paths() -> World {
    three().with(SUBSETS).with(&vs("  http:
  - name: api
    match: [{uri: {prefix: /api/}, port: 9080}, {uri: {exact: /api}}]
    rewrite: {uri: /}
    timeout: 3s
    retries: {attempts: 4}
    headers: {request: {set: {x-a: b}}}
    route: [{destination: {host: reviews, subset: v1, port: {number: 9080}}}]
  - name: old
    match: [{uri: {prefix: /old}}]
    redirect: {uri: /new}
  - name: legacy
    match: [{uri: {prefix: /legacy}}]
    route: [{destination: {host: legacy}}]
  - timeout: 5s
    route: [{destination: {host: reviews, subset: v1}}]
"))
}

fn http(world: &World, command: &Command) -> (World, Vec<Value>) {
    let after = world.after(&world.plan(command).expect("a plan"));
    let list = after.spec(Kind::VirtualService, "reviews")["http"].as_array().unwrap().clone();
    (after, list)
}

#[test]
fn each_route_that_chooses_among_versions_gets_a_rule_that_keeps_what_the_route_does() {
    let (_, list) = http(&paths(), &jason());
    let names: Vec<&str> = list.iter().map(|route| route["name"].as_str().unwrap_or("-")).collect();
    assert_eq!(names, ["r-7", "api", "old", "legacy", "r-7-2", "-"]);
    assert_eq!(
        list[0],
        json!({
            "name": "r-7",
            "match": [
                {"uri": {"prefix": "/api/"}, "port": 9080, "headers": {"end-user": {"exact": "jason"}}},
                {"uri": {"exact": "/api"}, "headers": {"end-user": {"exact": "jason"}}},
            ],
            "rewrite": {"uri": "/"},
            "timeout": "3s",
            "retries": {"attempts": 4},
            "headers": {"request": {"set": {"x-a": "b"}}},
            "route": [{"destination": {"host": "reviews", "subset": "v2", "port": {"number": 9080}}, "weight": 100}],
        })
    );
    assert_eq!(list[4]["match"], json!([{"headers": {"end-user": {"exact": "jason"}}}]));
    assert_eq!(list[4]["timeout"], "5s");
    assert_eq!(list[2]["redirect"], json!({"uri": "/new"}), "a redirect stays a redirect for everybody");
}

#[test]
fn the_same_again_changes_nothing_and_what_somebody_added_stays() {
    let (mut after, list) = http(&paths(), &jason());
    assert!(after.plan(&jason()).expect("a plan").plan.is_empty());
    let held = &after.snapshot.virtual_services[0];
    let (at, mut json) = (held.object.at(Kind::VirtualService), (**held.json.as_ref().unwrap()).clone());
    json["spec"]["http"][0]["corsPolicy"] = json!({"allowOrigins": [{"exact": "*"}]});
    after.write(&at, json.clone());
    assert!(after.plan(&jason()).expect("a plan").plan.is_empty());
    let other = lane(&[(Subject::Header("end-user".to_owned()), "mara")]);
    let (_, changed) = http(&after, &other);
    assert_eq!(changed.len(), list.len());
    assert_eq!(changed[0]["match"][1]["headers"]["end-user"]["exact"], "mara");
}

#[test]
fn a_lane_without_conditions_takes_its_rules_away_and_nothing_else() {
    let before = paths();
    let (after, _) = http(&before, &jason());
    let none = Lane { name: "r-7".to_owned(), when: Vec::new(), to: "v2".into() };
    let command = Command::Set(TrafficChange { lane: Some(none), ..TrafficChange::default() });
    let (_, list) = http(&after, &command);
    let was = before.spec(Kind::VirtualService, "reviews")["http"].clone();
    assert_eq!(&list, was.as_array().unwrap());
}

#[test]
fn only_names_of_the_lane_are_the_lanes() {
    let lane = Lane { name: "r-7".to_owned(), when: Vec::new(), to: "v2".into() };
    for (name, owned) in [
        ("r-7", true),
        ("r-7-2", true),
        ("r-7-", false),
        ("r-77", false),
        ("r-7-b", false),
        ("r-70-2", false),
    ] {
        assert_eq!(lane.owns(Some(name)), owned, "{name}");
    }
    assert!(!lane.owns(None));
}

#[test]
fn a_condition_that_a_route_states_already_is_refused_with_the_route_named() {
    let path = lane(&[(Subject::Path, "/x")]);
    let refusal = paths().plan(&path).expect_err("two paths in one match");
    assert_eq!(refusal.code.as_str(), "lane_overlap");
    assert!(refusal.args.iter().any(|(key, value)| key == "n" && value == "api"), "{refusal:?}");
    let (_, list) = http(&usual(), &path);
    assert_eq!(list[0]["match"], json!([{"uri": {"exact": "/x"}}]));
}

#[test]
fn where_nothing_exists_the_lane_is_written_into_what_is_created() {
    let (after, list) = {
        let world = three();
        let after = world.after(&world.plan(&jason()).expect("a plan"));
        let at = after.snapshot.virtual_services[0].object.at(Kind::VirtualService);
        let list = after.spec_at(&at)["http"].as_array().unwrap().clone();
        (after, list)
    };
    assert_eq!(list[0]["name"], "r-7");
    assert_eq!(list[0]["match"][0]["headers"]["end-user"]["exact"], "jason");
    assert!(after.plan(&jason()).expect("the same").plan.is_empty());
}
