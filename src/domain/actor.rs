//! The actor of a change, and the interface that they used.

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

/// Who somebody is, whatever groups and rights they have at the moment: what tells one person from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub user: String,
    /// Empty where the issuer of the token gives none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(default)]
    pub kind: PersonKind,
}

/// Who issued the identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonKind {
    /// Whoever the API server asks about tokens of people.
    #[default]
    Issued,
    /// The API server itself: a program with a `ServiceAccount`.
    ServiceAccount,
    /// The one user of `--auth none` and of the demo.
    Local,
}

impl Person {
    /// True when both are one person: by uid where both have one (a name can be given again), else by name and
    /// issuer.
    pub fn is(&self, other: &Self) -> bool {
        if self.uid.is_empty() || other.uid.is_empty() {
            self.user == other.user && self.kind == other.kind
        } else {
            self.uid == other.uid
        }
    }
}

impl From<&Identity> for Person {
    fn from(identity: &Identity) -> Self {
        let kind = if identity.unrestricted {
            PersonKind::Local
        } else if identity.user.starts_with("system:serviceaccount:") {
            PersonKind::ServiceAccount
        } else {
            PersonKind::Issued
        };
        Self { user: identity.user.clone(), uid: identity.uid.clone(), kind }
    }
}

impl From<&str> for Person {
    fn from(user: &str) -> Self {
        Self { user: user.to_owned(), ..Self::default() }
    }
}

/// The interface through which a change came.
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
