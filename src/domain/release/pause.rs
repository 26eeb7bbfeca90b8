//! Why a release stands still, and what it goes on with. Part of the state that is stored with every transition.

use serde::{Deserialize, Serialize};

use super::state::Phase;
use crate::domain::refusal::Refusal;

/// Why and since when it is paused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paused {
    pub reason: PauseReason,
    pub since_ms: i64,
    /// What the step's timer had left; resuming gives exactly this back.
    pub left_ms: Option<i64>,
    /// What went before the pause, so that resuming goes on there.
    pub phase: Phase,
    /// What was refused or seen, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Refusal>,
}

/// Why a release stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// A person paused it.
    User,
    /// An approval step: it waits for a person.
    Gate,
    /// The analysis could not decide in time.
    Inconclusive,
    /// No figures came in time.
    NoData,
    /// The analysis failed, and the policy is to pause.
    Failed,
    /// The routing was changed from outside.
    Drift,
    /// It goes on by itself when the window ends.
    FreezeWindow,
    /// Who started it may no longer do this.
    LostPermission,
    /// Its steps were changed after they were approved: it waits for another person's approval.
    StepsChanged,
    /// A write was refused, or its outcome is unknown.
    Conflict,
    /// Pods that do not get ready, a step that does not come true in time.
    Deadline,
}

impl PauseReason {
    pub const ALL: [Self; 11] = [
        Self::User,
        Self::Gate,
        Self::Inconclusive,
        Self::NoData,
        Self::Failed,
        Self::Drift,
        Self::FreezeWindow,
        Self::LostPermission,
        Self::StepsChanged,
        Self::Conflict,
        Self::Deadline,
    ];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Gate => "gate",
            Self::Inconclusive => "inconclusive",
            Self::NoData => "no_data",
            Self::Failed => "failed",
            Self::Drift => "drift",
            Self::FreezeWindow => "freeze_window",
            Self::LostPermission => "lost_permission",
            Self::StepsChanged => "steps_changed",
            Self::Conflict => "conflict",
            Self::Deadline => "deadline",
        }
    }

    /// True when it paused itself and a person should look.
    pub fn is_trouble(self) -> bool {
        // A freeze window ends by itself.
        !matches!(self, Self::User | Self::Gate | Self::FreezeWindow | Self::StepsChanged)
    }
}
