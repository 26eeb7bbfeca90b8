//! Who acts, and through which door.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A person or program that was identified by the cluster (or, with `--auth none`, the local user).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub identity: Arc<Identity>,
    pub channel: Channel,
    /// The peer's address, as seen by the listener.
    pub address: Option<String>,
}

/// What the Kubernetes API server says of a token's bearer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    pub user: String,
    pub uid: String,
    pub groups: Vec<String>,
    /// True for the one user of `--auth none` and of the demo, who may do everything.
    pub unrestricted: bool,
}

impl Identity {
    /// The user of `--auth none` and of the demo.
    pub fn local(name: &str) -> Self {
        Self { user: name.to_owned(), uid: String::new(), groups: Vec::new(), unrestricted: true }
    }
}

/// The door through which a change came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Browser,
    Api,
    /// Sluice itself (recovery after a crash).
    Automatic,
    /// Not through Sluice at all.
    Outside,
}

impl Channel {
    /// `browser`, `api`, `automatic` or `outside`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Api => "api",
            Self::Automatic => "automatic",
            Self::Outside => "outside",
        }
    }
}
