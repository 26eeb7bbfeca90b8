//! The routing of a service without what stands in objects that a person may not get: names of routes, hosts,
//! gateways and other destinations. What requests of the service come to stays, and so do the objects' own names.
//!
//! The one place that knows what an object holds by name: findings, checks, refusals, notes of a plan, routes that are
//! kept and rows of the history all leave through it. Pure but for the question who may get what.

use crate::cluster::Ask;
use crate::domain::actor::Identity;
use crate::domain::audit::Details;
use crate::domain::ids::{ObjectRef, RouteId, ServiceRef};
use crate::domain::plan::Effect;
use crate::domain::refusal::{Args, Check, Refusal};
use crate::domain::release::Happened;
use crate::domain::routing::{Dest, HIDDEN, Mirror, Outcome, Part, Route, Routing};
use crate::domain::rule_changes::RuleChanges;
use crate::domain::snapshot::Snapshot;

use super::Services;

/// Values of a finding that no object holds: numbers, objects' own names, what Envoy answers.
const OPEN: [&str; 10] = ["object", "n", "x", "w", "m", "status", "why", "port", "protocol", "number"];

impl Services {
    /// Those of a service's objects that the person may not get. A right on all objects of a namespace is asked for
    /// first: usual people have it, and a page of services then asks once a namespace.
    pub(super) async fn unreadable(&self, who: &Identity, objects: &[ObjectRef]) -> Vec<ObjectRef> {
        let mut out = Vec::new();
        if who.unrestricted {
            return out;
        }
        for object in objects {
            let all = Ask::write("get", object.kind, object.namespace.clone());
            if !self.inner.cluster.allowed(who, all).await.unwrap_or(false)
                && !self.may_get(who, object).await
            {
                out.push(object.clone());
            }
        }
        out
    }
}

/// What of a service's routing a person may not get, and the words in it: sentences, routes and rules leave without them.
pub(super) struct Unread {
    /// The objects, and their names as sentences have them.
    objects: Vec<ObjectRef>,
    names: Vec<String>,
    /// What they hold: names of routes, hosts, gateways.
    held: Vec<String>,
    /// Their routes' ids, and what stands for them.
    ids: Vec<(RouteId, RouteId)>,
    /// Ids and names of the routes that the person may read.
    readable: Vec<String>,
    versions: Vec<String>,
    /// Nothing is known of the service's routing, so nothing that a sentence names is shown.
    blind: bool,
}

/// Values that name a route, a rule or an object that another one delegates to.
const ROUTES: [&str; 3] = ["route", "rule", "delegate"];

impl Services {
    /// What the person may not get of what was read; `None` = nothing.
    pub(super) async fn unread_of(
        &self,
        who: &Identity,
        snapshot: &Snapshot,
        routing: &Routing,
    ) -> Option<Unread> {
        let unread = self.unreadable(who, &routing.objects).await;
        (!unread.is_empty()).then(|| Unread::of(unread, routing, snapshot))
    }

    /// The same of a service as the cache has it. Of one that it does not have, everything.
    pub(super) async fn unread_at(&self, who: &Identity, at: &ServiceRef) -> Option<Unread> {
        if who.unrestricted {
            return None;
        }
        match self.inner.cache.snapshot(at) {
            Some(snapshot) => {
                let routing = self.inner.routings.of(&snapshot);
                self.unread_of(who, &snapshot, &routing).await
            }
            None => Some(Unread::everything()),
        }
    }

    /// A refusal about a service as this person may read it.
    pub(super) async fn shown_refusal(&self, who: &Identity, at: &ServiceRef, refusal: Refusal) -> Refusal {
        match self.unread_at(who, at).await {
            Some(unread) => unread.refusal(refusal),
            None => refusal,
        }
    }
}

impl Unread {
    /// Of a service of which nothing is known.
    pub fn everything() -> Self {
        let (objects, names, held) = (Vec::new(), Vec::new(), Vec::new());
        let (ids, readable, versions) = (Vec::new(), Vec::new(), Vec::new());
        Self { objects, names, held, ids, readable, versions, blind: true }
    }

    /// `routing` as it was read, with these objects of it.
    fn of(objects: Vec<ObjectRef>, routing: &Routing, snapshot: &Snapshot) -> Self {
        let (mut held, mut ids, mut readable): (Vec<String>, _, _) = (Vec::new(), Vec::new(), Vec::new());
        let own = format!("{}.", snapshot.service.at.name);
        for route in &routing.routes {
            if !objects.contains(&route.object) {
                readable.push(route.id.to_string());
                readable.extend(route.name.clone());
                continue;
            }
            ids.push((route.id.clone(), RouteId::trusted(format!("{HIDDEN}-{}", ids.len() + 1))));
            held.push(route.id.to_string());
            held.extend(route.name.clone());
            held.extend(route.gateways.iter().filter(|gateway| *gateway != "mesh").cloned());
            // A reader who sees the service knows its own names.
            held.extend(
                route.hosts.iter().filter(|host| host.contains('.') && !host.starts_with(&own)).cloned(),
            );
            held.extend(route.targets.iter().filter_map(|target| match &target.to {
                Dest::Foreign { host, .. } => Some(host.clone()),
                _ => target.via.clone(),
            }));
            if let Some(Dest::Foreign { host, .. }) =
                routing.mirror.as_ref().filter(|_| route.is_default).map(|mirror| &mirror.to)
            {
                held.push(host.clone());
            }
        }
        held.retain(|word| word.len() > 1);
        let names = objects.iter().map(ToString::to_string).collect();
        let versions = snapshot.versions.iter().map(|version| version.name.to_string()).collect();
        Self { objects, names, held, ids, readable, versions, blind: false }
    }

