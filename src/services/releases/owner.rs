//! In whose name a release acts, asked before each act: the person or ServiceAccount must still be there, with the
//! groups of now. What the act writes is asked of them where it is written (`traffic`, `workloads`).

use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::Phase;
use crate::release::Trouble;
use crate::services::Services;
use crate::store::Held;

use super::traffic::of_refusal;

impl Services {
    /// The release with its owner as the cluster knows them now; `Trouble::Forbidden` when they are gone. The way
    /// back needs nobody.
    pub(super) async fn with_present_owner(&self, held: Held) -> Result<Held, Trouble> {
        if held.owner.unrestricted || held.release.state.phase == Phase::Aborting {
            return Ok(held);
        }
        let there = self.inner.cluster.may_exist(&held.owner).await;
        if !there.map_err(|error| of_refusal(&error.refusal()))? {
            let refusal = Refusal::new(Code::OwnerGone).arg("who", &held.owner.user);
            return Err(Trouble::Forbidden(refusal));
        }
        let owner = self.present_identity(&held.owner);
        Ok(Held { owner, ..held })
    }
}
