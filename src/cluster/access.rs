//! Authentication (TokenReview) and authorisation (SubjectAccessReview) of people and programs. The API server
//! decides; answers are kept by person for a minute at most (for writes, for three seconds), and a failure is never
//! an allowance.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::domain::actor::Identity;
use crate::domain::ids::{Kind, Namespace, ObjectRef};
use crate::domain::plan::{Edit, Plan};
use crate::domain::service::WorkloadKind;

use super::cache::Cache;
use super::error::ClusterError;
use super::wire::{self, Call};
use super::{Cluster, within};

/// A denial, and a token that is none, are kept for a shorter time: the right may just have been granted.
const DENIED_MS: i64 = 15_000;
/// An allowance to write is believed for as long as one press takes: a right that was taken away writes nothing more.
const WRITE_MS: i64 = 3_000;
/// More answers than this are not kept.
const MOST: usize = 50_000;

/// What an actor wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    pub verb: &'static str,
    pub group: &'static str,
    pub resource: &'static str,
    /// `None` = in every namespace.
    pub namespace: Option<Namespace>,
    /// `None` = any object.
    pub name: Option<Arc<str>>,
}

impl Ask {
    /// The right to see a service, in one namespace or in all.
    pub fn see(namespace: Option<Namespace>) -> Self {
        Self { verb: "list", group: "", resource: "services", namespace, name: None }
    }

    /// The right to do something to routing objects of a kind.
    pub fn write(verb: &'static str, kind: Kind, namespace: Namespace) -> Self {
        let group = "networking.istio.io";
        Self { verb, group, resource: kind.plural(), namespace: Some(namespace), name: None }
    }

    /// The same for one routing object.
    pub fn route(verb: &'static str, object: &ObjectRef) -> Self {
        Self::write(verb, object.kind, object.namespace.clone()).named(&object.name)
    }

    /// The right to do something to a workload of a kind.
    pub fn workload(verb: &'static str, kind: WorkloadKind, namespace: Namespace) -> Self {
        let resource = match kind {
            WorkloadKind::Deployment => "deployments",
            WorkloadKind::StatefulSet => "statefulsets",
        };
        Self { verb, group: "apps", resource, namespace: Some(namespace), name: None }
    }

    /// The right to do something to pods.
    pub fn pods(verb: &'static str, namespace: Namespace) -> Self {
        Self { verb, group: "", resource: "pods", namespace: Some(namespace), name: None }
    }

    /// The same for the object of this name only.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.into()), ..self }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        self.namespace.as_ref().map_or(Ok(()), |namespace| write!(f, " in {namespace}"))
    }
}

/// The namespaces whose services an actor may see.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Visible {
    All,
    Some(BTreeSet<Namespace>),
}

impl Visible {
    pub fn contains(&self, namespace: &Namespace) -> bool {
        match self {
            Self::All => true,
            Self::Some(namespaces) => namespaces.contains(namespace),
        }
    }
}

/// Answers that are still believed. Tokens are kept as SHA-256; an identity is kept once, however many answers are
/// known of it.
#[derive(Default)]
pub(super) struct Known {
    tokens: Mutex<Answers<[u8; 32], Option<Arc<Identity>>>>,
    rights: Mutex<Rights>,
}

/// Answers by person.
#[derive(Default)]
struct Rights {
    by_person: HashMap<Identity, Answers<Ask, bool>>,
    /// Of all persons.
    count: usize,
}

impl Rights {
    fn keep(&mut self, who: &Identity, ask: Ask, kept: Kept<bool>) {
        if self.count >= MOST {
            let now = kept.at_ms;
            self.by_person.retain(|_, answers| {
                answers.retain(|_, kept| (0..60_000).contains(&(now - kept.at_ms)));
                !answers.is_empty()
            });
            self.count = self.by_person.values().map(HashMap::len).sum();
            if self.count >= MOST {
                self.by_person.clear();
                self.count = 0;
            }
        }
        // The copy is thrown away where the person is known: an answer has cost a request.
        let answers = self.by_person.entry(who.clone()).or_default();
        if answers.insert(ask, kept).is_none() {
            self.count += 1;
        }
    }
}

type Answers<K, T> = HashMap<K, Kept<T>>;

struct Kept<T> {
    at_ms: i64,
    value: T,
}

