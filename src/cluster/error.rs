//! Errors between Sluice and the API server, distinguished by what is known of the request afterwards.
//! Texts never hold a token, a header or a body that we sent.

use std::sync::Arc;

use thiserror::Error;

use crate::domain::ids::ObjectRef;
use crate::domain::refusal::{Code, Refusal};

/// Why the API server did not give us what we asked for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ClusterError {
    /// No connection, or it broke.
    #[error("the Kubernetes API server cannot be reached: {0}")]
    Unreachable(String),
    #[error("the Kubernetes API server did not answer in time ({0})")]
    Timeout(String),
    /// 429: it asks us to come back later.
    #[error("the Kubernetes API server is busy ({0})")]
    Busy(String),
    /// 401 for Sluice itself, with the newest credentials there are.
    #[error("the Kubernetes API server does not accept Sluice's credentials: {0}")]
    Unauthenticated(String),
    /// A credential plugin failed, or a file with credentials cannot be read.
    #[error("Sluice cannot get its credentials for the Kubernetes API server: {0}")]
    Credentials(String),
    /// The certificate of the API server is not the one that is expected.
    #[error("the Kubernetes API server's certificate is not trusted: {0}")]
    Untrusted(String),
    /// 403 for Sluice itself.
    #[error("the Kubernetes API server forbids it: {0}")]
    Forbidden(String),
    /// Any other refusal, in the API server's words (those of webhooks included).
    #[error("the Kubernetes API server refused ({code}): {message}")]
    Refused { code: u16, message: String },
    #[error("not found: {0}")]
    NotFound(String),
    /// An answer that cannot be read.
    #[error("the Kubernetes API server's answer cannot be read: {0}")]
    Invalid(String),
    /// Kubeconfig or service account cannot be used.
    #[error("cannot find out how to reach the cluster: {0}")]
    Config(String),
}

impl ClusterError {
    /// The same as an answer to a person.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Unreachable(_) | Self::Config(_) | Self::Refused { code: 500.., .. } => {
                Refusal::new(Code::ClusterUnreachable)
            }
            Self::Unauthenticated(message) => {
                Refusal::new(Code::ClusterUnauthenticated).arg("message", message)
            }
            Self::Credentials(message) => Refusal::new(Code::ClusterCredentials).arg("message", message),
            Self::Untrusted(message) => Refusal::new(Code::ClusterUntrusted).arg("message", message),
            Self::Timeout(_) => Refusal::new(Code::ClusterTimeout),
            Self::Busy(_) => Refusal::new(Code::ClusterBusy),
            Self::Forbidden(message) => Refusal::new(Code::ClusterForbids).arg("message", message),
            Self::Refused { message, .. } => Refusal::new(Code::ClusterRefused).arg("message", message),
            Self::NotFound(what) => Refusal::new(Code::NotFound).arg("name", what),
            Self::Invalid(said) => {
                tracing::error!(said, "an answer of the API server cannot be read");
                Refusal::new(Code::Internal)
            }
        }
    }
}

/// Why a plan was not (wholly) written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ApplyError {
    /// The API server or a webhook refused; its message unchanged.
    #[error("{object} was refused: {message}")]
    Refused { object: ObjectRef, message: String },
    /// The object is no longer what the plan stands on.
    #[error("{object} was changed since it was read{}", by(manager.as_ref()))]
    Conflict { object: ObjectRef, manager: Option<Arc<str>> },
    /// Something broke, and it is known that the object was not written.
    #[error("{object} was not written: {error}")]
    Cluster { object: ObjectRef, error: ClusterError },
    /// The answer was lost, and the object could not be read to find out.
    #[error("nobody knows whether {object} was written: {error}")]
    Unknown { object: ObjectRef, error: ClusterError },
}

fn by(manager: Option<&Arc<str>>) -> String {
    manager.map_or(String::new(), |manager| format!(" by {manager}"))
}

impl ApplyError {
    /// True for an answer of 500 or above: the API server (or a webhook) failed, it did not judge what was asked.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Cluster { error: ClusterError::Refused { code: 500.., .. }, .. })
    }

    /// The object that it is about.
    pub fn object(&self) -> &ObjectRef {
        match self {
            Self::Refused { object, .. }
            | Self::Conflict { object, .. }
            | Self::Cluster { object, .. }
            | Self::Unknown { object, .. } => object,
        }
    }

    /// The same as an answer to a person.
    pub fn refusal(&self) -> Refusal {
        let refusal = match self {
            Self::Refused { message, .. } => Refusal::new(Code::ClusterRefused).arg("message", message),
            Self::Conflict { manager, .. } => {
                let refusal = Refusal::new(Code::Conflict);
                match manager {
                    Some(manager) => refusal.arg("by", manager),
                    None => refusal,
                }
            }
            Self::Cluster { error: ClusterError::Refused { message, .. }, .. } => {
                Refusal::new(Code::ClusterRefused).arg("message", message)
            }
            Self::Cluster { error, .. } => error.refusal(),
            Self::Unknown { error, .. } => Refusal::new(Code::OutcomeUnknown).arg("words", error),
        };
        refusal.arg("object", self.object())
    }
}
