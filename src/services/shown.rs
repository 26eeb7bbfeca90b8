//! What is shown of an object needs the right to get that object: of an entry of the history, a difference, a
//! preview, and the conditions of rules. Who lacks it sees that there is one, and that the rest is not shown: what
//! stands for its name is decided in [`super::unread`].
//!
//! Everything that leaves this module for a reader goes through here. Rights are cached for a minute at most, so
//! a page of the history asks once for each object; an error of the cluster hides.

use std::sync::Arc;

use crate::cluster::Ask;
use crate::domain::actor::Identity;
use crate::domain::audit::{Details, EditRecord, Entry, WorkloadRecord};
use crate::domain::ids::{Namespace, ObjectRef, ServiceRef};
use crate::domain::overview::{Applied, DiffLine, ListPage, Overview, Preview, Refused};
use crate::domain::plan::Effect;
use crate::domain::refusal::Refusal;
use crate::domain::release::{Happened, Release, TimelineEntry};
use crate::domain::routing::{HIDDEN, Routing};
use crate::domain::service::WorkloadKind;

use super::Services;
use super::beyond::known_entry;
use super::change::Look;
use super::unread::Unread;

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
        let unread = match entry.intent.service.clone() {
            Some(at) => self.unread_with(who, &at, &objects_of(&mut entry)).await,
            None => None,
        };
        let mut hidden = self.hide(who, &mut entry.intent.details, unread.as_ref()).await;
        if let Some(outcome) = &mut entry.outcome {
            hidden |= self.hide(who, &mut outcome.details, unread.as_ref()).await;
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
            // A message of the cluster about an object may quote it.
            details_of(&mut entry).for_each(unquote);
        }
        if let Some(unread) = unread {
            details_of(&mut entry).for_each(|details| unread.details(details));
        }
        entry
    }

    /// Takes out what the person may not read; true when something was.
    async fn hide(&self, who: &Identity, details: &mut Details, unread: Option<&Unread>) -> bool {
        let mut hidden = false;
        for edit in &mut details.edits {
            if !self.may_get(who, &edit.object).await {
                let object = unread.map_or_else(|| edit.object.clone(), |unread| unread.object(&edit.object));
                *edit = EditRecord { object, before: None, after: None, ..edit.clone() };
                hidden = true;
            }
        }
        hidden |= self.hide_workloads(who, &mut details.workloads).await;
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

    /// Takes out the names and states of workloads that the person may not get; true when something was.
    async fn hide_workloads(&self, who: &Identity, records: &mut [WorkloadRecord]) -> bool {
        let mut hidden = false;
        for record in records {
            if !self.may_get_workload(who, record).await {
                let name = HIDDEN.to_owned();
                *record = WorkloadRecord { name, before: None, after: None, ..record.clone() };
                hidden = true;
            }
        }
        hidden
    }

    /// The lines of each object that the person may read.
    pub(super) async fn shown_diffs(
        &self,
        who: &Identity,
        at: &ServiceRef,
        mut diffs: Vec<(ObjectRef, Vec<DiffLine>)>,
    ) -> Vec<(ObjectRef, Vec<DiffLine>)> {
        let named: Vec<ObjectRef> = diffs.iter().map(|(object, _)| object.clone()).collect();
        let unread = self.unread_with(who, at, &named).await;
        for (object, lines) in &mut diffs {
            if !self.may_get(who, object).await {
                *lines = vec![DiffLine::hidden()];
                *object = unread.as_ref().map_or_else(|| object.clone(), |unread| unread.object(object));
            }
        }
        diffs
    }

    /// True when the person may read every routing object of the service: messages of the cluster may quote any.
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
        let state = &mut release.state;
        let said =
            state.needs.is_some() || state.paused.as_ref().is_some_and(|paused| paused.detail.is_some());
        if said && let Some(unread) = self.unread_at(who, &release.spec.service).await {
            let shown = |refusal: Refusal| unread.refusal(refusal.without_quotes());
            state.needs = state.needs.take().map(shown);
            if let Some(paused) = &mut state.paused {
                paused.detail = paused.detail.take().map(shown);
            }
        }
        release
    }

    /// A preview as this person may read it. `look` is what it stands on.
    pub(super) async fn shown_preview(&self, who: &Identity, look: &Look, mut preview: Preview) -> Preview {
        preview.diffs = self.shown_diffs(who, &look.snapshot.service.at, preview.diffs).await;
        self.hide_workloads(who, &mut preview.deletes).await;
        if let Some(unread) = self.unread_of(who, &look.snapshot, &look.routing).await {
            unread.effect(&mut preview.planned.effect);
            unread.checks(&mut preview.planned.checks);
            unread.checks(&mut preview.checks);
            preview.refusal = preview.refusal.map(|refusal| unread.refusal(refusal));
        }
        preview
    }

    /// What became of a change, as this person may read it.
    pub(super) async fn shown_answer(
        &self,
        who: &Identity,
        at: &ServiceRef,
        answer: Result<Applied, Refused>,
    ) -> Result<Applied, Refused> {
        match answer {
            Ok(mut applied) => {
                if let Some(unread) = self.unread_at(who, at).await {
                    unread.routes(&mut applied.kept);
                }
                self.hide_workloads(who, &mut applied.deleted).await;
                applied.entry = self.shown(who, applied.entry).await;
                Ok(applied)
            }
            Err(refused) => {
                let refusal = self.shown_refusal(who, at, refused.refusal).await;
                Err(Refused { refusal, ..refused })
            }
        }
    }

    /// Takes out of an effect what the person may not read.
    pub(super) async fn hide_effect(&self, who: &Identity, at: &ServiceRef, effect: &mut Effect) {
        if let Some(unread) = self.unread_at(who, at).await {
            unread.effect(effect);
        }
    }

    /// What happened to a release, as this person may read it.
    pub(super) async fn shown_timeline(
        &self,
        who: &Identity,
        at: &ServiceRef,
        entries: Vec<TimelineEntry>,
    ) -> Vec<TimelineEntry> {
        let Some(unread) = self.unread_at(who, at).await else { return entries };
        let shown = |entry: TimelineEntry| {
            let entry = entry.without_quotes();
            let happened = entry.happened.into_iter().map(|one| unread.happened(one)).collect();
            TimelineEntry { happened, ..entry }
        };
        entries.into_iter().map(shown).collect()
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
        let mut item = Self::known_overview(
            item,
            &self.sight(who).await,
            self.inner.settings.policy.min_success_percent,
        );
        if !self.reads_rules(who, &item).await {
            let mut routing = Routing::clone(&item.routing);
            for rule in &mut routing.rules {
                rule.hide();
            }
            item.routing = Arc::new(routing);
        }
        if let Some(unread) = self.unread_of(who, &item.snapshot, &item.routing).await {
            let mut routing = Routing::clone(&item.routing);
            unread.checks(&mut item.findings);
            unread.checks(&mut routing.findings);
            unread.routing(&mut routing);
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

/// The routing objects that an entry has.
fn objects_of(entry: &mut Entry) -> Vec<ObjectRef> {
    let mut out: Vec<ObjectRef> = Vec::new();
    for details in details_of(entry) {
        let specs = details.specs.iter().chain(details.specs_before.iter().flatten());
        let named = details.edits.iter().map(|edit| &edit.object).chain(specs.map(|(object, _)| object));
        for object in named {
            if !out.contains(object) {
                out.push(object.clone());
            }
        }
    }
    out
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
