//! Somebody with kubectl changes or deletes the new version of a release that waits: the release says who and what, and
//! goes on only with an acceptance of exactly that.

use serde_json::json;
use sluice::domain::audit::Action;
use sluice::domain::refusal::Refusal;
use sluice::domain::release::{Command, Happened, PauseReason, Phase, Release, ReleaseId};
use sluice::services::Settings;
use sluice::services::releases::{CommandAsk, ReleaseAsk, ReleaseShow};
use sluice::views::lang::Lang;
use sluice::views::text;
use sluice::web::api::release_shape::Release as Shape;

use super::releases::{by_pods, wish};
use super::releases_back::in_place;
use crate::support::house::{House, anna, at};

const EVIL: &str = "registry.example/evil:666";

fn set_image(house: &House, (kind, namespace, name): (&str, &str, &str), image: &str) {
    house.edit_outside(kind, namespace, name, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    });
}

fn detail(release: &Release) -> Refusal {
    release.state.paused.clone().and_then(|paused| paused.detail).expect("why it stands still")
}

async fn say(
    house: &House,
    id: ReleaseId,
    command: Command,
    ack: &[&str],
    expected: Option<u64>,
) -> Result<Release, Refusal> {
    let ack = ack.iter().map(|code| (*code).to_owned()).collect();
    let ask = CommandAsk { command, ack, expected, reason: "looked at it", request_id: "req" };
    house.services.give_command(&anna(), id, ask).await
}

#[tokio::test]
async fn another_image_of_the_new_version_stops_the_release_and_is_accepted_only_as_it_was_shown() {
    let house = House::alive(None, Settings::default()).await;
    let id = house.start(wish(|_| ())).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    set_image(&house, ("Deployment", "bookinfo", "reviews-v9"), EVIL);
    let paused = house.until_paused(id, PauseReason::Drift).await;
    let why = detail(&paused);
    assert_eq!(why.code.as_str(), "candidate_changed");
    let words = text::refusal(Lang::En, &why).text.to_string();
    let was = "istio/examples-bookinfo-reviews-v9:1";
    let expected = format!(
        "Deployment reviews-v9 runs image {EVIL}, the release was started with {was} (last written by kubectl-edit)."
    );
    assert_eq!(words, expected);
    let shape = serde_json::to_value(Shape::of(Lang::En, &paused)).unwrap();
    assert_eq!(
        (&shape["paused"]["detail"]["text"], &shape["asks"][0]["code"]),
        (&json!(words), &json!("candidate_changed"))
    );
    assert_eq!(house.services.release(&anna(), id).await.unwrap().outside, None, "no route was changed");

    let code = async |command: Command, ack: &[&str], expected: Option<u64>| {
        say(&house, id, command, ack, expected).await.unwrap_err().code.as_str()
    };
    for command in [Command::Promote, Command::PromoteAll, Command::Resume, Command::Retry] {
        assert_eq!(code(command, &[], None).await, "candidate_changed");
    }
    assert_eq!(code(Command::Promote, &["candidate_changed"], None).await, "precondition_required");
    // What was shown is not what is there any more.
    set_image(&house, ("Deployment", "bookinfo", "reviews-v9"), "registry.example/evil:667");
    house
        .until("it is noticed", async |house| {
            detail(&house.phase(id).await).args.iter().any(|(_, value)| value.ends_with(":667")).then_some(())
        })
        .await;
    assert_eq!(code(Command::Promote, &["candidate_changed"], Some(paused.seq)).await, "release_stale");
    assert_eq!(house.weight_of("v9"), 30, "nothing moved");

    house
        .until("its pods run", async |house| {
            let snapshot = house.cache.snapshot(&at("bookinfo", "reviews"))?;
            let version = snapshot.versions.iter().find(|version| version.name.as_str() == "v9")?;
            let calm = house.phase(id).await.state.needs.is_none();
            (calm && version.ready > 0 && version.ready == version.total).then_some(())
        })
        .await;
    let seq = house.phase(id).await.seq;
    say(&house, id, Command::Promote, &["candidate_changed"], Some(seq)).await.unwrap();
    house.until_final(id, Phase::Succeeded).await;
    let history = house.history(&at("bookinfo", "reviews")).await;
    let mut accepted = None;
    for row in history.iter().filter(|row| row.intent.action == Action::Release) {
        let row = house.store.entry(row.id).await.unwrap().unwrap();
        let mark = row.intent.details.release.clone().unwrap();
        if mark.happened.iter().any(|one| matches!(one, Happened::CandidateAccepted { .. })) {
            accepted = Some((row, mark));
        }
    }
    let (row, mark) = accepted.expect("the acceptance is a row");
    assert_eq!(row.intent.details.acknowledged, ["candidate_changed"]);
    assert!(serde_json::to_string(&mark.happened).unwrap().contains("evil:667"));
}

#[tokio::test]
async fn a_version_that_was_adopted_is_watched_from_the_start() {
    let house = House::alive(None, Settings::default()).await;
    let id = house.start(wish(|w| w["candidate"] = json!({"from": "adopt", "version": "v2"}))).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    set_image(&house, ("Deployment", "bookinfo", "reviews-v2"), EVIL);
    let paused = house.until_paused(id, PauseReason::Drift).await;
    assert_eq!(detail(&paused).code.as_str(), "candidate_changed");
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
}

