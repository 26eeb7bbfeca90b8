//! The class of a refusal: what callers decide on (try again, pause, ask for a right). The HTTP status of a
//! code is for the answer alone; nothing is decided on it.

use super::refusal::Code;

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A rule says no to what was asked, and says it again until something else is asked.
    Refused,
    /// Who asks may not do it.
    Forbidden,
    /// What would be written changed meanwhile: read it again, then try again.
    Conflict,
    /// The version that would get more has no pods yet: look again.
    NotReady,
    /// Something that is needed does not answer, or answers with a fault: try again later.
    Unavailable,
    /// The answer to a write was lost: whether it was stored is not known.
    Unknown,
}

impl Code {
    /// The kind of refusal that this code is.
    pub fn class(self) -> Class {
        match self {
            Self::Forbidden
            | Self::ClusterForbids
            | Self::Csrf
            | Self::OwnerGone
            | Self::SessionsForbidden
            | Self::SessionTokenEnded
            | Self::PromqlForbidden
            | Self::TemplateForbidden
            | Self::SecondPerson
            | Self::Unauthenticated
            | Self::BadToken => Class::Forbidden,
            Self::Conflict | Self::StaleRevision | Self::WorkloadConflict => Class::Conflict,
            Self::NoReadyPods | Self::NoTargetPort | Self::UnknownVersion => Class::NotReady,
            Self::OutcomeUnknown => Class::Unknown,
            Self::Overloaded
            | Self::ClusterUnreachable
            | Self::ClusterTimeout
            | Self::ClusterBusy
            | Self::ClusterUnauthenticated
            | Self::ClusterCredentials
            | Self::ClusterUntrusted
            | Self::PartlyApplied
            | Self::PartlyRetired
            | Self::NotReady
            | Self::HistoryUnavailable
            | Self::HistoryDiskFull
            | Self::HistoryLocked
            | Self::HistoryGone
            | Self::HistoryReplaced
            | Self::HistoryDamaged
            | Self::Internal => Class::Unavailable,
            _ => Class::Refused,
        }
    }
}
