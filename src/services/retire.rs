//! Retire: a version without traffic leaves the routing, and its workloads are deleted. Used by `traffic` for a person
//! (service page and API) and, in the part that both share, by releases.
//!
//! Order: the right to delete each object, what keeps the version, a dry run of every write, the routing, the workloads.
//! Nothing may point to pods that are going. A person who is refused in the middle asks again: what is gone is left out then.

use crate::cluster::Ask;
use crate::domain::actor::{Actor, Identity};
use crate::domain::audit::{Action as Act, Details, Ending, Intent, WorkloadRecord};
use crate::domain::ids::{ServiceRef, VersionName};
use crate::domain::overview::{Applied, Overview, Refused, Retirement};
use crate::domain::owner::Role;
use crate::domain::plan::Effect;
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::removal;
use crate::domain::service::{Workload, WorkloadKind};
use crate::domain::snapshot::Snapshot;
use crate::metrics::Health;
use crate::release::Trouble;

use super::Services;
use super::ask::Wish;
use super::change::Look;
use super::objects::{Retiring, Sent, Write};

/// What goes with a version, besides what the routing says of it.
pub(super) struct Removal {
    version: VersionName,
    /// Each as it was read.
    workloads: Vec<(WorkloadKind, serde_json::Value)>,
    /// What has to be accepted, or is in the way.
    pub checks: Vec<Check>,
}

impl Removal {
    pub fn writes(&self) -> Vec<Write<'_>> {
        self.workloads
            .iter()
            .map(|(kind, now)| Write { act: "delete", kind: (*kind).into(), before: Some(now), after: None })
            .collect()
    }

    /// What is worth knowing of what was done.
    fn notes(&self) -> Vec<Check> {
        self.checks.iter().filter(|check| check.severity == Severity::Info).cloned().collect()
    }

    /// The objects that are deleted, as the history keeps them.
    pub fn records(&self) -> Vec<WorkloadRecord> {
        self.writes().iter().map(Write::record).collect()
    }
}

/// The workloads of a version; empty for one that is not there.
pub(super) fn workloads_of<'a>(snapshot: &'a Snapshot, version: &VersionName) -> &'a [Workload] {
    let known = snapshot.versions.iter().find(|known| known.name == *version);
    known.map_or(&[], |version| &version.workloads)
}

/// True unless it is being deleted already.
pub(super) fn is_wanted(workload: &serde_json::Value) -> bool {
    workload["metadata"]["deletionTimestamp"].is_null()
}

impl Services {
    /// What a person's wish to retire a version would delete; `None` for every other wish, and for a release, which
    /// deletes workloads by an action of its own.
    pub(super) async fn removal_of(
        &self,
        who: &Identity,
        at: &ServiceRef,
        look: &Look,
        wish: &Wish,
        for_release: bool,
    ) -> Result<Option<Removal>, Refusal> {
        let Wish::Retire(version) = wish else { return Ok(None) };
        if for_release {
            return Ok(None);
        }
        if let Some(refusal) = self.deletion_right(who, at, &look.snapshot, version).await? {
            return Err(refusal);
        }
        if let Some(refusal) = removal::why_kept(&look.snapshot, &look.routing, version) {
            return Err(refusal);
        }
        let mut workloads = Vec::new();
        let mut checks = Vec::new();
        for source in workloads_of(&look.snapshot, version) {
            let read = self.inner.cluster.workload(source.kind, &at.namespace, &source.name).await;
            let Some(now) = read.map_err(|error| error.refusal())?.filter(is_wanted) else { continue };
            checks.extend(self.managed(&now, source));
            workloads.push((source.kind, now));
        }
        let observed = self.inner.metrics.observed(&look.snapshot, 60).await;
        let figures = observed.as_ref().ok().and_then(Option::as_ref);
        checks.extend(self.reached(who, &look.snapshot, &look.routing, version, figures).await);
        if let (Err(_), Health::Down(notice)) = (observed, self.inner.metrics.health()) {
            let since = notice.since_ms.unwrap_or_else(|| self.inner.clock.now_ms());
            checks.push(Check::new(Severity::Acknowledge, Code::NoMetrics).arg("t", since));
        }
        checks.extend(self.left_behind(who, &look.snapshot, version, &workloads).await);
        Ok(Some(Removal { version: version.clone(), workloads, checks }))
    }

    /// Why the person may not delete the workloads of a version; `None` = may.
    async fn deletion_right(
        &self,
        who: &Identity,
        at: &ServiceRef,
        snapshot: &Snapshot,
        version: &VersionName,
    ) -> Result<Option<Refusal>, Refusal> {
        let delete = |source: &Workload| {
            Ask::workload("delete", source.kind, at.namespace.clone()).named(&source.name)
        };
        let asks = workloads_of(snapshot, version).iter().map(delete).collect();
        self.judge(who, at, asks).await
    }

