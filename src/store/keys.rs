//! The keys of the `listing` index. A row stands under one key for each combination of things that it can
//! be filtered by, so a filtered page is a range under one key (or a few).

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::domain::audit::{Action, Ending, Entry, Filter};
use crate::domain::ids::{Namespace, ServiceRef};

/// Which part of the history a key covers.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    All,
    Namespace(&'a Namespace),
    Service(&'a ServiceRef),
    /// Entries that belong to no service: sign-ins and sign-outs.
    NoService,
}

/// One combination of filters. Action and ending stand in a key both or not at all; a filter by one of
/// them reads the few keys that have it.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub scope: Scope<'a>,
    pub actor: Option<&'a str>,
    pub class: Option<(Action, Ending)>,
}

impl Key<'_> {
    /// The number under which it is stored. 64 bits of SHA-256: two keys do not meet.
    pub fn number(&self) -> i64 {
        let mut hash = Sha256::new();
        let mut part = |tag: u8, text: &str| {
            hash.update([tag]);
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        match self.scope {
            Scope::All => part(b'*', ""),
            Scope::Namespace(namespace) => part(b'n', namespace.as_str()),
            Scope::Service(service) => {
                part(b'n', service.namespace.as_str());
                part(b's', &service.name);
            }
            Scope::NoService => part(b'-', ""),
        }
        if let Some(actor) = self.actor {
            part(b'a', actor);
        }
        if let Some((action, ending)) = self.class {
            part(b'x', action.as_str());
            part(b'e', ending.as_str());
        }
        let digest: [u8; 32] = hash.finalize().into();
        i64::from_le_bytes(digest[..8].try_into().unwrap_or_default())
    }
}

/// Every key under which a finished entry stands.
pub(super) fn of_entry(entry: &Entry) -> Vec<i64> {
    let Some(outcome) = &entry.outcome else { return Vec::new() };
    let class = (entry.intent.action, outcome.ending);
    let mut scopes = vec![Scope::All];
    match &entry.intent.service {
        Some(service) => scopes.extend([Scope::Namespace(&service.namespace), Scope::Service(service)]),
        None => scopes.push(Scope::NoService),
    }
    let mut out = Vec::with_capacity(12);
    for scope in scopes {
        for actor in [None, Some(entry.intent.actor.as_str())] {
            for class in [None, Some(class)] {
                out.push(Key { scope, actor, class }.number());
            }
        }
    }
    out
}

/// The keys whose ranges together are what a filter asks for (time and text aside). They do not overlap;
/// none = nothing can match.
pub(super) fn of_filter(filter: &Filter) -> Vec<i64> {
    let classes: Vec<Option<(Action, Ending)>> = if filter.action.is_none() && filter.ending.is_none() {
        vec![None]
    } else {
        let actions = Action::ALL.into_iter().filter(|action| filter.action.is_none_or(|f| f == *action));
        actions
            .flat_map(|action| Ending::ALL.into_iter().map(move |ending| (action, ending)))
            .filter(|(_, ending)| filter.ending.is_none_or(|f| f == *ending))
            .map(Some)
            .collect()
    };
    let mut out = Vec::new();
    for (scope, actor) in scopes(filter) {
        out.extend(classes.iter().map(|class| Key { scope, actor, class: *class }.number()));
    }
    out
}

fn scopes(filter: &Filter) -> Vec<(Scope<'_>, Option<&str>)> {
    let actor = filter.actor.as_deref();
    let Some(namespaces) = &filter.namespaces else {
        let scope = filter.service.as_ref().map_or(Scope::All, Scope::Service);
        return vec![(scope, actor)];
    };
    if let Some(service) = &filter.service {
        let visible = namespaces.contains(&service.namespace);
        return if visible { vec![(Scope::Service(service), actor)] } else { Vec::new() };
    }
    let mut sorted: Vec<&Namespace> = namespaces.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut out: Vec<_> = sorted.into_iter().map(|namespace| (Scope::Namespace(namespace), actor)).collect();
    if let Some(own) = filter.own.as_deref()
        && actor.is_none_or(|actor| actor == own)
    {
        out.push((Scope::NoService, Some(own)));
    }
    out
}

/// `[1,2,3]`, as `json_each` reads it.
pub(super) fn json(numbers: &[i64]) -> String {
    let mut out = String::with_capacity(numbers.len() * 20 + 2);
    out.push('[');
    for (place, number) in numbers.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let _ = write!(out, "{comma}{number}");
    }
    out.push(']');
    out
}

/// The words by which text search knows what a finished entry can be filtered by.
pub(super) fn tags_of_entry(entry: &Entry) -> Vec<String> {
    let mut out = vec![actor_tag(&entry.intent.actor), tag("x", entry.intent.action.as_str())];
    if let Some(outcome) = &entry.outcome {
        out.push(tag("e", outcome.ending.as_str()));
    }
    match &entry.intent.service {
        Some(service) => {
            out.push(tag("n", service.namespace.as_str()));
            out.push(tag("s", &service.to_string()));
        }
        None => out.push(tag("o", "")),
    }
    out
}

/// The same for a filter: parts of an FTS5 expression, all of which must hold. Only for a filter that has
/// keys at all.
pub(super) fn tags_of_filter(filter: &Filter) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(actor) = &filter.actor {
        out.push(format!("\"{}\"", actor_tag(actor)));
    }
    if let Some(action) = filter.action {
        out.push(format!("\"{}\"", tag("x", action.as_str())));
    }
    if let Some(ending) = filter.ending {
        out.push(format!("\"{}\"", tag("e", ending.as_str())));
    }
    let scopes: Vec<String> = scopes(filter)
        .into_iter()
        .filter_map(|(scope, actor)| match scope {
            Scope::All => None,
            Scope::Namespace(namespace) => Some(format!("\"{}\"", tag("n", namespace.as_str()))),
            Scope::Service(service) => Some(format!("\"{}\"", tag("s", &service.to_string()))),
            Scope::NoService => {
                Some(format!("(\"{}\" AND \"{}\")", tag("o", ""), actor_tag(actor.unwrap_or_default())))
            }
        })
        .collect();
    if !scopes.is_empty() {
        out.push(format!("({})", scopes.join(" OR ")));
    }
    out
}

fn actor_tag(actor: &str) -> String {
    tag("a", actor)
}

/// A word of letters and digits, longer than any gram, that stands for a value.
pub(super) fn tag(kind: &str, value: &str) -> String {
    let digest = Sha256::new().chain_update(kind.as_bytes()).chain_update([0]).chain_update(value.as_bytes());
    let digest: [u8; 32] = digest.finalize().into();
    format!("{kind}{}", hex::encode(&digest[..8]))
}