    /// Takes out of a routing what the objects hold.
    pub fn routing(&self, routing: &mut Routing) {
        let whole =
            routing.routes.iter().any(|route| route.is_default && self.objects.contains(&route.object));
        self.routes(&mut routing.routes);
        for rule in &mut routing.rules {
            let Some((_, id)) = self.ids.iter().find(|(real, _)| rule.id.as_ref() == Some(real)) else {
                continue;
            };
            rule.id = Some(id.clone());
            rule.hide();
        }
        if whole {
            hide_parts(&mut routing.split);
            if let Some(scope) = &mut routing.scope {
                scope.hosts = vec![HIDDEN.to_owned()];
                hide_all(&mut scope.gateways);
            }
            if let Some(mirror) = &mut routing.mirror {
                mirror.hide();
            }
        }
    }

    /// The same of routes.
    pub fn routes(&self, routes: &mut [Route]) {
        for route in routes.iter_mut().filter(|route| self.blind || self.objects.contains(&route.object)) {
            route.id = self.id(&route.id);
            route.name = None;
            route.hosts = vec![HIDDEN.to_owned()];
            hide_all(&mut route.gateways);
            for target in &mut route.targets {
                if let Dest::Foreign { host, subset } = &mut target.to {
                    HIDDEN.clone_into(host);
                    *subset = None;
                }
                if target.via.is_some() {
                    target.via = Some(HIDDEN.to_owned());
                }
            }
            hide_parts(&mut route.parts);
        }
    }

    /// What stands for the id of a route.
    pub fn id(&self, id: &RouteId) -> RouteId {
        match self.ids.iter().find(|(real, _)| real == id) {
            Some((_, shown)) => shown.clone(),
            None if self.readable.iter().any(|known| known == id.as_str()) => id.clone(),
            // A route that is not there any more: its object is unknown.
            None => RouteId::trusted(HIDDEN.to_owned()),
        }
    }

    /// The same for what is found and checked, which is about objects and may name what they hold.
    pub fn checks(&self, checks: &mut [Check]) {
        for check in checks {
            self.args(&mut check.args);
        }
    }

    /// The same for a refusal.
    pub fn refusal(&self, mut refusal: Refusal) -> Refusal {
        self.args(&mut refusal.args);
        self.checks(&mut refusal.checks);
        refusal
    }

    /// The same for what a row of the history says.
    pub fn details(&self, details: &mut Details) {
        self.checks(&mut details.checks);
        details.refusal = details.refusal.take().map(|refusal| self.refusal(refusal));
        details.route = details.route.take().map(|route| self.id(&route));
        if let Some(mirror) = &mut details.mirror {
            mirror.before.iter_mut().chain(&mut mirror.after).for_each(Mirror::hide);
        }
        if let Some(mark) = &mut details.release {
            let happened = std::mem::take(&mut mark.happened);
            mark.happened = happened.into_iter().map(|one| self.happened(one)).collect();
        }
    }

    /// The same for what happened to a release.
    pub fn happened(&self, happened: Happened) -> Happened {
        match happened {
            Happened::NotDone { action, refusal } => {
                Happened::NotDone { action, refusal: self.refusal(refusal) }
            }
            other => other,
        }
    }

    /// The same for what a change would do: the conditions of rules and the hosts of mirrors are not distinguished
    /// by object, so all of them go.
    pub fn effect(&self, effect: &mut Effect) {
        self.routes(&mut effect.kept);
        effect.route = effect.route.take().map(|route| self.id(&route));
        for rule in effect.rules_before.iter_mut().chain(&mut effect.rules_after) {
            rule.hide();
        }
        effect.rule_changes = effect.rule_changes.take().map(RuleChanges::without_conditions);
        for mirror in effect.mirror_before.iter_mut().chain(&mut effect.mirror_after) {
            mirror.hide();
        }
    }

    fn args(&self, args: &mut Args) {
        let about = self.blind || args.iter().any(|(_, value)| self.names.contains(value));
        for (name, value) in args.iter_mut() {
            if OPEN.contains(&&**name) || self.names.contains(value) || self.versions.contains(value) {
                continue;
            }
            let names = self.held.iter().any(|word| value.contains(word.as_str()));
            let known = |word: &str| self.readable.iter().any(|known| known == word);
            // Of several, each stands between backticks.
            let strange = ROUTES.contains(&&**name) && value != "-" && !known(value)
                || name == "list" && value.contains('`') && !value.split('`').skip(1).step_by(2).all(known);
            if about || names || strange {
                HIDDEN.clone_into(value);
            }
        }
    }
}

/// `mesh` is no name.
fn hide_all(gateways: &mut Vec<String>) {
    for gateway in gateways.iter_mut().filter(|gateway| *gateway != "mesh") {
        HIDDEN.clone_into(gateway);
    }
    gateways.dedup();
}

fn hide_parts(parts: &mut [Part]) {
    for part in parts {
        match &mut part.to {
            Outcome::Host(host) => HIDDEN.clone_into(host),
            Outcome::Answer(answer) if !answer.name.is_empty() => HIDDEN.clone_into(&mut answer.name),
            _ => {}
        }
    }
}
