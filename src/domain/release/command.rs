//! Commands of people to a release.

use serde::{Deserialize, Serialize};

use super::spec::Step;
use crate::domain::ids::Revision;

/// A command with what it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    Start,
    Pause,
    Resume,
    /// The next step now: ends a hold, gives the approval, starts what was scheduled.
    Promote,
    /// Straight to 100 %.
    PromoteAll,
    /// All traffic back to the stable version.
    Abort,
    /// Split, rules and mirror as they stood at a revision of the service; ends the release.
    Rollback {
        revision: Revision,
    },
    /// After success: everything as it was before the release began (split, rules, mirror, pods, image).
    SwitchBack,
    /// Once more: the action that failed, or (after an abort) the whole from its first step.
    Retry,
    /// Replaces the steps that have not begun.
    ChangeSteps {
        steps: Vec<Step>,
    },
    /// After success: the old version's rules, subset and workload go. `confirm` = `<service> <version>`.
    Retire {
        confirm: String,
    },
    /// After an abort: the same for the new version. `confirm` = `<service> <version>`.
    DeleteVersion {
        confirm: String,
    },
}

impl Command {
    /// Which command it is.
    pub fn word(&self) -> Word {
        match self {
            Self::Start => Word::Start,
            Self::Pause => Word::Pause,
            Self::Resume => Word::Resume,
            Self::Promote => Word::Promote,
            Self::PromoteAll => Word::PromoteAll,
            Self::Abort => Word::Abort,
            Self::Rollback { .. } => Word::Rollback,
            Self::SwitchBack => Word::SwitchBack,
            Self::Retry => Word::Retry,
            Self::ChangeSteps { .. } => Word::ChangeSteps,
            Self::Retire { .. } => Word::Retire,
            Self::DeleteVersion { .. } => Word::DeleteVersion,
        }
    }
}

/// A command without what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Start,
    Pause,
    Resume,
    Promote,
    PromoteAll,
    Abort,
    Rollback,
    SwitchBack,
    Retry,
    ChangeSteps,
    Retire,
    DeleteVersion,
}

impl Word {
    pub const ALL: [Self; 12] = [
        Self::Start,
        Self::Pause,
        Self::Resume,
        Self::Promote,
        Self::PromoteAll,
        Self::Abort,
        Self::Rollback,
        Self::SwitchBack,
        Self::Retry,
        Self::ChangeSteps,
        Self::Retire,
        Self::DeleteVersion,
    ];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote => "promote",
            Self::PromoteAll => "promote_all",
            Self::Abort => "abort",
            Self::Rollback => "rollback",
            Self::SwitchBack => "switch_back",
            Self::Retry => "retry",
            Self::ChangeSteps => "change_steps",
            Self::Retire => "retire",
            Self::DeleteVersion => "delete_version",
        }
    }

    /// Reads the word of the API.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// True for those that lead back: no reason, no acknowledgement, no metrics needed.
    pub fn goes_back(self) -> bool {
        matches!(self, Self::Abort | Self::Rollback | Self::SwitchBack | Self::Pause)
    }

    /// True for those that need a reason: forward is careful.
    pub fn needs_reason(self) -> bool {
        matches!(
            self,
            Self::Start | Self::PromoteAll | Self::ChangeSteps | Self::Retire | Self::DeleteVersion
        )
    }
}
