//! What happened to a release: one entry a transition, each with its row of the history.

use serde::{Deserialize, Serialize};

use super::analysis::Verdict;
use super::command::Word;
use super::spec::{Spec, Step};
use super::state::{ActionKind, PauseReason, Phase};
use crate::domain::actor::Channel;
use crate::domain::ids::VersionName;
use crate::domain::refusal::Refusal;

/// One transition as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// The release's `seq` after it.
    pub seq: u64,
    pub at_ms: i64,
    /// The person, or `release` for what it did by itself.
    pub by: String,
    pub channel: Channel,
    pub from: Phase,
    pub to: Phase,
    /// The step under way after it.
    pub step: usize,
    pub happened: Vec<Happened>,
    pub reason: String,
    /// The history's row.
    pub entry: Option<i64>,
}

/// Who knows the names that [`Happened`] leaves out: the wish, or what the history kept of it.
pub trait Wording {
    fn stable(&self) -> &VersionName;
    fn candidate(&self) -> &VersionName;
    /// True when the stable workload's own pods are replaced.
    fn in_place(&self) -> bool;
    /// A step, counted from 0.
    fn step_at(&self, at: usize) -> Option<&Step>;
}

impl Wording for Spec {
    fn stable(&self) -> &VersionName {
        &self.stable
    }

    fn candidate(&self) -> &VersionName {
        self.candidate.version()
    }

    fn in_place(&self) -> bool {
        self.candidate.is_in_place()
    }

    fn step_at(&self, at: usize) -> Option<&Step> {
        self.steps.get(at)
    }
}

/// What a transition was about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Happened {
    Created,
    /// A person's command was taken.
    Told {
        word: Word,
    },
    /// Its time has come, or the second person agreed.
    Began,
    StepBegan {
        step: usize,
    },
    StepDone {
        step: usize,
    },
    /// An action was decided on and stored.
    Decided {
        action: ActionKind,
    },
    /// It was done.
    Done {
        action: ActionKind,
    },
    /// It was refused or failed; what the cluster said.
    NotDone {
        action: ActionKind,
        refusal: Refusal,
    },
    /// The pods that a step waits for are ready.
    Ready,
    /// A look was taken.
    Judged {
        verdict: Verdict,
        failures: u32,
    },
    Paused {
        reason: PauseReason,
    },
    Resumed,
    /// The process began anew and went on here.
    ResumedAfterRestart,
    /// The clock was set; the timers were moved with it.
    ClockMoved {
        by_ms: i64,
    },
    /// Somebody else changed the routing (objects and field managers).
    Drift {
        managers: Vec<String>,
        percent: Option<u8>,
    },
    Reasserted,
    Adopted {
        percent: u8,
    },
    /// The policy turned a failure or a deadline into an abort.
    AbortedItself {
        reason: PauseReason,
    },
    StepsChanged {
        from: usize,
        count: usize,
    },
    Finished {
        phase: Phase,
    },
}
