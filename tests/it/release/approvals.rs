//! Four eyes to the end: an approval is for what was approved, and never one's own.

use sluice::domain::actor::{Person, PersonKind};
use sluice::domain::refusal::Code;
use sluice::domain::release::{Command, PauseReason, Phase, Spec, Step, Strategy};
use sluice::release::{Event, Transition};

use super::model::{Cluster, Dice, Life};

const AMY: &str = "amy";
const BOB: &str = "bob";

fn spec() -> Spec {
    let steps = vec![
        Step::Weight { percent: 10 },
        Step::Hold { seconds: 600 },
        Step::Approval,
        Step::Weight { percent: 100 },
    ];
    let mut spec = super::spec(Strategy::Canary, steps);
    spec.policies.second_person = true;
    spec
}

struct Release {
    life: Life,
    cluster: Cluster,
    dice: Dice,
}

impl Release {
    fn new(spec: Spec) -> Self {
        Self { life: Life::new(spec), cluster: Cluster::new(), dice: Dice(5) }
    }

    fn say(&mut self, by: &str, command: Command) -> Transition {
        self.life.see(Event::Told { command, by: by.into() })
    }

    #[track_caller]
    fn refused(&mut self, by: &str, command: Command) {
        let before = self.life.state.clone();
        let out = self.say(by, command.clone());
        let code = out.refusal.map(|refusal| refusal.code);
        assert_eq!(code, Some(Code::SecondPerson), "{by} {command:?} in {:?}", before.phase);
        assert_eq!(self.life.state, before);
    }

    #[track_caller]
    fn taken(&mut self, by: &str, command: Command) {
        let out = self.say(by, command.clone());
        assert_eq!(out.refusal, None, "{by} {command:?}");
    }

    /// Drives it until something is so.
    #[track_caller]
    fn until(&mut self, is: impl Fn(&Life) -> bool) {
        for _ in 0..400 {
            if is(&self.life) {
                return;
            }
            self.life.now_ms += 1_000;
            self.cluster.breathe();
            self.life.see(Event::World(self.cluster.world()));
            self.life.drive(&mut self.cluster, &mut self.dice, true);
        }
        panic!("never: {:?}", self.life.state);
    }

    /// Started by Amy, approved by Bob, in its hold.
    fn holding() -> Self {
        let mut release = Self::new(spec());
        release.taken(AMY, Command::Start);
        release.refused(AMY, Command::Promote);
        release.taken(BOB, Command::Promote);
        release.until(|life| life.state.step == 1 && life.state.due_ms.is_some());
        release
    }
}

fn other_steps() -> Command {
    Command::ChangeSteps { steps: vec![Step::Weight { percent: 100 }] }
}

#[test]
fn changed_steps_wait_for_somebody_else() {
    let mut release = Release::holding();
    release.taken(AMY, other_steps());
    let state = &release.life.state;
    assert_eq!((state.phase, state.pause_reason()), (Phase::Paused, Some(PauseReason::StepsChanged)));
    assert!(state.awaits_approval());
    for command in [Command::Resume, Command::Promote, Command::PromoteAll] {
        release.refused(AMY, command);
    }
    // Bob's approval is of the steps, and ends no wait of theirs.
    release.taken(BOB, Command::Promote);
    let state = &release.life.state;
    assert_eq!((state.phase, state.step, state.unapproved), (Phase::Running, 1, false));
    assert!(state.due_ms.is_some());
}

#[test]
fn a_second_change_before_the_approval_is_for_others_to_approve() {
    let mut release = Release::holding();
    release.taken(AMY, other_steps());
    release.taken(BOB, other_steps());
    release.refused(BOB, Command::Promote);
    release.taken(AMY, Command::Promote);
    assert_eq!(release.life.state.phase, Phase::Running);
    // Neither of both goes past what they agreed on alone.
    release.refused(AMY, Command::PromoteAll);
    release.refused(BOB, Command::PromoteAll);
    release.taken("eve", Command::PromoteAll);
}