#[tokio::test]
async fn a_new_version_that_is_deleted_at_its_share_is_listed_as_trouble_and_can_only_go_back() {
    let house = House::alive(None, Settings::default()).await;
    let id = house.start(wish(|_| ())).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    house.api.delete("Deployment", "bookinfo", "reviews-v9").unwrap();
    let paused = house.until_paused(id, PauseReason::Drift).await;
    let words = text::refusal(Lang::En, &detail(&paused)).text.to_string();
    assert!(words.contains("Deployment reviews-v9 was deleted") && words.contains("30%"), "{words}");
    let ask = ReleaseAsk { show: ReleaseShow::Attention, ..ReleaseAsk::default() };
    let listed = house.services.releases(&anna(), &ask).await.unwrap();
    assert_eq!(listed.items.iter().map(|release| release.id).collect::<Vec<_>>(), [id]);
    for command in [Command::Promote, Command::PromoteAll, Command::Resume] {
        let refused = say(&house, id, command, &["candidate_changed"], Some(paused.seq)).await.unwrap_err();
        assert_eq!(refused.code.as_str(), "candidate_gone");
    }
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    assert_eq!((house.weight_of("v1"), house.weight_of("v9")), (100, 0));
}

#[tokio::test]
async fn the_pods_of_a_stateful_set_that_are_replaced_in_place_are_watched_too() {
    let house = House::alive(None, Settings::default()).await;
    house.ledger(json!({"type": "RollingUpdate"})).await;
    let id = house
        .start(wish(|w| {
            in_place(w, "v2", "shop/ledger:2");
            w["steps"] = json!([{"kind": "replicas", "candidate": 1}, {"kind": "approval"},
                {"kind": "replicas", "candidate": 3}]);
        }))
        .await
        .id;
    house.until_paused(id, PauseReason::Gate).await;
    set_image(&house, ("StatefulSet", "shop", "ledger"), EVIL);
    let paused = house.until_paused(id, PauseReason::Drift).await;
    let words = text::refusal(Lang::En, &detail(&paused)).text.to_string();
    assert!(words.starts_with(&format!("StatefulSet ledger runs image {EVIL}")), "{words}");
    let refused = say(&house, id, Command::Promote, &[], Some(paused.seq)).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "candidate_changed");
}

#[tokio::test]
async fn a_roll_back_to_pods_says_so_and_about_what_they_get() {
    let house = House::alive(None, Settings::default()).await;
    let id = house.start(wish(|w| w["service"]["name"] = json!("details"))).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    assert!(house.api.get("VirtualService", "bookinfo", "details").is_some());
    house.say(id, Command::Rollback { revision: 0 }).await.unwrap();
    let ended = house.until_final(id, Phase::RolledBack).await;
    assert!(house.api.get("VirtualService", "bookinfo", "details").is_none());
    let snapshot = house.cache.snapshot(&at("bookinfo", "details")).unwrap();
    assert_eq!(Some(ended.state.ended_split.clone()), ended.split_by_pods(&snapshot.versions));
    let shape = serde_json::to_value(Shape::of(Lang::En, &ended)).unwrap();
    assert_eq!((&shape["percent"], &shape["by_pods"]), (&json!(50), &json!(true)));
    assert_eq!(shape["state"], "Rolled back to revision 0: spread by pods, about 50% to v9");
    let page = house.services.timeline(&anna(), id, None, 50).await.unwrap();
    assert!(
        page.iter()
            .flat_map(|entry| &entry.happened)
            .any(|one| matches!(one, Happened::Finished { phase: Phase::RolledBack, revision: Some(0) }))
    );
}

#[tokio::test]
async fn a_roll_back_is_not_offered_where_every_revision_needs_a_version_that_is_gone() {
    let house = House::alive(None, Settings::default()).await;
    let id = house.start(wish(|_| ())).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    let denied = async |house: &House| {
        let detail = house.services.release(&anna(), id).await.unwrap();
        let word = sluice::domain::release::Word::Rollback;
        detail.denied.into_iter().find(|(denied, _)| *denied == word).map(|(_, why)| why.code.as_str())
    };
    assert_eq!(denied(&house).await, None);
    house.api.delete("Deployment", "bookinfo", "reviews-v1").unwrap();
    house
        .until("it is said", async |house| (denied(house).await == Some("unknown_version")).then_some(()))
        .await;
}

#[tokio::test]
async fn what_an_old_version_still_gets_by_its_pods_is_counted_by_them() {
    let house = House::alive(None, Settings::default()).await;
    let id = house
        .start(wish(|w| {
            by_pods(w, json!([{"kind": "replicas", "candidate": 3, "stable": 3}]));
        }))
        .await
        .id;
    house.until_final(id, Phase::Succeeded).await;
    let retire = Command::Retire { confirm: "search stable".into() };
    let needs = match say(&house, id, retire, &["still_answers"], None).await {
        Err(refused) => refused,
        Ok(_) => house.until("it is refused", async |house| house.phase(id).await.state.needs).await,
    };
    assert_eq!(needs.code.as_str(), "still_by_pods");
    let snapshot = house.cache.snapshot(&at("shop", "search")).unwrap();
    let of = |name: &str| {
        let version = snapshot.versions.iter().find(|version| version.name.as_str() == name);
        version.map_or(0, |version| version.ready)
    };
    let all: u32 = snapshot.versions.iter().map(|version| version.ready).sum();
    let expected = (f64::from(of("stable")) * 100.0 / f64::from(all)).round();
    let n = needs.args.iter().find(|(name, _)| name == "n").unwrap().1.parse::<f64>().unwrap();
    assert!(n > 10.0 && (n - expected).abs() < 1.0, "{n} {expected}");
}
