//! Troubles that a test can order: delays, refusals, cut connections, and the log of requests.
//!
//! Called by tests through [`super::ApiServer`]; `wire` asks before and after each request. Ordering a trouble never changes
//! what the server stores, except by letting or not letting a request through.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a request wants, in the words of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// GET of one object.
    Get,
    /// GET of many.
    List,
    /// GET of what changes.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// DELETE of one.
    Delete,
    /// DELETE of many.
    DeleteCollection,
}

impl Verb {
    /// The verb as RBAC spells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// Which requests a trouble meets. Starts as all; each method narrows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct On {
    verb: Option<Verb>,
    plural: Option<String>,
    name: Option<String>,
    /// `Some(true)`: dry runs only; `Some(false)`: all but dry runs.
    dry_run: Option<bool>,
}

impl On {
    /// Every request for a resource.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests with this verb.
    pub fn verb(verb: Verb) -> Self {
        Self { verb: Some(verb), ..Self::default() }
    }

    /// Only of this resource (the plural word).
    #[must_use]
    pub fn of(mut self, plural: &str) -> Self {
        self.plural = Some(plural.to_owned());
        self
    }

    /// Only of the object with this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Only dry runs.
    #[must_use]
    pub fn dry_runs(mut self) -> Self {
        self.dry_run = Some(true);
        self
    }

    /// Only requests that would store something.
    #[must_use]
    pub fn real_writes(mut self) -> Self {
        self.dry_run = Some(false);
        self
    }

    fn meets(&self, call: &Call<'_>) -> bool {
        self.verb.is_none_or(|v| v == call.verb)
            && self.plural.as_deref().is_none_or(|p| p == call.plural)
            && self.name.as_deref().is_none_or(|n| n == call.name)
            && self.dry_run.is_none_or(|d| d == call.dry_run)
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The answer comes this much later; the request is carried out after the wait.
    Delay(Duration),
    /// The request is carried out at once, its answer comes this much later.
    DelayAnswer(Duration),
    /// The object of a write is merged with this before it is stored (RFC 7386), as a mutating webhook does.
    Rewrite(serde_json::Value),
    /// Nothing is done; this code is answered (429, 500, 503, 504 in the server's words).
    Answer(u16),
    /// The request **is carried out**, and this code is answered all the same.
    AnswerAfterApplying(u16),
    /// Nothing is done; the connection is cut.
    Drop,
    /// The request **is carried out**, and the connection is cut before the answer.
    DropAfterApplying,
    /// 403 in the words of the authoriser.
    Forbid,
    /// Nothing is done; an HTML page with this code is answered, as by a proxy in front of the server.
    Page(u16),
    /// A watch is refused with HTTP 410, as some proxies answer. (A real server sends it inside the stream.)
    Gone,
}

/// How often a trouble happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// The next so many requests that it meets.
    Next(u32),
    /// Until it is cleared.
    Always,
}

/// One request, as a test counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// HTTP method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Query as sent.
    pub query: String,
    /// The resourceVersion of the query (reads) or of the body (writes).
    pub resource_version: Option<String>,
    /// Who asked; `system:anonymous` without a token.
    pub user: String,
    /// The `User-Agent` header.
    pub agent: String,
}

/// What a trouble is compared with.
pub(super) struct Call<'a> {
    pub verb: Verb,
    pub plural: &'a str,
    pub name: &'a str,
    pub dry_run: bool,
}

#[derive(Default)]
pub(super) struct Faults {
    ordered: Mutex<Vec<(On, Trouble, Times)>>,
    log: Mutex<VecDeque<Logged>>,
}

/// Enough for any test; old lines go first so that a demo that runs for months stays small.
const LOG_LINES: usize = 50_000;

impl Faults {
    pub fn order(&self, on: On, trouble: Trouble, times: Times) {
        locked(&self.ordered).push((on, trouble, times));
    }

    pub fn clear(&self) {
        locked(&self.ordered).clear();
    }

    /// The troubles that meet this request; each is counted down.
    pub fn meet(&self, call: &Call<'_>) -> Vec<Trouble> {
        let mut ordered = locked(&self.ordered);
        let mut met = Vec::new();
        let mut answered = false;
        for (on, trouble, times) in ordered.iter_mut() {
            let waits = matches!(trouble, Trouble::Delay(_) | Trouble::DelayAnswer(_));
            if !on.meets(call) || (answered && !waits) || *times == Times::Next(0) {
                continue;
            }
            // One request can be answered in one way only; a second order waits for the next.
            answered |= !waits;
            if let Times::Next(left) = times {
                *left -= 1;
            }
            met.push(trouble.clone());
        }
        ordered.retain(|(_, _, times)| *times != Times::Next(0));
        met
    }

    /// The code that is answered instead of a review (`tokenreviews`, …). Only a trouble that names reviews meets
    /// them: without them nobody is anybody, and other troubles could not be looked at.
    pub fn meet_review(&self, plural: &str) -> Option<u16> {
        let mut ordered = locked(&self.ordered);
        ordered.iter_mut().find_map(|(on, trouble, times)| {
            let Trouble::Answer(code) = trouble else { return None };
            if on.plural.as_deref() != Some(plural) || *times == Times::Next(0) {
                return None;
            }
            if let Times::Next(left) = times {
                *left -= 1;
            }
            Some(*code)
        })
    }

    pub fn note(&self, line: Logged) {
        let mut log = locked(&self.log);
        if log.len() >= LOG_LINES {
            log.pop_front();
        }
        log.push_back(line);
    }

    pub fn log(&self) -> Vec<Logged> {
        locked(&self.log).iter().cloned().collect()
    }

    pub fn clear_log(&self) {
        locked(&self.log).clear();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
