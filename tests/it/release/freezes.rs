//! Freeze windows: what they are, and what a release does in one.

use sluice::domain::release::freeze::Window;
use sluice::domain::release::{Command, PauseReason, Phase, Step, Strategy};
use sluice::release::Event;

use super::model::{Cluster, Dice, Life};

const HOUR_MS: i64 = 3_600_000;

fn ms(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

#[track_caller]
fn ends(window: &str, now: &str, until: Option<&str>) {
    let read = Window::parse(window).unwrap_or_else(|| panic!("{window} cannot be read"));
    assert_eq!(read.until(ms(now)), until.map(ms), "{window} at {now}");
}

#[test]
fn windows_by_day_and_time_or_once() {
    // 2026-11-20 is a Friday.
    ends("fri 16:00-24:00", "2026-11-20T16:00:00Z", Some("2026-11-21T00:00:00Z"));
    ends("fri 16:00-24:00", "2026-11-20T15:59:59Z", None);
    ends("fri 16:00-24:00", "2026-11-21T00:00:00Z", None);
    ends("fri 22:00-06:00", "2026-11-21T05:59:59Z", Some("2026-11-21T06:00:00Z"));
    ends("fri 22:00-06:00", "2026-11-20T05:00:00Z", None);
    ends("sat-mon 00:00-24:00", "2026-11-23T12:00:00Z", Some("2026-11-24T00:00:00Z"));
    ends("sat-mon 00:00-24:00", "2026-11-24T12:00:00Z", None);
    ends("Daily 11:30-13:00", "2026-11-24T12:00:00Z", Some("2026-11-24T13:00:00Z"));
    let holidays = "2026-12-23T18:00Z/2027-01-02T06:00Z";
    ends(holidays, "2026-12-31T23:59:59Z", Some("2027-01-02T06:00:00Z"));
    ends(holidays, "2027-01-02T06:00:00Z", None);
    for bad in [
        "",
        "fri",
        "fri 16:00",
        "fri 16:00-16:00",
        "fri 24:00-06:00",
        "xyz 01:00-02:00",
        "fri 1:00-2:00",
        "fri 25:00-26:00",
        "fri 10:60-11:00",
        "2027-01-02T06:00Z/2026-12-23T18:00Z",
        "a/b",
        "fri,, 01:00-02:00",
    ] {
        assert_eq!(Window::parse(bad), None, "{bad}");
    }
}

/// A release that wants to go from 10 to 100 % after a minute's hold, started at noon of a Friday.
fn noon(freeze: &str) -> (Life, Cluster, Dice) {
    let steps = vec![Step::Weight { percent: 10 }, Step::Hold { seconds: 60 }, Step::Weight { percent: 100 }];
    let mut spec = super::spec(Strategy::Canary, steps);
    spec.policies.freeze = vec![freeze.to_owned()];
    let mut life = Life::new(spec);
    life.now_ms = ms("2026-11-20T12:00:00Z");
    life.see(Event::Told { command: Command::Start, by: "amy".into() });
    let (mut cluster, mut dice) = (Cluster::new(), Dice(23));
    for _ in 0..90 {
        turn(&mut life, &mut cluster, &mut dice, 1_000);
    }
    (life, cluster, dice)
}

fn turn(life: &mut Life, cluster: &mut Cluster, dice: &mut Dice, ms: i64) {
    life.now_ms += ms;
    cluster.breathe();
    life.see(Event::World(cluster.world()));
    life.drive(cluster, dice, true);
}

#[test]
fn in_a_window_it_waits_and_goes_on_by_itself_when_it_ends() {
    // What holds goes on holding; the next step does not begin.
    let (mut life, mut cluster, mut dice) = noon("fri 12:01-18:00");
    assert_eq!((life.state.phase, life.state.step), (Phase::Paused, 2));
    assert_eq!(life.state.pause_reason(), Some(PauseReason::FreezeWindow));
    assert_eq!(life.state.due_ms, Some(ms("2026-11-20T18:00:00Z")));
    assert_eq!(cluster.weights, Some((10, 90)));
    life.now_ms = ms("2026-11-20T17:59:59Z");
    turn(&mut life, &mut cluster, &mut dice, 0);
    assert_eq!(cluster.weights, Some((10, 90)));
    for _ in 0..20 {
        turn(&mut life, &mut cluster, &mut dice, 1_000);
    }
    assert_eq!((life.state.phase, cluster.weights), (Phase::Succeeded, Some((100, 0))));
}

#[test]
fn a_person_lets_it_on_and_the_way_back_is_always_open() {
    let (mut life, mut cluster, mut dice) = noon("daily 00:00-24:00");
    assert_eq!((life.state.phase, cluster.made), (Phase::Paused, 0), "not even a pod is made");
    life.see(Event::Told { command: Command::Resume, by: "amy".into() });
    for _ in 0..20 {
        turn(&mut life, &mut cluster, &mut dice, 1_000);
    }
    assert_eq!((life.state.phase, life.state.step), (Phase::Running, 1));
    // Until midnight: the next day's window is another one.
    life.now_ms += 13 * HOUR_MS;
    turn(&mut life, &mut cluster, &mut dice, 0);
    turn(&mut life, &mut cluster, &mut dice, 0);
    assert_eq!(life.state.pause_reason(), Some(PauseReason::FreezeWindow), "{:?}", life.state);
    life.see(Event::Told { command: Command::Abort, by: "amy".into() });
    for _ in 0..20 {
        turn(&mut life, &mut cluster, &mut dice, 1_000);
    }
    assert_eq!((life.state.phase, cluster.weights), (Phase::RolledBack, Some((0, 100))));
}
