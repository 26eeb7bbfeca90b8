//! A mirror that a service had before a release: the plan says that the release takes it away, and an abort gives it
//! back as a switch back does, unless somebody else changed it since.

use serde_json::{Value, json};
use sluice::domain::command::{MirrorWish, TrafficChange};
use sluice::domain::ids::VersionName;
use sluice::domain::release::{Command, PauseReason, Phase};
use sluice::domain::split::Split;
use sluice::services::Settings;
use sluice::services::ask::Wish;

use super::releases::wish;
use crate::support::house::{House, anna, at};

impl House {
    /// All requests to `v1` of `bookinfo/reviews`, and copies of some to a version.
    async fn mirrored(&self, version: &str, percent: f64) {
        let before = TrafficChange {
            weights: Some(Split::all_to(VersionName::from("v1"))),
            mirror: Some(Some(MirrorWish { version: version.into(), percent })),
            ..TrafficChange::default()
        };
        let accepted = ["big_jump", "few_pods", "mirror_writes"];
        self.change(Wish::Set(before), &at("bookinfo", "reviews"), &accepted).await.unwrap();
    }

    /// The version that gets copies now, and its share.
    fn copies(&self) -> (Value, Value) {
        let object = self.api.get("VirtualService", "bookinfo", "reviews").unwrap();
        let last = object["spec"]["http"].as_array().unwrap().last().unwrap().clone();
        (last["mirror"]["subset"].clone(), last["mirrorPercentage"]["value"].clone())
    }
}

fn ab_test(w: &mut Value) {
    let when = json!([[{"on": {"in": "header", "name": "end-user"}, "op": "exact", "value": "jason"}]]);
    w["candidate"] = json!({"from": "adopt", "version": "v2"});
    w["strategy"] = json!("ab_test");
    w["steps"] =
        json!([{"kind": "rules", "when": when}, {"kind": "approval"}, {"kind": "weight", "percent": 100}]);
}

fn mirroring(w: &mut Value) {
    w["candidate"] = json!({"from": "adopt", "version": "v2"});
    w["strategy"] = json!("mirror");
    w["steps"] = json!([{"kind": "mirror", "percent": 10}, {"kind": "approval"}, {"kind": "mirror", "percent": 0},
        {"kind": "weight", "percent": 100}]);
}

/// How a wish gets its steps.
type Steps = fn(&mut Value);

#[tokio::test]
async fn an_abort_gives_a_mirror_back_that_the_release_took_away() {
    let none = (Value::Null, Value::Null);
    let own = (json!("v2"), json!(10));
    let cases: [(Steps, &str, &str, &(Value, Value)); 3] = [
        (ab_test, "v2", "mirror_ends", &none),
        (mirroring, "v2", "mirror_ends", &own),
        (mirroring, "v3", "mirror_replaced", &own),
    ];
    for (steps, to, code, during) in cases {
        let house = House::alive(None, Settings::default()).await;
        house.mirrored(to, 50.0).await;
        let plan = house.services.plan_release(&anna(), &wish(steps)).await.unwrap();
        let said: Vec<&str> = plan.checks.iter().map(|check| check.code.as_str()).collect();
        assert!(said.contains(&code), "{said:?}");
        let id = house.start(wish(steps)).await.id;
        house.until_paused(id, PauseReason::Gate).await;
        assert_eq!(&house.copies(), during, "{to}");
        let back = house.services.mirror_back(&anna(), id).await.unwrap();
        assert_eq!(back, Some(MirrorWish { version: to.into(), percent: 50.0 }));
        house.say(id, Command::Abort).await.unwrap();
        let ended = house.until_final(id, Phase::RolledBack).await;
        assert_eq!(ended.state.needs, None);
        assert_eq!(house.copies(), (json!(to), json!(50)));
        assert_eq!((house.weight_of("v1"), house.weight_of("v2")), (100, 0));
    }
}

#[tokio::test]
async fn an_abort_leaves_a_mirror_alone_that_somebody_else_changed_since() {
    let house = House::alive(None, Settings::default()).await;
    house.mirrored("v2", 50.0).await;
    let id = house.start(wish(ab_test)).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        let routes = object["spec"]["http"].as_array_mut().unwrap();
        let last = routes.last_mut().unwrap();
        last["mirror"] = json!({"host": "reviews", "subset": "v3"});
        last["mirrorPercentage"] = json!({"value": 5});
    });
    house.until_paused(id, PauseReason::Drift).await;
    assert_eq!(house.services.mirror_back(&anna(), id).await.unwrap(), None);
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    assert_eq!(house.copies(), (json!("v3"), json!(5)));
}

#[tokio::test]
async fn a_service_without_a_mirror_has_none_after_an_abort() {
    let house = House::alive(None, Settings::default()).await;
    let plan = house.services.plan_release(&anna(), &wish(mirroring)).await.unwrap();
    assert!(!plan.checks.iter().any(|check| check.code.as_str().starts_with("mirror_")), "{:?}", plan.checks);
    let id = house.start(wish(mirroring)).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    assert_eq!(house.copies(), (json!("v2"), json!(10)));
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    assert_eq!(house.copies(), (Value::Null, Value::Null));
}