impl Cluster {
    /// Whose token it is; `None` when the API server does not know it (or when it is meant for another audience).
    pub async fn review_token(&self, token: &str) -> Result<Option<Identity>, ClusterError> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let now = self.inner.options.clock.now_ms();
        let known = &self.inner.rights.tokens;
        if let Some(kept) = self.believed(known, &hash, now, Option::is_some) {
            return Ok(kept.map(|identity| Identity::clone(&identity)));
        }
        let audiences = &self.inner.options.audiences;
        let mut spec = json!({ "token": token });
        if !audiences.is_empty() {
            spec["audiences"] = json!(audiences);
        }
        let review: Review<TokenStatus> =
            self.review("authentication.k8s.io/v1", "TokenReview", &spec).await?;
        let found = review.status.identity(audiences).map(Arc::new);
        keep(known, hash, Kept { at_ms: now, value: found.clone() });
        Ok(found.map(|identity| Identity::clone(&identity)))
    }

    /// Whether an actor may do something. An error means no.
    pub async fn allowed(&self, who: &Identity, ask: Ask) -> Result<bool, ClusterError> {
        self.allowed_since(who, ask, i64::MAX).await
    }

    /// The same by an allowance that is younger than this.
    async fn allowed_since(&self, who: &Identity, ask: Ask, yes_ms: i64) -> Result<bool, ClusterError> {
        if who.unrestricted {
            return Ok(true);
        }
        let now = self.inner.options.clock.now_ms();
        if let Some(allowed) = self.known_right(who, &ask, now, yes_ms) {
            return Ok(allowed);
        }
        let mut attributes = json!({ "verb": ask.verb, "group": ask.group, "resource": ask.resource });
        if let Some(namespace) = &ask.namespace {
            attributes["namespace"] = json!(namespace);
        }
        if let Some(name) = &ask.name {
            attributes["name"] = json!(name);
        }
        let spec = json!({ "user": who.user, "uid": who.uid, "groups": who.groups, "resourceAttributes": attributes });
        let review: Review<AccessStatus> =
            self.review("authorization.k8s.io/v1", "SubjectAccessReview", &spec).await?;
        let allowed = review.status.allowed && !review.status.denied;
        let mut known = self.inner.rights.rights.lock().unwrap_or_else(PoisonError::into_inner);
        known.keep(who, ask, Kept { at_ms: now, value: allowed });
        Ok(allowed)
    }

    /// True when it is known, without asking, that an actor may see the services of a namespace.
    pub fn is_known_to_see(&self, who: &Identity, namespace: &Namespace) -> bool {
        let now = self.inner.options.clock.now_ms();
        let yes = |ask: Ask| self.known_right(who, &ask, now, i64::MAX) == Some(true);
        who.unrestricted || yes(Ask::see(None)) || yes(Ask::see(Some(namespace.clone())))
    }

    /// The namespaces whose services an actor may see: all at once where the right is cluster-wide, else asked
    /// one by one. A namespace about which no answer comes is not among them.
    pub async fn visible_namespaces(&self, who: &Identity, cache: &Cache) -> Result<Visible, ClusterError> {
        if self.allowed(who, Ask::see(None)).await? {
            return Ok(Visible::All);
        }
        let namespaces = cache.namespaces();
        let ask = |namespace: Namespace| async move {
            let allowed = self.allowed(who, Ask::see(Some(namespace.clone()))).await;
            allowed.unwrap_or(false).then_some(namespace)
        };
        let visible =
            stream::iter(namespaces.to_vec()).map(ask).buffer_unordered(16).filter_map(std::future::ready);
        Ok(Visible::Some(visible.collect().await))
    }

    /// The first right to change traffic in these namespaces that an actor lacks; `None` when none is lacking.
    pub async fn may_change(
        &self,
        who: &Identity,
        namespaces: impl IntoIterator<Item = &Namespace>,
    ) -> Result<Option<Ask>, ClusterError> {
        let kinds = [Kind::VirtualService, Kind::DestinationRule];
        let asks = namespaces
            .into_iter()
            .flat_map(|namespace| kinds.map(|kind| Ask::write("update", kind, namespace.clone())));
        self.denied_of(who, asks.collect(), i64::MAX).await
    }

    /// The first right that a plan needs and that an actor lacks, creations included.
    pub async fn may_write(&self, who: &Identity, plan: &Plan) -> Result<Option<Ask>, ClusterError> {
        self.first_denied(who, asks_of(plan)).await
    }

    /// The first of these rights, needed now for a write, that an actor lacks; `None` when none is lacking.
    pub async fn first_denied(&self, who: &Identity, asks: Vec<Ask>) -> Result<Option<Ask>, ClusterError> {
        self.denied_of(who, asks, WRITE_MS).await
    }

    async fn denied_of(
        &self,
        who: &Identity,
        asks: Vec<Ask>,
        yes_ms: i64,
    ) -> Result<Option<Ask>, ClusterError> {
        let check = |ask: Ask| async move {
            self.allowed_since(who, ask.clone(), yes_ms).await.map(|allowed| (ask, allowed))
        };
        let answers: Vec<_> = stream::iter(asks).map(check).buffered(16).collect().await;
        for answer in answers {
            if let (ask, false) = answer? {
                return Ok(Some(ask));
            }
        }
        Ok(None)
    }

    /// Asks for a review: a POST that stores nothing, so it may be repeated like a reading.
    async fn review<T: serde::de::DeserializeOwned>(
        &self,
        api_version: &str,
        kind: &str,
        spec: &serde_json::Value,
    ) -> Result<T, ClusterError> {
        let path = format!("/apis/{api_version}/{}s", kind.to_ascii_lowercase());
        let body = json!({ "apiVersion": api_version, "kind": kind, "spec": spec });
        let call = Call::with_body(Method::POST, path, &body);
        let answer = wire::read(&self.inner.clients.read, &call, within(self.limits().read)).await?;
        serde_json::from_slice(&answer.body).map_err(|error| ClusterError::Invalid(error.to_string()))
    }

    /// What is still believed of a right.
    fn known_right(&self, who: &Identity, ask: &Ask, now: i64, yes_ms: i64) -> Option<bool> {
        let known = self.inner.rights.rights.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = known.by_person.get(who)?.get(ask)?;
        let young = !kept.value || (0..yes_ms).contains(&(now - kept.at_ms));
        self.fresh(kept, now, |allowed| *allowed).filter(|_| young)
    }

    fn believed<K: Hash + Eq, T: Clone>(
        &self,
        known: &Mutex<Answers<K, T>>,
        key: &K,
        now: i64,
        is_yes: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        self.fresh(known.get(key)?, now, is_yes)
    }

    /// An answer that is young enough.
    fn fresh<T: Clone>(&self, kept: &Kept<T>, now: i64, is_yes: impl Fn(&T) -> bool) -> Option<T> {
        let yes_ms = i64::try_from(self.limits().rights.as_millis()).unwrap_or(i64::MAX).min(60_000);
        let age = now - kept.at_ms;
        let limit = if is_yes(&kept.value) { yes_ms } else { DENIED_MS.min(yes_ms) };
        // A clock that went back makes everything old.
        (0..limit).contains(&age).then(|| kept.value.clone())
    }
}

