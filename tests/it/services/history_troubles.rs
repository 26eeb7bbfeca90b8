//! The history cannot be written while changes and releases are under way: nothing is changed that is not
//! recorded, releases wait and count no failed attempt, and everything goes on by itself afterwards.

use std::time::Duration;

use serde_json::json;
use sluice::demo::api::{On, Times, Trouble, Verb};
use sluice::domain::audit::{Action, Ending};
use sluice::domain::refusal::Code;
use sluice::domain::release::{Command, Phase};
use sluice::store::Revise;

use super::releases::wish;
use crate::support::house::{House, at, weights};
use crate::support::tmpfs::Tmpfs;

impl House {
    /// Writes rows about another service until the disk is full.
    async fn fill_history(&self) {
        for number in 0..20_000 {
            let intent = crate::store::intent(number);
            let outcome = crate::store::outcome(number, Ending::Refused);
            if self.store.single(&intent, &outcome, Revise::Keep).await.is_err() {
                return;
            }
        }
        panic!("the disk is not full");
    }

    fn wrong(&self) -> Vec<Code> {
        let notices = self.services.ready().err().unwrap_or_default();
        notices.into_iter().map(|notice| notice.code).filter(|code| code.is_history()).collect()
    }

    async fn until_writable(&self) {
        self.until("the history can be written again", async |house| house.services.ready().ok()).await;
    }
}

#[tokio::test]
async fn a_full_disk_stops_changes_and_releases_and_both_go_on() {
    let name = "services::history_troubles::a_full_disk_stops_changes_and_releases_and_both_go_on";
    let Some(disk) = Tmpfs::mount("12m", name) else { return };
    let house = House::in_folder(disk.path().to_owned()).await;
    let spec = wish(|w| {
        w["candidate"] = json!({"from": "adopt", "version": "v2"});
        w["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "hold", "seconds": 2},
            {"kind": "weight", "percent": 60}, {"kind": "hold", "seconds": 600},
            {"kind": "weight", "percent": 100}]);
    });
    let id = house.start(spec).await.id;
    house.until("it holds", async |house| (house.phase(id).await.state.step == 1).then_some(())).await;
    disk.fill();
    house.fill_history().await;
    assert_eq!(house.wrong(), [Code::HistoryDiskFull]);
    for command in [Command::Pause, Command::Abort] {
        let refused = house.say(id, command).await.unwrap_err();
        assert_eq!(refused.code, Code::HistoryDiskFull);
    }
    let before = house.written("bookinfo", "ratings", 0);
    let ratings = at("bookinfo", "ratings");
    let refused = house.change(weights(&[("v1", 70), ("v2", 30)]), &ratings, &[]).await.unwrap_err();
    assert_eq!((refused.refusal.code, refused.ending), (Code::HistoryDiskFull, Ending::Refused));
    assert_eq!(house.written("bookinfo", "ratings", 0), before, "nothing that is not recorded");
    // Its time comes while nothing can be written: it is asked several times, and waits.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(house.wrong(), [Code::HistoryDiskFull]);
    let waiting = house.phase(id).await.state;
    assert_eq!((waiting.phase, waiting.step), (Phase::Running, 1), "{waiting:?}");

    disk.free();
    house.until_writable().await;
    house.until("it goes on", async |house| (house.phase(id).await.state.step == 3).then_some(())).await;
    let paused = house.say(id, Command::Pause).await.unwrap();
    assert_eq!(paused.state.phase, Phase::Paused);
    house.say(id, Command::Resume).await.unwrap();
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    house.change(weights(&[("v1", 70), ("v2", 30)]), &ratings, &[]).await.unwrap();
    assert_eq!(house.store.open_intents().await.unwrap(), []);
    let report = sluice::store::verify::verify(&house.history_file(), None).await.unwrap();
    assert!(report.is_good(), "{report}");
}

/// The cluster took a change, and then its outcome could not be recorded.
#[tokio::test]
async fn an_outcome_that_could_not_be_recorded_is_recorded_later_without_a_restart() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let write = On::verb(Verb::Update).of("virtualservices").real_writes();
    house.api.trouble(write, Trouble::Delay(Duration::from_secs(1)), Times::Next(1));
    let (file, away) = (house.history_file(), house.history_file().with_extension("away"));
    let lost = async {
        let put = |house: &House| {
            house.api.log().iter().any(|line| line.method == "PUT" && !line.query.contains("dryRun"))
        };
        house.until("the write is under way", async |house| put(house).then_some(())).await;
        std::fs::rename(&file, &away).unwrap();
    };
    let change = house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[]);
    let (refused, ()) = tokio::join!(change, lost);
    let refused = refused.unwrap_err();
    assert_eq!((refused.refusal.code, refused.ending), (Code::HistoryGone, Ending::Unknown));
    assert_eq!(house.written("bookinfo", "reviews", 0)[0].1, 90, "the cluster has it");
    assert_eq!(house.wrong(), [Code::HistoryGone]);
    std::fs::rename(&away, &file).unwrap();
    house.until_writable().await;
    house
        .until("its outcome is recorded", async |house| {
            house.store.open_intents().await.unwrap().is_empty().then_some(())
        })
        .await;
    let entries = house.history(&reviews).await;
    let outcome = entries[0].outcome.clone().unwrap();
    assert_eq!((outcome.ending, outcome.revision), (Ending::Applied, Some(1)), "{entries:?}");
    assert!(entries.iter().all(|entry| entry.intent.action != Action::OutsideEdit), "{entries:?}");
    house.change(weights(&[("v1", 80), ("v2", 20)]), &reviews, &[]).await.unwrap();
}
