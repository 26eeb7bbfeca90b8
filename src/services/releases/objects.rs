//! Workloads and pods for a release: in whose name each is written, and how the history marks it. `services::objects`
//! writes.

use crate::domain::actor::Channel;
use crate::domain::audit::{Action as Act, Details, Intent, ReleaseMark, WorkloadRecord};
use crate::domain::release::Happened;
use crate::domain::release::state::{Action, ActionKind};
use crate::release::Trouble;
use crate::services::Services;
pub(super) use crate::services::objects::{Retiring, Write};
use crate::store::Held;

use super::traffic::actor_of;

impl Services {
    /// One object.
    pub(super) async fn write_object(
        &self,
        held: &Held,
        action: &Action,
        write: Write<'_>,
    ) -> Result<(), Trouble> {
        self.write_objects(held, action, vec![write]).await
    }

    /// Several, in one row: stops at the first that is not written.
    pub(super) async fn write_objects(
        &self,
        held: &Held,
        action: &Action,
        writes: Vec<Write<'_>>,
    ) -> Result<(), Trouble> {
        if writes.is_empty() {
            return Ok(());
        }
        let lock = self.lock_of(held.release.at());
        let _locked = lock.lock().await;
        self.write_locked(held, action, writes, None).await
    }

    /// The same for a caller that holds the service's lock. `retiring`: what the writes belong to.
    pub(super) async fn write_locked(
        &self,
        held: &Held,
        action: &Action,
        writes: Vec<Write<'_>>,
        retiring: Option<Retiring>,
    ) -> Result<(), Trouble> {
        let who = actor_of(held, action);
        let mut intent = self.objects_intent(held, action, writes.iter().map(Write::record).collect());
        intent.details.checks = retiring.iter().flat_map(|retiring| retiring.notes.clone()).collect();
        let sent = self.write_listed(&who.identity, held.release.at(), intent, writes, retiring).await?;
        sent.trouble.map_or(Ok(()), Err)
    }

    fn objects_intent(&self, held: &Held, action: &Action, workloads: Vec<WorkloadRecord>) -> Intent {
        let release = &held.release;
        let decided = vec![Happened::Decided { action: action.kind.clone() }];
        let mark = ReleaseMark::of(release, release.state.phase, decided);
        let request_id = match action.kind {
            // What is written while a batch is waited for belongs to no action.
            ActionKind::Batch { number, .. } if action.id == 0 => format!("{}-batch-{number}", release.id),
            _ => format!("{}-{}", release.id, action.id),
        };
        Intent {
            change: uuid::Uuid::now_v7().to_string(),
            at_ms: self.inner.clock.now_ms(),
            service: Some(release.at().clone()),
            actor: held.acting().user.clone(),
            groups: held.acting().groups.clone(),
            channel: Channel::Automatic,
            address: None,
            action: Act::Workload,
            reason: release.id.to_string(),
            request_id,
            details: Details { release: Some(Box::new(mark)), workloads, ..Details::default() },
        }
    }
}
