//! What is shown of an object needs the right to get that object: of an entry of the history, a difference, a
//! preview, and the conditions of rules. Who lacks it sees the object's name, and that the rest is not shown.
//!
//! Everything that leaves this room for a reader goes through here. Rights are believed for a minute at most, so
//! a page of the history asks once for each object; an error of the cluster hides.

use std::sync::Arc;

use crate::cluster::Ask;
use crate::domain::actor::Identity;
use crate::domain::audit::{Details, EditRecord, Entry, WorkloadRecord};
use crate::domain::ids::{Namespace, ObjectRef, ServiceRef};
use crate::domain::overview::{DiffLine, ListPage, Overview};
use crate::domain::plan::Effect;
use crate::domain::refusal::Refusal;
use crate::domain::release::{Happened, Release, TimelineEntry};
use crate::domain::routing::Routing;
use crate::domain::rule_changes::RuleChanges;
use crate::domain::service::WorkloadKind;

use super::beyond::known_entry;
use super::{Services, unread};

impl Services {
    /// True when the person may read this routing object.
    pub(super) async fn may_get(&self, who: &Identity, object: &ObjectRef) -> bool {
        self.inner.cluster.allowed(who, Ask::route("get", object)).await.unwrap_or(false)
    }

    async fn may_get_workload(&self, who: &Identity, record: &WorkloadRecord) -> bool {
        let namespace: Namespace = record.namespace.clone();
        let ask = match record.kind.as_str() {
            "Deployment" => Ask::workload("get", WorkloadKind::Deployment, namespace),
            "StatefulSet" => Ask::workload("get", WorkloadKind::StatefulSet, namespace),
            "Pod" => Ask::pods("get", namespace),
            _ => return who.unrestricted,
        };
        self.inner.cluster.allowed(who, ask.named(&record.name)).await.unwrap_or(false)
    }

    /// The entry as this person may read it.
    pub(super) async fn shown(&self, who: &Identity, mut entry: Entry) -> Entry {
        if who.unrestricted {
            return entry;
        }
        known_entry(&mut entry, &self.sight(who).await);
        let mut hidden = self.hide(who, &mut entry.intent.details).await;
        if let Some(outcome) = &mut entry.outcome {
            hidden |= self.hide(who, &mut outcome.details).await;
        }
        if let (false, true, Some(at)) = (hidden, quotes(&entry), &entry.intent.service) {
            // A list holds no objects: it may be any of the service's that the cluster spoke of.
            hidden = !self.reads_routing(who, at).await;
        }
        if let (true, Some(at)) = (names_rules(&entry), &entry.intent.service)
            && (hidden || !self.reads_routing(who, at).await)
        {
            for details in details_of(&mut entry) {
                details.rules = details.rules.take().map(|rules| Box::new(rules.without_conditions()));
            }
        }
        if hidden {
            // What the cluster said of an object may quote it.
            details_of(&mut entry).for_each(unquote);
        }
        entry
    }

    /// Takes out what the person may not read; true when something was.
    async fn hide(&self, who: &Identity, details: &mut Details) -> bool {
        let mut hidden = false;
        for edit in &mut details.edits {
            if !self.may_get(who, &edit.object).await {
                *edit = EditRecord { before: None, after: None, ..edit.clone() };
                hidden = true;
            }
        }
        for record in &mut details.workloads {
            if !self.may_get_workload(who, record).await {
                *record = WorkloadRecord { before: None, after: None, ..record.clone() };
                hidden = true;
            }
        }
        let specs = [Some(&mut details.specs), details.specs_before.as_mut()];
        for specs in specs.into_iter().flatten() {
            let mut kept = Vec::with_capacity(specs.len());
            for (object, spec) in specs.drain(..) {
                if self.may_get(who, &object).await {
                    kept.push((object, spec));
                } else {
                    hidden = true;
                }
            }
            *specs = kept;
        }
        hidden
    }

    /// The lines of each object that the person may read.
    pub(super) async fn shown_diffs(
        &self,
        who: &Identity,
        mut diffs: Vec<(ObjectRef, Vec<DiffLine>)>,
    ) -> Vec<(ObjectRef, Vec<DiffLine>)> {
        for (object, lines) in &mut diffs {
            if !self.may_get(who, object).await {
                *lines = vec![DiffLine::hidden()];
            }
        }
        diffs
    }

    /// True when the person may read every routing object of the service: what the cluster said of them may quote any.
    async fn reads_routing(&self, who: &Identity, at: &ServiceRef) -> bool {
        let Some(snapshot) = self.inner.cache.snapshot(at) else { return who.unrestricted };
        let routing = self.inner.routings.of(&snapshot);
        for object in &routing.objects {
            if !self.may_get(who, object).await {
                return false;
            }
        }
        true
    }

    /// The release as this person may read it.
    pub(super) async fn shown_release(&self, who: &Identity, mut release: Release) -> Release {
        let state = &release.state;
        let detail = state.paused.as_ref().and_then(|paused| paused.detail.as_ref());
        let quotes = [state.needs.as_ref(), detail].into_iter().flatten().any(Refusal::quotes);
        if quotes && !self.reads_routing(who, &release.spec.service).await {
            let state = &mut release.state;
            state.needs = state.needs.take().map(Refusal::without_quotes);
            if let Some(paused) = &mut state.paused {
                paused.detail = paused.detail.take().map(Refusal::without_quotes);
            }
        }
        release
    }

