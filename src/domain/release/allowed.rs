//! Which commands a release takes in each state, and which of them have to be accepted by name. Pages, API and the machine
//! of releases ask here.

use super::analysis::Verdict;
use super::command::Word;
use super::pause::PauseReason;
use super::state::{Phase, Side, State};
use crate::domain::refusal::{Code, Refusal};

impl State {
    /// The commands that it accepts now: the one table for pages and API.
    pub fn may(&self, word: Word) -> bool {
        let trouble = self.pause_reason().is_some_and(PauseReason::is_trouble);
        match self.phase {
            Phase::Draft | Phase::Superseded | Phase::Cancelled => false,
            Phase::Validated => matches!(word, Word::Start | Word::Abort | Word::ChangeSteps),
            Phase::PendingApproval => matches!(word, Word::Promote | Word::Abort | Word::ChangeSteps),
            Phase::Scheduled => matches!(word, Word::Start | Word::Promote | Word::Abort | Word::ChangeSteps),
            Phase::Running => matches!(
                word,
                Word::Pause
                    | Word::Promote
                    | Word::PromoteAll
                    | Word::Abort
                    | Word::Rollback
                    | Word::ChangeSteps
            ),
            Phase::Promoting => matches!(word, Word::Pause | Word::Abort | Word::Rollback),
            Phase::Finalising => matches!(word, Word::Abort | Word::Rollback),
            Phase::Paused => match word {
                Word::Resume
                | Word::Promote
                | Word::PromoteAll
                | Word::Abort
                | Word::Rollback
                | Word::ChangeSteps => true,
                Word::Retry => trouble,
                _ => false,
            },
            Phase::Aborting => matches!(word, Word::Abort | Word::Retry),
            Phase::Succeeded => {
                self.is_quiet()
                    && match word {
                        Word::Retire | Word::SwitchBack => !self.removed.contains(&Side::Stable),
                        Word::Rollback => true,
                        _ => false,
                    }
            }
            Phase::RolledBack | Phase::NeedsAttention => {
                let gone = self.removed.contains(&Side::Candidate);
                self.is_quiet()
                    && match word {
                        Word::DeleteVersion => !gone,
                        Word::Retry | Word::Rollback => true,
                        Word::Abort => self.phase == Phase::NeedsAttention,
                        Word::SwitchBack => self.phase == Phase::NeedsAttention && self.switch_back,
                        _ => false,
                    }
            }
        }
    }

    /// True when a retry is the way back once more: it is under way, or could not be completed.
    pub fn retries_way_back(&self) -> bool {
        matches!(self.phase, Phase::Aborting | Phase::NeedsAttention)
    }

    /// True when this command goes on although the analysis failed: it has to be accepted by name.
    pub fn overrules_analysis(&self, word: Word) -> bool {
        let steps_only = self.phase == Phase::Paused && self.unapproved;
        let forward = match word {
            Word::PromoteAll => true,
            // What it ends then is no wait of a step.
            Word::Promote => !steps_only && self.pause_reason() != Some(PauseReason::FreezeWindow),
            _ => false,
        };
        forward && self.is_failing() && matches!(self.phase, Phase::Running | Phase::Paused)
    }

    /// True when a look failed and none has passed since.
    pub fn is_failing(&self) -> bool {
        // A release of an earlier version kept no more than its latest verdict.
        self.failing || self.latest == Some(Verdict::Fail) || self.pause_reason() == Some(PauseReason::Failed)
    }

    /// True when this command goes on with a release that stands still.
    fn goes_on(&self, word: Word) -> bool {
        let forward = matches!(word, Word::Resume | Word::Promote | Word::PromoteAll | Word::Retry);
        forward && self.phase == Phase::Paused
    }

    /// Why this command cannot go on, whatever is accepted: the new version is gone.
    pub fn missing(&self, word: Word) -> Option<&Refusal> {
        let gone = self.changed.as_ref().filter(|changed| changed.now.is_empty() && self.goes_on(word));
        gone.map(|changed| &changed.why)
    }

    /// What has to be accepted by name before this command is taken.
    pub fn asked(&self, word: Word) -> Vec<Refusal> {
        let failed = self.overrules_analysis(word).then(|| self.analysis_failed());
        let changed = self.changed.as_ref().filter(|changed| !changed.now.is_empty() && self.goes_on(word));
        failed.into_iter().chain(changed.map(|changed| changed.why.clone())).collect()
    }

    /// What has to be accepted then, with what failed.
    pub fn analysis_failed(&self) -> Refusal {
        Refusal::new(Code::AnalysisFailed).arg("metrics", self.failed.join(", "))
    }

    /// True when nothing is being done.
    fn is_quiet(&self) -> bool {
        self.removing.is_none() && self.pending.is_empty()
    }

    /// Every command that it accepts now.
    pub fn words(&self) -> Vec<Word> {
        Word::ALL.into_iter().filter(|word| self.may(*word)).collect()
    }
}
