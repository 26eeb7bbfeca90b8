//! What an audit entry of a release counts as: a routine event or not, and whether what it tried was done.

use super::actor::Channel;
use super::audit::{Action, Details, Ending, Entry};
use super::refusal::Refusal;
use super::release::{Happened, PauseReason, Verdict};

/// How a transition of a release ended: refused or failed when one of its actions was not done, failed when the
/// analysis failed.
pub fn ending_of(happened: &[Happened]) -> (Ending, Option<Refusal>) {
    let failed = happened.iter().find_map(|one| match one {
        Happened::NotDone { refusal, .. } => Some(refusal.clone()),
        _ => None,
    });
    match failed {
        None if happened.iter().any(is_failed_analysis) => (Ending::Failed, None),
        None => (Ending::Applied, None),
        Some(refusal) if refusal.code.status() < 500 => (Ending::Refused, Some(refusal)),
        Some(refusal) => (Ending::Failed, Some(refusal)),
    }
}

/// True for a measurement that failed and for what came of it.
fn is_failed_analysis(happened: &Happened) -> bool {
    matches!(
        happened,
        Happened::Judged { verdict: Verdict::Fail, .. }
            | Happened::Paused { reason: PauseReason::Failed }
            | Happened::AbortedItself { .. }
    )
}

fn is_not_done(happened: &Happened) -> bool {
    matches!(happened, Happened::NotDone { .. })
}

impl Entry {
    /// True for what a release records by itself while it runs as planned: no person acted, its phase stayed the same,
    /// nothing failed, and changes of traffic have an entry of their own.
    pub fn is_routine(&self) -> bool {
        let Some(outcome) = &self.outcome else { return false };
        let mark = outcome.details.release.as_deref().or(self.intent.details.release.as_deref());
        self.intent.action == Action::Release
            && self.intent.channel == Channel::Automatic
            && outcome.ending == Ending::Applied
            // An earlier version recorded a measurement that failed as applied, and as routine.
            && mark.is_some_and(|mark| mark.from == mark.to && !mark.happened.iter().any(is_not_done))
    }

    /// The entry with the result that its events say: versions before this one recorded an action that was not done
    /// as applied.
    #[must_use]
    pub fn settled(mut self) -> Self {
        let mark = |details: &Details| details.release.as_deref().map(|mark| ending_of(&mark.happened));
        if self.intent.action != Action::Release {
            return self;
        }
        let early = mark(&self.intent.details);
        if let Some(outcome) = &mut self.outcome
            && outcome.ending == Ending::Applied
            && let Some((ending, refusal)) = mark(&outcome.details).or(early)
            && ending != Ending::Applied
        {
            outcome.ending = ending;
            outcome.details.refusal = outcome.details.refusal.take().or(refusal);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::refusal::Code;
    use crate::domain::release::state::ActionKind;

    fn entry(from: &str, to: &str, happened: serde_json::Value) -> Entry {
        let mark = json!({"id": 3, "from": from, "to": to, "step": 0, "happened": happened, "stable": "v1", "candidate": "v2"});
        let intent = json!({
            "change": "c", "at_ms": 1, "service": null, "actor": "release", "groups": [], "channel": "automatic",
            "address": null, "action": "release", "reason": "", "request_id": "", "details": {"release": mark},
        });
        let outcome = json!({"at_ms": 1, "ending": "applied", "revision": null, "details": {}});
        Entry {
            id: 1,
            intent: serde_json::from_value(intent).unwrap(),
            outcome: Some(serde_json::from_value(outcome).unwrap()),
        }
    }

    #[test]
    fn an_action_that_was_not_done_is_refused_or_failed_also_where_it_was_recorded_as_applied() {
        for (code, ending) in [(Code::StillServing, Ending::Refused), (Code::ClusterTimeout, Ending::Failed)]
        {
            let refusal = serde_json::to_value(Refusal::new(code)).unwrap();
            let action = serde_json::to_value(ActionKind::Measure).unwrap();
            let happened = json!([{"what": "not_done", "action": action, "refusal": refusal}]);
            let Ok(read) = serde_json::from_value::<Vec<Happened>>(happened.clone()) else {
                panic!("{happened}")
            };
            assert_eq!(ending_of(&read).0, ending);
            let old = entry("running", "running", happened);
            assert!(!old.is_routine(), "a failure is never left out");
            let outcome = old.settled().outcome.unwrap();
            assert_eq!((outcome.ending, outcome.details.refusal.map(|no| no.code)), (ending, Some(code)));
        }
    }

    #[test]
    fn an_analysis_that_failed_and_what_came_of_it_is_a_failed_entry() {
        for (to, happened) in [
            ("running", json!([{"what": "judged", "verdict": "fail", "failures": 1}])),
            (
                "paused",
                json!([{"what": "judged", "verdict": "fail", "failures": 2}, {"what": "paused", "reason": "failed"}]),
            ),
            ("aborting", json!([{"what": "aborted_itself", "reason": "failed"}])),
        ] {
            let settled = entry("running", to, happened).settled();
            assert!(!settled.is_routine(), "a failure is never left out");
            assert_eq!(settled.outcome.unwrap().ending, Ending::Failed);
        }
        let pass = entry("running", "running", json!([{"what": "judged", "verdict": "pass", "failures": 0}]));
        assert_eq!(pass.settled().outcome.unwrap().ending, Ending::Applied);
    }

    #[test]
    fn steps_are_routine_and_a_new_phase_is_not() {
        let step = json!([{"what": "step_began", "step": 1}]);
        assert!(entry("running", "running", step.clone()).is_routine());
        assert!(!entry("running", "paused", step.clone()).is_routine());
        let mut told = entry("running", "running", step);
        told.intent.channel = Channel::Browser;
        assert!(!told.is_routine(), "a person acted");
    }
}
