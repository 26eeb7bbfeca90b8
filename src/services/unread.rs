//! The routing of a service without what a person may not get: the names of objects and of their namespaces, and what
//! stands in them (names of routes, hosts, gateways and other destinations). What requests of the service come to
//! stays. A number stands for the name of an object, the same one in everything that is read at once.
//!
//! The one place that knows which names a reader may have: findings, checks, refusals, notes of a plan, differences,
//! routes that are kept and rows of the history all leave through it. Pure but for the question who may get what. One
//! name stays: the namespace in the refusal of a missing right, without which nobody could grant it.

use std::collections::BTreeSet;

use crate::cluster::{Ask, Visible};
use crate::domain::actor::Identity;
use crate::domain::audit::Details;
use crate::domain::ids::{Namespace, ObjectRef, RouteId, ServiceRef};
use crate::domain::plan::Effect;
use crate::domain::refusal::{Args, Check, Refusal};
use crate::domain::release::Happened;
use crate::domain::routing::{Dest, HIDDEN, Mirror, Outcome, Part, Route, Routing};
use crate::domain::rule_changes::RuleChanges;
use crate::domain::service::WorkloadKind;
use crate::domain::snapshot::Snapshot;

use super::Services;

/// Values of a finding that no object holds: numbers, objects by kind and name (whose names are looked at one by one),
/// what Envoy answers.
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
    /// Namespaces that the person knows: those that they see, and those of objects that they may get.
    visible: Visible,
    known: BTreeSet<Namespace>,
    /// Others that what was read names.
    strange: BTreeSet<Namespace>,
    /// The person may not get the workloads of the service's namespace.
    workloads: bool,
    /// What they hold: names of routes, hosts, gateways.
    held: Vec<String>,
    /// Their routes' ids, and what stands for them.
    ids: Vec<(RouteId, RouteId)>,
    /// Ids and names of the routes that the person may read.
    readable: Vec<String>,
    versions: Vec<String>,
    /// Nothing is known of the service's routing, so nothing that a sentence names is shown.
    blind: bool,
    /// Every routing object may be read.
    free: bool,
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
        self.unread_among(who, snapshot, routing, &[]).await
    }

    async fn unread_among(
        &self,
        who: &Identity,
        snapshot: &Snapshot,
        routing: &Routing,
        more: &[ObjectRef],
    ) -> Option<Unread> {
        let gone: Vec<ObjectRef> =
            more.iter().filter(|object| !routing.objects.contains(object)).cloned().collect();
        let gone = self.unreadable(who, &gone).await;
        let mut unread = self.unreadable(who, &routing.objects).await;
        if unread.is_empty() && gone.is_empty() {
            return None;
        }
        let blind = !gone.is_empty();
        unread.extend(gone);
        let mut out = Unread::of(unread, routing, snapshot, self.sight(who).await);
        // Nobody can say what an object held that is no part of the routing any more.
        out.blind = blind;
        Some(out)
    }

    /// The same of a service as the cache has it. Of one that it does not have, everything.
    pub(super) async fn unread_at(&self, who: &Identity, at: &ServiceRef) -> Option<Unread> {
        self.unread_with(who, at, &[]).await
    }

    /// The same with objects that are named besides, parts of the routing or not.
    pub(super) async fn unread_with(
        &self,
        who: &Identity,
        at: &ServiceRef,
        more: &[ObjectRef],
    ) -> Option<Unread> {
        if who.unrestricted {
            return None;
        }
        if let Some(snapshot) = self.inner.cache.snapshot(at) {
            let routing = self.inner.routings.of(&snapshot);
            return self.unread_among(who, &snapshot, &routing, more).await;
        }
        let objects = self.unreadable(who, more).await;
        let known = more.iter().filter(|object| !objects.contains(object));
        let known = known.map(|object| &object.namespace).chain([&at.namespace]).cloned().collect();
        Some(Unread { known, ..Unread::everything(objects, self.sight(who).await) })
    }

    /// The same for names of workloads, too: those of the service's namespace need the right to get them.
    pub(super) async fn unread_with_workloads(&self, who: &Identity, at: &ServiceRef) -> Option<Unread> {
        if who.unrestricted {
            return None;
        }
        let ask = Ask::workload("get", WorkloadKind::Deployment, at.namespace.clone());
        let may = self.inner.cluster.allowed(who, ask).await.unwrap_or(false);
        match self.unread_at(who, at).await {
            Some(unread) => Some(Unread { workloads: !may, ..unread }),
            None if may => None,
            None => {
                let nothing = Unread::everything(Vec::new(), self.sight(who).await);
                let known = BTreeSet::from([at.namespace.clone()]);
                Some(Unread { blind: false, workloads: true, free: true, known, ..nothing })
            }
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
    /// Of a service of which nothing is known but these objects.
    pub fn everything(objects: Vec<ObjectRef>, visible: Visible) -> Self {
        let names = objects.iter().map(ToString::to_string).collect();
        let (held, ids, readable, versions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (known, strange) = (BTreeSet::new(), BTreeSet::new());
        let mut out = Self {
            objects,
            names,
            visible,
            known,
            strange,
            workloads: false,
            held,
            ids,
            readable,
            versions,
            blind: true,
            free: false,
        };
        out.strange = out.objects.iter().map(|object| object.namespace.clone()).collect();
        out
    }

    /// `routing` as it was read, with these objects of it.
    fn of(objects: Vec<ObjectRef>, routing: &Routing, snapshot: &Snapshot, visible: Visible) -> Self {
        let (mut held, mut ids, mut readable): (Vec<String>, _, _) = (Vec::new(), Vec::new(), Vec::new());
        let known = routing.objects.iter().filter(|object| !objects.contains(object));
        let known = known.map(|object| object.namespace.clone());
        let known: BTreeSet<Namespace> = known.chain([snapshot.service.at.namespace.clone()]).collect();
        let scope =
            routing.scope.iter().flat_map(|scope| scope.namespaces.iter().flatten().chain(&scope.except));
        let rules = snapshot.destination_rules.iter().map(|rule| &*rule.object.meta.namespace);
        let routes = snapshot.virtual_services.iter().map(|route| &*route.object.meta.namespace);
        let named = scope.map(String::as_str).chain(rules).chain(routes).map(Namespace::from);
        let strange = named.chain(objects.iter().map(|object| object.namespace.clone()));
        let strange = strange.filter(|name| !known.contains(name) && !visible.contains(name)).collect();
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
        let versions = snapshot.versions.iter().map(|version| version.name.to_string()).collect();
        let rest = Self::everything(objects, visible);
        Self { known, strange, held, ids, readable, versions, blind: false, ..rest }
    }

    /// Takes out of a routing what the objects hold.
    pub fn routing(&self, routing: &mut Routing) {
        let whole =
            routing.routes.iter().any(|route| route.is_default && self.objects.contains(&route.object));
        self.routes(&mut routing.routes);
        for object in &mut routing.objects {
            *object = self.object(object);
        }
        if let Some(scope) = &mut routing.scope {
            scope.namespaces.iter_mut().chain([&mut scope.except]).for_each(|names| self.namespaces(names));
        }
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
            route.object = self.object(&route.object);
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
            let open = OPEN.contains(&&**name) || self.names.contains(value) || self.versions.contains(value);
            if !open {
                let names = self.held.iter().any(|word| value.contains(word.as_str()));
                let known = |word: &str| self.free || self.readable.iter().any(|known| known == word);
                // Of several, each stands between backticks.
                let strange = ROUTES.contains(&&**name) && value != "-" && !known(value)
                    || name == "list"
                        && value.contains('`')
                        && !value.split('`').skip(1).step_by(2).all(known);
                let far = NAMESPACES.contains(&&**name) && words(value).any(|word| self.is_strange(word));
                if about || names || strange || far {
                    HIDDEN.clone_into(value);
                }
            }
            self.text(value);
        }
    }

    /// What stands for an object: itself where the person may get it.
    pub fn object(&self, object: &ObjectRef) -> ObjectRef {
        match self.objects.iter().position(|unread| unread == object) {
            Some(at) => ObjectRef::new(object.kind, HIDDEN, &format!("{HIDDEN}-{}", at + 1)),
            None => object.clone(),
        }
    }

    /// The same in lists of objects by kind, namespace and name.
    pub fn lines<'a>(&self, lines: impl IntoIterator<Item = &'a mut String>) {
        lines.into_iter().for_each(|line| self.text(line));
    }

    /// The same wherever a text names an object by kind, namespace and name.
    fn text(&self, text: &mut String) {
        for (kind, is_workload) in KINDS {
            let mut from = 0;
            while let Some(at) = text[from..].find(kind).map(|at| from + at + kind.len()) {
                from = at;
                let Some(rest) = text[at..].strip_prefix(' ') else { continue };
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-./".contains(c));
                let name = &rest[..end.unwrap_or(rest.len())];
                let Some((namespace, _)) = name.split_once('/') else { continue };
                let full = format!("{kind} {name}");
                let shown = match self.names.iter().position(|unread| *unread == full) {
                    Some(at) => format!("{HIDDEN}/{HIDDEN}-{}", at + 1),
                    None if self.is_strange(namespace) => format!("{HIDDEN}/{HIDDEN}"),
                    None if is_workload && self.workloads => format!("{namespace}/{HIDDEN}"),
                    None => continue,
                };
                let range = at + 1..at + 1 + name.len();
                text.replace_range(range, &shown);
                from = at + 1 + shown.len();
            }
        }
    }

    /// True for a namespace that the person does not know.
    fn is_strange(&self, namespace: &str) -> bool {
        let name = Namespace::from(namespace);
        self.strange.contains(&name) && !self.known.contains(&name) && !self.visible.contains(&name)
    }

    fn namespaces(&self, names: &mut Vec<String>) {
        for name in names.iter_mut().filter(|name| self.is_strange(name)) {
            HIDDEN.clone_into(name);
        }
        names.dedup();
    }
}

/// Values that name namespaces.
const NAMESPACES: [&str; 3] = ["list", "namespace", "namespaces"];

/// The kinds that a text names objects by, and whether they are workloads.
const KINDS: [(&str, bool); 8] = [
    ("VirtualService", false),
    ("DestinationRule", false),
    ("ServiceEntry", false),
    ("Sidecar", false),
    ("Service", false),
    ("Deployment", true),
    ("StatefulSet", true),
    ("Pod", true),
];

fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| !word.is_empty())
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
