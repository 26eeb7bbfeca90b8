//! A version whose share is 0 and that requests reach all the same: a person and a release are asked before it goes.

use serde_json::{Value, json};
use sluice::domain::ids::VersionName;
use sluice::domain::refusal::{Check, Code, Severity};
use sluice::domain::release::{Command, Phase};
use sluice::services::Settings;
use sluice::services::ask::Wish;

use super::releases::wish;
use crate::support::house::{House, anna, at};

fn retire(version: &str) -> Wish {
    Wish::Retire(VersionName::from(version))
}

fn there(house: &House, name: &str) -> bool {
    house.api.get("Deployment", "bookinfo", name).is_some()
}

fn service(name: &str, selector: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "bookinfo"},
        "spec": {"selector": selector, "ports": [{"name": "http", "port": 9080, "protocol": "TCP"}]}})
}

fn says(checks: &[Check], code: Code, object: &str) -> bool {
    checks.iter().any(|check| {
        let named =
            object.is_empty() || check.args.iter().any(|(name, value)| name == "object" && value == object);
        check.code == code && check.severity == Severity::Acknowledge && named
    })
}

/// What the page says before, and what is refused; then it is accepted, and the version goes.
async fn asked(house: &House, version: &str, expected: &[(Code, &str)]) {
    let reviews = at("bookinfo", "reviews");
    let page = house
        .until("the page says it", async |house| {
            let detail = house.services.detail(&anna(), &reviews, 60).await.unwrap();
            let found = detail.retire.into_iter().find(|one| one.version.as_str() == version)?;
            expected.iter().all(|(code, object)| says(&found.open, *code, object)).then_some(found)
        })
        .await;
    assert!(page.state.is_ok(), "only acceptances are missing: {:?}", page.state);
    let preview = house.services.preview(&anna(), &reviews, &retire(version), &[]).await.unwrap();
    let refused = house.change(retire(version), &reviews, &[]).await.unwrap_err().refusal;
    for (code, object) in expected {
        for (place, checks) in
            [("page", &page.open), ("dialog", &preview.checks), ("refusal", &refused.checks)]
        {
            assert!(says(checks, *code, object), "{place} lacks {code:?} {object}: {checks:?}");
        }
    }
    assert!(there(house, &format!("reviews-{version}")));
    let ack: Vec<&str> = expected.iter().map(|(code, _)| code.as_str()).collect();
    house.change(retire(version), &reviews, &ack).await.unwrap();
    assert!(!there(house, &format!("reviews-{version}")));
}

async fn beside(house: &House, name: &str, selector: Value, pods: u32) {
    house.api.put_as(service(name, &selector), "kubectl").unwrap();
    let ready = async |house: &House| {
        let snapshot = house.cache.snapshot(&at("bookinfo", name))?;
        (snapshot.versions.iter().map(|version| version.ready).sum::<u32>() >= pods).then_some(())
    };
    house.until("its pods are ready", ready).await;
}

#[tokio::test]
async fn a_service_that_would_lose_all_its_pods_is_named_before_a_person_retires_the_version() {
    let house = House::alive(None, Settings::default()).await;
    beside(&house, "reviews-old", json!({"app": "reviews", "version": "v3"}), 1).await;
    beside(&house, "reviews-all", json!({"app": "reviews"}), 3).await;
    beside(&house, "reviews-one", json!({"app": "reviews", "version": "v1"}), 1).await;
    let expected =
        [(Code::OtherServiceEmptied, "Service reviews-old"), (Code::OtherServiceUses, "Service reviews-all")];
    let preview =
        house.services.preview(&anna(), &at("bookinfo", "reviews"), &retire("v3"), &[]).await.unwrap();
    assert!(!preview.checks.iter().any(|check| format!("{check:?}").contains("reviews-one")), "not its pods");
    asked(&house, "v3", &expected).await;
}

#[tokio::test]
async fn a_service_on_a_label_of_one_workload_only_is_named_too() {
    let house = House::alive(None, Settings::default()).await;
    let mut extra = house.api.get("Deployment", "bookinfo", "reviews-v3").unwrap();
    extra["metadata"] = json!({"name": "reviews-v3-extra", "namespace": "bookinfo"});
    extra.as_object_mut().unwrap().remove("status");
    for pointer in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
        extra.pointer_mut(pointer).unwrap()["track"] = json!("x");
    }
    house.api.put_as(extra, "kubectl").unwrap();
    beside(&house, "tracked", json!({"track": "x"}), 1).await;
    asked(&house, "v3", &[(Code::OtherServiceEmptied, "Service tracked")]).await;
    assert!(!there(&house, "reviews-v3-extra"));
}

