//! After a crash: every intent without an outcome is compared with the cluster, and gets the outcome that
//! the objects show. Nothing is written to the cluster here: an interrupted change is recorded, not repeated.

use std::time::Duration;

use tokio::time::sleep;

use crate::cluster::Fate;
use crate::domain::audit::{Action, Details, EditRecord, Ending, Intent, Outcome, Written};
use crate::domain::refusal::{Code, Refusal};
use crate::routing;
use crate::store::{Revise, StoreError};

use super::Services;
use super::once::unavailable;

/// How often an outcome is tried again that could not be recorded.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// A write that was under way when the process died may still be under way in the API server for this
/// long (its longest admission chain); until then "not there" is not believed.
const STILL_FLYING_MS: i64 = 25_000;

impl Services {
    /// The intents without an outcome. Asked once, when Sluice starts: what is opened later is at work, not cut
    /// off.
    pub(super) async fn cut_off(&self) -> Result<Vec<i64>, Refusal> {
        let open = self.inner.store.open_intents().await.map_err(unavailable)?;
        Ok(open.into_iter().map(|(id, _)| id).collect())
    }

    /// Clears up those of these that are open still. Returns those of which the cluster could not say yet.
    pub(super) async fn clear_up(&self, cut_off: &[i64]) -> Result<Vec<i64>, Refusal> {
        let mut left = Vec::new();
        for (id, intent) in self.inner.store.open_intents().await.map_err(unavailable)? {
            if cut_off.contains(&id) && !self.clear_up_one(id, &intent).await? {
                left.push(id);
            }
        }
        Ok(left)
    }

    /// Records how a change ended as soon as the history can be written again. Until then its intent is open; when
    /// the process ends before, the next start asks the cluster.
    pub(super) fn outcome_later(&self, id: i64, intent: Intent, outcome: Outcome, revise: Revise) {
        let Some(at) = intent.service.clone() else { return };
        let this = self.clone();
        tokio::spawn(async move {
            while !this.inner.under_way.is_closed() {
                sleep(TRY_AGAIN).await;
                if this.inner.store.trouble().is_some() {
                    continue;
                }
                let lock = this.lock_of(&at);
                let _held = lock.lock().await;
                match this.inner.store.outcome(id, &intent, &outcome, revise.clone()).await {
                    Ok(entry) => {
                        tracing::info!(service = %at, change = intent.change, entry = entry.id,
                            "the outcome of a change has been recorded late");
                        this.tell(&at, &entry);
                        return;
                    }
                    Err(StoreError::CannotWrite { .. }) => {}
                    Err(error) => {
                        tracing::error!(%error, change = intent.change, "the outcome of a change was not recorded");
                        return;
                    }
                }
            }
        });
    }

    /// A workload of a release: the release does it again, which does no harm when it was done.
    async fn clear_up_workload(&self, id: i64, intent: &Intent) -> Result<bool, Refusal> {
        let mut workloads = intent.details.workloads.clone();
        for record in &mut workloads {
            record.written = Written::Unknown;
        }
        let details = Details {
            workloads,
            error: Some("Sluice ended in the middle of this; the release looks again and goes on.".into()),
            ..Details::default()
        };
        let now = self.inner.clock.now_ms();
        let outcome = Outcome { at_ms: now, ending: Ending::Unknown, revision: None, details };
        self.inner.store.outcome(id, intent, &outcome, Revise::Keep).await.map_err(unavailable)?;
        Ok(true)
    }

    async fn clear_up_one(&self, id: i64, intent: &Intent) -> Result<bool, Refusal> {
        let Some(at) = intent.service.clone() else { return Ok(true) };
        if intent.action == Action::Workload {
            return self.clear_up_workload(id, intent).await;
        }
        let lock = self.lock_of(&at);
        let _held = lock.lock().await;
        let fates = self.inner.cluster.fate_of(&intent.change, &intent.details.edits).await;
        if fates.iter().any(|(_, fate)| matches!(fate, Fate::Unread(_))) {
            return Ok(false);
        }
        let records = intent.details.edits.iter().cloned().zip(fates);
        let records: Vec<EditRecord> = records.map(|(record, (_, fate))| told(record, &fate)).collect();
        let ending = ending_of(&records);
        let age = self.inner.clock.now_ms() - intent.at_ms;
        if ending != Ending::Applied && (0..STILL_FLYING_MS).contains(&age) {
            return Ok(false);
        }
        let mut details = Details {
            edits: records,
            error: Some(
                "Sluice ended in the middle of this change and looked at the cluster afterwards.".into(),
            ),
            ..Details::default()
        };
        let mut revise = Revise::Keep;
        if ending == Ending::Failed {
            details.refusal = Some(Refusal::new(Code::OutcomeUnknown));
        } else {
            let read = self.inner.cluster.read_fresh(&at, &self.inner.cache).await;
            if let Ok(Some(snapshot)) = read {
                details.specs = routing::saved(&snapshot);
                revise = Revise::Next { fingerprint: routing::read(&snapshot).fingerprint };
            }
        }
        let outcome = Outcome { at_ms: self.inner.clock.now_ms(), ending, revision: None, details };
        let entry = self.inner.store.outcome(id, intent, &outcome, revise).await.map_err(unavailable)?;
        tracing::warn!(service = %at, change = intent.change, ending = ending.as_str(), entry = entry.id,
            "a change that was cut off has been cleared up");
        Ok(true)
    }
}

fn ending_of(records: &[EditRecord]) -> Ending {
    let count = |written| records.iter().filter(|record| record.written == written).count();
    if count(Written::Unknown) > 0 {
        Ending::Unknown
    } else if count(Written::Yes) == records.len() {
        Ending::Applied
    } else if count(Written::Yes) == 0 {
        Ending::Failed
    } else {
        Ending::Partial
    }
}

fn told(record: EditRecord, fate: &Fate) -> EditRecord {
    let written = match fate {
        Fate::Carries => Written::Yes,
        Fate::Before => Written::No,
        // Overwritten or deleted since: it is unknown whether ours was ever there.
        Fate::Other { .. } | Fate::Unread(_) => Written::Unknown,
    };
    EditRecord { written, ..record }
}
