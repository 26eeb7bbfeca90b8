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

/// A Kubernetes bearer token: never printed, never stored in plain text.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(Arc<str>);

impl BearerToken {
    /// Takes the text of a token.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, for the one who reviews it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerToken(…)")
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
    /// A command on Sluice's own machine.
    Command,
}

impl Channel {
    /// `browser`, `api`, `automatic`, `outside` or `command`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Api => "api",
            Self::Automatic => "automatic",
            Self::Outside => "outside",
            Self::Command => "command",
        }
    }

    /// Reads the word of the API.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Browser, Self::Api, Self::Automatic, Self::Outside, Self::Command];
        all.into_iter().find(|channel| channel.as_str() == word)
    }
}