#[tokio::test]
async fn a_port_without_a_route_is_named_before_its_pods_go() {
    // No proxy splits UDP, so such a port has never a route.
    for (name, protocol) in [("tcp-x", "TCP"), ("dns", "UDP")] {
        let house = House::alive(None, Settings::default()).await;
        house.edit_outside("Service", "bookinfo", "reviews", |object| {
            let port = json!({"name": name, "port": 9181, "protocol": protocol});
            object["spec"]["ports"].as_array_mut().unwrap().push(port);
        });
        let reviews = at("bookinfo", "reviews");
        let known = async |house: &House| {
            house.cache.snapshot(&reviews).filter(|snapshot| snapshot.service.ports.len() > 1).map(|_| ())
        };
        house.until("the port is known", known).await;
        asked(&house, "v3", &[(Code::ReachedByPort, "")]).await;
    }
}

#[tokio::test]
async fn callers_for_whom_the_split_does_not_hold_are_named_before_their_pods_go() {
    for (edit, code) in [
        (json!({"gateways": ["bookinfo/bookinfo-gateway"]}), Code::ReachedInMesh),
        (json!({"exportTo": ["."]}), Code::ReachedElsewhere),
    ] {
        let house = House::alive(None, Settings::default()).await;
        house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
            for (key, value) in edit.as_object().unwrap() {
                object["spec"][key] = value.clone();
            }
        });
        asked(&house, "v3", &[(code, "")]).await;
    }
}

#[tokio::test]
async fn a_version_in_a_destination_with_others_has_their_share() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    for to in [json!({"host": "reviews", "subset": "both"}), json!({"host": "reviews"})] {
        house.edit_outside("DestinationRule", "bookinfo", "reviews", |object| {
            let both = json!({"name": "both", "labels": {"app": "reviews"}});
            let subsets = object["spec"]["subsets"].as_array_mut().unwrap();
            if !subsets.iter().any(|one| one["name"] == "both") {
                subsets.push(both);
            }
        });
        house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
            object["spec"]["http"] = json!([{"route": [{"destination": to, "weight": 90},
                {"destination": {"host": "reviews", "subset": "v2"}, "weight": 10}]}]);
        });
        for version in ["v1", "v3"] {
            let refused = house.change(retire(version), &reviews, &[]).await.unwrap_err().refusal;
            assert_eq!(refused.code, Code::StillServing, "{version} {to}");
        }
    }
}

#[tokio::test]
async fn a_release_asks_the_same_before_it_retires_the_version_it_left() {
    let house = House::alive(None, Settings::default()).await;
    let id = house.start(wish(|w| w["steps"] = json!([{"kind": "weight", "percent": 100}]))).await.id;
    house.until_final(id, Phase::Succeeded).await;
    beside(&house, "reviews-old", json!({"app": "reviews", "version": "v1"}), 1).await;
    beside(&house, "reviews-all", json!({"app": "reviews"}), 3).await;
    let page = house.services.release(&anna(), id).await.unwrap();
    let (_, open) = page.reached.iter().find(|(version, _)| version.as_str() == "v1").unwrap();
    let retire = Command::Retire { confirm: "reviews v1".into() };
    let ask = |ack: &[&str]| sluice::services::releases::CommandAsk {
        command: retire.clone(),
        ack: ack.iter().map(|code| (*code).to_owned()).collect(),
        expected: None,
        reason: "old",
        request_id: "r",
    };
    let one = ["other_service_emptied"];
    for ack in [&[][..], &one[..]] {
        let refused = house.services.give_command(&anna(), id, ask(ack)).await.unwrap_err();
        for checks in [open, &refused.checks] {
            assert!(says(checks, Code::OtherServiceEmptied, "Service reviews-old"), "{checks:?}");
            assert!(says(checks, Code::OtherServiceUses, "Service reviews-all"), "{checks:?}");
        }
    }
    assert!(there(&house, "reviews-v1"));
    house
        .services
        .give_command(&anna(), id, ask(&["other_service_emptied", "other_service_uses"]))
        .await
        .unwrap();
    house.until("it is gone", async |house| (!there(house, "reviews-v1")).then_some(())).await;
}