#[test]
fn who_started_it_ends_no_wait_passes_no_gate_and_skips_no_step() {
    let mut release = Release::holding();
    release.refused(AMY, Command::Promote);
    release.refused(AMY, Command::PromoteAll);
    release.taken(BOB, Command::Promote);
    release.until(|life| life.state.pause_reason() == Some(PauseReason::Gate));
    for command in [Command::Promote, Command::Resume, Command::PromoteAll] {
        release.refused(AMY, command);
    }
    release.taken(BOB, Command::Promote);
    release.until(|life| life.state.phase == Phase::Succeeded);
}

#[test]
fn steps_that_are_changed_at_a_gate_do_not_open_it() {
    let mut release = Release::holding();
    release.taken(BOB, Command::Promote);
    release.until(|life| life.state.pause_reason() == Some(PauseReason::Gate));
    release.taken(AMY, other_steps());
    assert_eq!(release.life.state.pause_reason(), Some(PauseReason::StepsChanged));
    release.taken(BOB, Command::Promote);
    release.until(|life| life.state.pause_reason() == Some(PauseReason::Gate));
    release.refused(AMY, Command::Promote);
    release.taken(BOB, Command::Promote);
    release.until(|life| life.state.phase == Phase::Succeeded);
}

#[test]
fn going_back_and_stopping_need_nobody_else() {
    let mut release = Release::holding();
    release.taken(AMY, Command::Pause);
    // A pause of one's own is not what was approved: it may be ended by whoever made it.
    release.taken(AMY, Command::Resume);
    release.taken(AMY, other_steps());
    release.taken(AMY, Command::Abort);
    release.until(|life| life.state.phase == Phase::RolledBack);
    // The next run is another release: its start is approved again.
    release.taken(BOB, Command::Retry);
    assert_eq!(release.life.state.phase, Phase::PendingApproval);
    release.refused(BOB, Command::Promote);
    // Amy changed the steps that are in force.
    release.refused(AMY, Command::Promote);
    release.taken("eve", Command::Promote);
    assert_eq!(release.life.state.phase, Phase::Running);
}

#[test]
fn a_start_before_its_time_is_not_the_starters() {
    let mut spec = spec();
    spec.policies.start_at_ms = Some(i64::MAX / 2);
    let mut release = Release::new(spec);
    release.taken(AMY, Command::Start);
    release.taken(BOB, Command::Promote);
    assert_eq!(release.life.state.phase, Phase::Scheduled);
    release.refused(AMY, Command::Start);
    release.refused(AMY, Command::Promote);
    release.taken(BOB, other_steps());
    assert_eq!(release.life.state.phase, Phase::PendingApproval, "what was approved is something else now");
    release.refused(BOB, Command::Promote);
}

#[test]
fn without_the_policy_one_person_does_it_all() {
    let mut spec = spec();
    spec.policies.second_person = false;
    let mut release = Release::new(spec);
    release.taken(AMY, Command::Start);
    release.until(|life| life.state.step == 1 && life.state.due_ms.is_some());
    release.taken(AMY, other_steps());
    assert_eq!(release.life.state.phase, Phase::Running);
    release.taken(AMY, Command::PromoteAll);
    release.until(|life| life.state.phase == Phase::Succeeded);
}

#[test]
fn a_person_is_told_by_more_than_the_name() {
    let person = |user: &str, uid: &str| Person { user: user.into(), uid: uid.into(), ..Person::default() };
    // By uid where both have one: a name can be given again, and changed.
    assert!(person("amy", "1").is(&person("amy.new", "1")));
    assert!(!person("amy", "1").is(&person("amy", "2")));
    // Else by name and issuer.
    assert!(person("amy", "").is(&person("amy", "2")));
    assert!(!person("amy", "").is(&person("bob", "")));
    let program = Person { kind: PersonKind::ServiceAccount, ..person("amy", "") };
    assert!(!program.is(&person("amy", "")));
}
