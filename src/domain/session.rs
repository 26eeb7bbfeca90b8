//! A browser session as lists show it. The secret in its cookie is never part of it.

use std::sync::Arc;

use super::actor::{Channel, Identity};

/// A browser session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Names the session in lists; of no use to get in.
    pub id: String,
    pub identity: Arc<Identity>,
    /// What forms of this session must carry. Computed from the secret, stored nowhere; empty in lists.
    pub csrf: String,
    pub created_ms: i64,
    pub seen_ms: i64,
    pub ends_ms: i64,
    /// When the cluster last accepted its token.
    pub checked_ms: i64,
    pub address: Option<String>,
    /// The kind of browser that began it.
    pub agent: String,
    /// Through which interface it was last used.
    pub channel: Channel,
}

/// Whose sessions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owners {
    /// Those of the person who asks.
    Own,
    Person(String),
    Everybody,
}

/// A page of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPage {
    pub items: Vec<Session>,
    /// The cursor of the next page; `None` = that was all.
    pub next: Option<String>,
    /// The person may see everybody's.
    pub may_list_all: bool,
    /// The person may end everybody's.
    pub may_revoke_all: bool,
}