/// Another Service of the same pods, whose own routing gives them these weights.
async fn routed_beside(house: &House, weights: &[(&str, u8)]) {
    beside(house, "reviews-b", json!({"app": "reviews"}), 3).await;
    let subset = |name: &str| json!({"name": name, "labels": {"version": name}});
    let subsets: Vec<Value> = weights.iter().map(|(name, _)| subset(name)).collect();
    let to = |(name, weight): &(&str, u8)| json!({"destination": {"host": "reviews-b", "subset": name}, "weight": weight});
    let route: Vec<Value> = weights.iter().map(to).collect();
    let version = "networking.istio.io/v1";
    let metadata = json!({"name": "reviews-b", "namespace": "bookinfo"});
    for object in [
        json!({"apiVersion": version, "kind": "DestinationRule", "metadata": metadata,
            "spec": {"host": "reviews-b", "subsets": subsets}}),
        json!({"apiVersion": version, "kind": "VirtualService", "metadata": metadata,
            "spec": {"hosts": ["reviews-b"], "http": [{"route": route}]}}),
    ] {
        house.api.put_as(object, "kubectl").unwrap();
    }
    house
        .until("its routing is read", async |house| {
            let snapshot = house.cache.snapshot(&at("bookinfo", "reviews-b"))?;
            sluice::routing::read(&snapshot).declared().map(|_| ())
        })
        .await;
}

#[tokio::test]
async fn what_another_service_sends_by_its_own_routing_counts_and_not_its_pods() {
    let house = House::alive(None, Settings::default()).await;
    routed_beside(&house, &[("v1", 40), ("v3", 60)]).await;
    let preview =
        house.services.preview(&anna(), &at("bookinfo", "reviews"), &retire("v3"), &[]).await.unwrap();
    let of = |code: Code| preview.checks.iter().find(|check| check.code == code);
    let sends = of(Code::OtherServiceSends).expect("the check");
    assert!(sends.args.iter().any(|(name, value)| *name == "n" && value == "60"), "{sends:?}");
    assert!(of(Code::OtherServiceUses).is_none(), "pods take over nothing there");
    asked(&house, "v3", &[(Code::OtherServiceSends, "Service reviews-b")]).await;
}

#[tokio::test]
async fn another_service_that_sends_nothing_to_a_version_asks_for_nothing() {
    let house = House::alive(None, Settings::default()).await;
    routed_beside(&house, &[("v1", 100), ("v3", 0)]).await;
    let preview =
        house.services.preview(&anna(), &at("bookinfo", "reviews"), &retire("v3"), &[]).await.unwrap();
    assert!(!format!("{:?}", preview.checks).contains("reviews-b"), "{:?}", preview.checks);
}

#[tokio::test]
async fn an_abort_leaves_the_version_that_another_service_sends_requests_to() {
    for emptied in [true, false] {
        let house = House::alive(None, Settings::default()).await;
        let id = house.start(wish(|w| w["policies"] = json!({"delete_after_abort": true}))).await.id;
        house.until_paused(id, sluice::domain::release::PauseReason::Gate).await;
        let (name, code) = if emptied {
            beside(&house, "reviews-new", json!({"app": "reviews", "version": "v9"}), 1).await;
            ("reviews-new", "other_service_emptied")
        } else {
            routed_beside(&house, &[("v1", 0), ("v9", 100)]).await;
            ("reviews-b", "other_service_sends")
        };
        house.say(id, Command::Abort).await.unwrap();
        let state = house.until_final(id, Phase::RolledBack).await.state;
        assert!(there(&house, "reviews-v9"), "{name} still needs it");
        let needs = state.needs.expect("the release says so");
        assert_eq!(needs.code, Code::CandidateKept);
        assert!(needs.args.iter().any(|(_, value)| value.contains(&format!("Service {name}"))), "{needs:?}");
        // By hand, and accepted, it goes.
        let delete = Command::DeleteVersion { confirm: "reviews v9".into() };
        let ask = |ack: &[&str]| sluice::services::releases::CommandAsk {
            command: delete.clone(),
            ack: ack.iter().map(|code| (*code).to_owned()).collect(),
            expected: None,
            reason: "old",
            request_id: "r",
        };
        let refused = house.services.give_command(&anna(), id, ask(&[])).await.unwrap_err();
        assert!(refused.checks.iter().any(|check| check.code.as_str() == code), "{refused:?}");
        house.services.give_command(&anna(), id, ask(&[code, "still_answers"])).await.unwrap();
        house.until("it is gone", async |house| (!there(house, "reviews-v9")).then_some(())).await;
    }
}