    /// Takes out of an effect what rules and mirrors hold, unless the person may read every routing object of the
    /// service.
    pub(super) async fn hide_rules(&self, who: &Identity, at: &ServiceRef, effect: &mut Effect) {
        let rules = effect.rules_before.iter().chain(&effect.rules_after).next().is_some();
        let mirrors = effect.mirror_before.is_some() || effect.mirror_after.is_some();
        if who.unrestricted || !(rules || mirrors) {
            return;
        }
        if !self.reads_routing(who, at).await {
            for rule in effect.rules_before.iter_mut().chain(&mut effect.rules_after) {
                rule.hide();
            }
            effect.rule_changes = effect.rule_changes.take().map(RuleChanges::without_conditions);
            for mirror in effect.mirror_before.iter_mut().chain(&mut effect.mirror_after) {
                mirror.hide();
            }
        }
    }

    /// What happened to a release, as this person may read it.
    pub(super) async fn shown_timeline(
        &self,
        who: &Identity,
        at: &ServiceRef,
        entries: Vec<TimelineEntry>,
    ) -> Vec<TimelineEntry> {
        if self.reads_routing(who, at).await {
            return entries;
        }
        entries.into_iter().map(TimelineEntry::without_quotes).collect()
    }

    async fn reads_rules(&self, who: &Identity, item: &Overview) -> bool {
        if who.unrestricted || item.routing.rules.is_empty() {
            return true;
        }
        match item.routing.default_route() {
            Some(route) => self.may_get(who, &route.object).await,
            None => false,
        }
    }

    /// A page of services as this person may read it. One page is kept for all who see the same namespaces: where
    /// something is left out it is another page.
    pub(super) async fn shown_page(&self, who: &Identity, page: Arc<ListPage>) -> Arc<ListPage> {
        let sight = self.sight(who).await;
        let mut whole = true;
        for item in page.items.iter().chain(&page.attention) {
            whole = whole
                && !Self::is_beyond(item, &sight)
                && self.reads_rules(who, item).await
                && self.unreadable(who, &item.routing.objects).await.is_empty();
        }
        if whole {
            return page;
        }
        let mut mine = ListPage::clone(&page);
        mine.number = 0;
        for items in [&mut mine.items, &mut mine.attention] {
            let mut shown = Vec::with_capacity(items.len());
            for item in items.drain(..) {
                shown.push(self.shown_overview(who, item).await);
            }
            *items = shown;
        }
        Arc::new(mine)
    }

    /// The service as this person may read it: whom a rule is for stands in an object, and so do names of routes,
    /// hosts and gateways. The split itself is what anybody sees who may see the service.
    pub(super) async fn shown_overview(&self, who: &Identity, item: Overview) -> Overview {
        let mut item = Self::known_overview(item, &self.sight(who).await);
        if !self.reads_rules(who, &item).await {
            let mut routing = Routing::clone(&item.routing);
            for rule in &mut routing.rules {
                rule.hide();
            }
            item.routing = Arc::new(routing);
        }
        let unread = self.unreadable(who, &item.routing.objects).await;
        if !unread.is_empty() {
            let mut routing = Routing::clone(&item.routing);
            let read = Arc::clone(&item.routing);
            let versions = &item.snapshot.versions;
            unread::findings_without(&mut item.findings, &read, versions, &unread);
            unread::findings_without(&mut routing.findings, &read, versions, &unread);
            unread::without(&mut routing, &unread);
            item.routing = Arc::new(routing);
        }
        item
    }
}

fn details_of(entry: &mut Entry) -> impl Iterator<Item = &mut Details> {
    let late = entry.outcome.as_mut().map(|outcome| &mut outcome.details);
    late.into_iter().chain([&mut entry.intent.details])
}

/// True when the entry says whom rules are for.
fn names_rules(entry: &Entry) -> bool {
    let late = entry.outcome.as_ref().map(|outcome| &outcome.details);
    late.into_iter().chain([&entry.intent.details]).any(|details| details.rules.is_some())
}

/// True when the entry holds the cluster's own words.
fn quotes(entry: &Entry) -> bool {
    let late = entry.outcome.as_ref().map(|outcome| &outcome.details);
    let mut all = late.into_iter().chain([&entry.intent.details]);
    all.any(|details| {
        details.error.is_some() || details.refusal.as_ref().is_some_and(Refusal::quotes) || {
            let mut happened = details.release.iter().flat_map(|mark| &mark.happened);
            happened.any(|one| matches!(one, Happened::NotDone { refusal, .. } if refusal.quotes()))
        }
    })
}

fn unquote(details: &mut Details) {
    details.error = None;
    details.refusal = details.refusal.take().map(Refusal::without_quotes);
    if let Some(mark) = &mut details.release {
        mark.happened =
            std::mem::take(&mut mark.happened).into_iter().map(Happened::without_quotes).collect();
    }
}