    /// Who else manages a workload: it would be created again.
    fn managed(&self, now: &serde_json::Value, source: &Workload) -> Option<Check> {
        let owner = self.inner.cluster.workload_owner(now)?;
        let references = now["metadata"]["ownerReferences"].as_array();
        let controlled = references.into_iter().flatten().any(|one| one["controller"] == true);
        let (severity, code) = match owner.role {
            Role::MovesTraffic | Role::Reverts => (Severity::Block, Code::WorkloadManaged),
            Role::Unknown if controlled => (Severity::Block, Code::WorkloadManaged),
            Role::Unknown | Role::Installs => (Severity::Acknowledge, Code::OtherWriter),
        };
        let object = format!("{} {}", source.kind.as_str(), source.name);
        Some(
            Check::new(severity, code)
                .arg("tool", &owner.tool)
                .arg("name", &owner.name)
                .arg("object", object),
        )
    }

    /// The history's row of a person's deletions, before they are made. `of` = the row of the change as a whole;
    /// `alone` = there is nothing but these to write.
    pub(super) fn removal_intent(&self, of: &Intent, removal: &Removal, alone: bool) -> Intent {
        Intent {
            change: uuid::Uuid::now_v7().to_string(),
            at_ms: self.inner.clock.now_ms(),
            action: Act::Workload,
            details: Details {
                workloads: removal.records(),
                retired: alone.then(|| removal.version.clone()),
                checks: removal.checks.clone(),
                acknowledged: of.details.acknowledged.clone(),
                ..Details::default()
            },
            ..of.clone()
        }
    }

    /// Deletes what goes with the version. The routing does not name it any more; `applied` = that change, where there
    /// was anything to change. The caller holds the service's lock.
    pub(super) async fn delete_removed(
        &self,
        who: &Actor,
        look: &Look,
        intent: Intent,
        removal: &Removal,
        (applied, effect): (Option<Applied>, &Effect),
    ) -> Result<Applied, Refused> {
        let at = &look.snapshot.service.at;
        let deleted = removal.records();
        let partly = applied.is_some();
        let broke = |trouble: &Trouble, entry: Option<i64>, ending: Ending| Refused {
            refusal: trouble.refusal().clone(),
            entry,
            stale: None,
            // The routing was written.
            ending: if partly && ending != Ending::Unknown { Ending::Partial } else { ending },
        };
        let retiring = match &applied {
            Some(applied) => Retiring::after(&removal.version, applied),
            None => Retiring::begun(&removal.version, look.revision),
        };
        let sent = self.write_listed(&who.identity, at, intent, removal.writes(), Some(retiring)).await;
        let Sent { entry, ending, trouble } =
            sent.map_err(|trouble| broke(&trouble, None, Ending::Refused))?;
        if let Some(entry) = &entry {
            self.tell(at, entry);
        }
        if let Some(trouble) = trouble {
            return Err(broke(&trouble, entry.map(|entry| entry.id), ending));
        }
        match (applied, entry) {
            (Some(applied), _) => Ok(Applied { deleted, notes: removal.notes(), back: None, ..applied }),
            (None, Some(entry)) => Ok(Applied {
                entry,
                revision: look.revision,
                before: effect.before.clone(),
                after: effect.after.clone(),
                kept: effect.kept.clone(),
                back: None,
                progress: None,
                deleted,
                notes: removal.notes(),
            }),
            // It is done, and the history has the intent.
            (None, None) => Err(Refused { ending: Ending::Unknown, ..Code::HistoryUnavailable.into() }),
        }
    }

    /// Of each version whether it can be retired, for the page: what the person would be refused for, or how long the
    /// version has had no requests and what has to be accepted.
    pub(super) async fn retirements(&self, who: &Identity, item: &Overview) -> Vec<Retirement> {
        let mut out = Vec::with_capacity(item.snapshot.versions.len());
        for version in &item.snapshot.versions {
            let name = version.name.clone();
            let mut open = Vec::new();
            let state = self.retirement(who, item, &name, &mut open).await;
            out.push(Retirement { version: name, state, open });
        }
        out
    }

    async fn retirement(
        &self,
        who: &Identity,
        item: &Overview,
        version: &VersionName,
        open: &mut Vec<Check>,
    ) -> Result<Option<u32>, Refusal> {
        if let Some(refusal) = removal::why_kept(&item.snapshot, &item.routing, version) {
            return Err(refusal);
        }
        if let Some(refusal) = self.deletion_right(who, item.at(), &item.snapshot, version).await? {
            return Err(refusal);
        }
        // Without figures nothing is known: the dialog says so.
        let observed = self.inner.metrics.observed(&item.snapshot, 60).await.ok().flatten();
        *open = self.reached(who, &item.snapshot, &item.routing, version, observed.as_ref()).await;
        Ok(self.inner.metrics.quiet(&item.snapshot, version).await)
    }
}