/// Every right that a plan needs, one an edit: wherever the object lives.
pub fn asks_of(plan: &Plan) -> Vec<Ask> {
    let ask = |edit: &Edit| match (&edit.before, &edit.after) {
        (_, None) => Ask::route("delete", &edit.object),
        (Some(_), _) => Ask::route("update", &edit.object),
        // The name of an object that is not there yet is no part of the question.
        (None, _) => Ask::write("create", edit.object.kind, edit.object.namespace.clone()),
    };
    plan.edits().map(ask).collect()
}

fn keep<K: Hash + Eq, T>(known: &Mutex<Answers<K, T>>, key: K, kept: Kept<T>) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= MOST {
        let now = kept.at_ms;
        known.retain(|_, old| (0..60_000).contains(&(now - old.at_ms)));
        if known.len() >= MOST {
            known.clear();
        }
    }
    known.insert(key, kept);
}

#[derive(Deserialize)]
struct Review<T> {
    status: T,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenStatus {
    authenticated: bool,
    user: UserJson,
    audiences: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserJson {
    username: String,
    uid: String,
    groups: Vec<String>,
}

impl TokenStatus {
    fn identity(self, wanted: &[String]) -> Option<Identity> {
        // An authenticator that knows no audiences leaves the list empty, and must not be believed where one is asked.
        let meant = wanted.is_empty() || self.audiences.iter().any(|audience| wanted.contains(audience));
        let UserJson { username, uid, groups } = self.user;
        let known = self.authenticated && meant && !username.is_empty();
        known.then_some(Identity { user: username, uid, groups, unrestricted: false })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccessStatus {
    allowed: bool,
    denied: bool,
}
