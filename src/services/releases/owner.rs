//! In whose name a release acts, asked before each act: the person or ServiceAccount must still be there, with the
//! groups of now. What the act writes is asked of them where it is written (`traffic`, `workloads`).

use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::state::Action;
use crate::release::Trouble;
use crate::services::Services;
use crate::store::Held;

use super::rights::is_own_way_back;
use super::traffic::of_refusal;

impl Services {
    /// The release with whoever it acts for as the cluster knows them now; `Trouble::Forbidden` when they are gone.
    /// The release's own way back needs no person.
    pub(super) async fn with_present_owner(&self, mut held: Held, action: &Action) -> Result<Held, Trouble> {
        let acting = held.acting();
        if acting.unrestricted || is_own_way_back(&held.release, action) {
            return Ok(held);
        }
        let there = self.inner.cluster.may_exist(acting).await;
        if !there.map_err(|error| of_refusal(&error.refusal()))? {
            let refusal = Refusal::new(Code::OwnerGone).arg("who", &acting.user);
            return Err(Trouble::Forbidden(refusal));
        }
        let present = self.present_identity(acting);
        held.release.state.acting = Some(Box::new(present));
        Ok(held)
    }
}
