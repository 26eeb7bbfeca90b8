//! What happened to a release: one entry a transition, each with its row of the history.

use serde::{Deserialize, Serialize};

use super::analysis::Verdict;
use super::command::Word;
use super::pause::PauseReason;
use super::spec::{Spec, Step};
use super::stages::position;
use super::state::{ActionKind, Phase};
use crate::domain::actor::Channel;
use crate::domain::ids::{Revision, VersionName};
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

impl TimelineEntry {
    /// The same without the cluster's own words, which may quote an object.
    #[must_use]
    pub fn without_quotes(mut self) -> Self {
        self.happened = self.happened.into_iter().map(Happened::without_quotes).collect();
        self
    }
}

impl Happened {
    /// The same without the cluster's own words, which may quote an object.
    #[must_use]
    pub fn without_quotes(self) -> Self {
        match self {
            Self::NotDone { action, refusal } => Self::NotDone { action, refusal: refusal.without_quotes() },
            other => other,
        }
    }
}

/// Who knows the names that [`Happened`] leaves out: the wish, or what the history kept of it.
pub trait Wording {
    fn stable(&self) -> &VersionName;
    fn candidate(&self) -> &VersionName;
    /// True when the stable workload's own pods are replaced.
    fn in_place(&self) -> bool;
    /// A step, counted from 0.
    fn step_at(&self, at: usize) -> Option<&Step>;
    /// The number that people know the step by, from 1: steps that belong together are one.
    fn number_of(&self, at: usize) -> usize;
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

    fn number_of(&self, at: usize) -> usize {
        position(&self.steps, at).0
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
    /// It was refused or failed; the message of the cluster.
    NotDone {
        action: ActionKind,
        refusal: Refusal,
    },
    /// The pods that a step waits for are ready.
    Ready,
    /// A person gave the approval that was waited for.
    Approved,
    /// A look was taken.
    Judged {
        verdict: Verdict,
        failures: u32,
    },
    Paused {
        reason: PauseReason,
    },
    Resumed,
    /// The process restarted and continued here.
    ResumedAfterRestart,
    /// The clock was set; the timers were moved with it.
    ClockMoved {
        by_ms: i64,
    },
    /// The routing was changed from outside (objects and field managers).
    Drift {
        managers: Vec<String>,
        percent: Option<u8>,
    },
    /// A workload was scaled from outside: what the candidate has of all pods, percent.
    Scaled {
        percent: u8,
    },
    /// Somebody else changed or deleted the new version, or it is as it was before again.
    CandidateChanged {
        change: Refusal,
    },
    /// A person goes on with the new version as it is now.
    CandidateAccepted {
        change: Refusal,
    },
    /// No pod of the new version is ready although it gets requests.
    CandidateDown,
    /// The stable version's workload is gone.
    StableLost,
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
        /// The revision that it was rolled back to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<Revision>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::Code;

    #[test]
    fn what_goes_to_a_receiver_holds_none_of_the_clusters_words() {
        let refusal = Refusal::new(Code::ClusterRefused).arg("object", "reviews").arg("message", "s3cret");
        let action = ActionKind::Measure;
        let told = Happened::NotDone { action, refusal }.without_quotes();
        let text = serde_json::to_string(&told).unwrap();
        assert!(text.contains("reviews") && !text.contains("s3cret"), "{text}");
    }
}
