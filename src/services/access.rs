//! Permissions to see and change services. Kubernetes' own RBAC decides (SubjectAccessReview for the person);
//! no rule of ours stands beside it. An error of the cluster denies.
//!
//! [`Services::judge`] is the one judgement of every command: a change of traffic asks it for each object of its
//! plan, a release for each object that its command leads to (`releases::rights`).

use crate::cluster::{Ask, Visible, asks_of};
use crate::domain::actor::{Actor, Identity};
use crate::domain::ids::{Kind, Namespace, ServiceRef};
use crate::domain::plan::{Edit, Plan};
use crate::domain::refusal::{Code, Refusal};

use super::Services;

/// The API group of rights that no Kubernetes resource stands for: `sluice.io/audit` `list`, cluster
/// wide, lets an auditor read the whole history.
pub(super) const OWN_GROUP: &str = "sluice.io";

impl Services {
    /// The namespaces whose services the person may see.
    pub async fn visible(&self, who: &Identity) -> Result<Visible, Refusal> {
        if who.unrestricted {
            return Ok(Visible::All);
        }
        self.inner.cluster.visible_namespaces(who, &self.inner.cache).await.map_err(|error| error.refusal())
    }

    /// True when the person may see this service. Answers from a cache of at most a minute.
    pub async fn may_see(&self, who: &Actor, at: &ServiceRef) -> bool {
        self.visible(&who.identity).await.is_ok_and(|visible| visible.contains(&at.namespace))
    }

    /// Why the person in whose name a release goes on may not see its service any more; `None` = may.
    pub(super) async fn lacks_sight(&self, who: &Identity, at: &ServiceRef) -> Option<Refusal> {
        match self.visible(who).await {
            Ok(visible) if visible.contains(&at.namespace) => None,
            Ok(_) => Some(forbidden(who, at, &Ask::see(Some(at.namespace.clone())))),
            Err(refusal) => Some(refusal),
        }
    }

    /// Refuses with the same words for a service that is hidden and one that is not there.
    pub(super) async fn must_see(&self, who: &Actor, at: &ServiceRef) -> Result<(), Refusal> {
        if self.visible(&who.identity).await?.contains(&at.namespace) {
            return Ok(());
        }
        Err(not_found(at))
    }

    /// The one judgement: the first of these rights that the person lacks, as a refusal; `None` = has them all.
    pub(super) async fn judge(
        &self,
        who: &Identity,
        at: &ServiceRef,
        asks: Vec<Ask>,
    ) -> Result<Option<Refusal>, Refusal> {
        let lacking = self.inner.cluster.first_denied(who, asks).await.map_err(|error| error.refusal())?;
        Ok(lacking.map(|ask| forbidden(who, at, &ask)))
    }

    /// Why the person may not change the traffic of this service at all; `None` = may change some of it. What a
    /// change really touches is judged by its plan.
    pub(super) async fn change_right(
        &self,
        who: &Identity,
        at: &ServiceRef,
    ) -> Result<Option<Refusal>, Refusal> {
        let lacking = self.inner.cluster.may_change(who, [&at.namespace]).await;
        let Some(ask) = lacking.map_err(|error| error.refusal())? else { return Ok(None) };
        // A role may name the objects that it is for.
        if let Some(snapshot) = self.inner.cache.snapshot(at) {
            let routing = self.inner.routings.of(&snapshot);
            for object in routing.objects.iter().filter(|object| object.kind == Kind::VirtualService) {
                let named = self.inner.cluster.allowed(who, Ask::route("update", object)).await;
                if named.map_err(|error| error.refusal())? {
                    return Ok(None);
                }
            }
        }
        Ok(Some(forbidden(who, at, &ask)))
    }

    /// Checks every object that a plan touches: the right is judged by what is affected, wherever it lies.
    pub(super) async fn plan_rights(
        &self,
        who: &Identity,
        at: &ServiceRef,
        plan: &Plan,
    ) -> Result<Option<Refusal>, Refusal> {
        self.judge(who, at, asks_of(plan)).await
    }

    /// True when both the actor and Sluice itself may delete everything that the plan deletes.
    pub(super) async fn deletions_allowed(&self, who: &Identity, plan: &Plan) -> Result<bool, Refusal> {
        let going: Vec<Edit> = plan.tidying().cloned().collect();
        if going.is_empty() {
            return Ok(true);
        }
        let (rules, routes) = going.into_iter().partition(|edit| edit.object.kind == Kind::DestinationRule);
        let plan = Plan::new(Vec::new(), routes, rules);
        let lacking = self.inner.cluster.may_write(who, &plan).await.map_err(|error| error.refusal())?;
        Ok(lacking.is_none() && self.inner.cluster.may_delete(&plan).await)
    }

    /// The namespaces whose history the person may read; `None` = the whole history, sign-ins included.
    pub(super) async fn readable_history(&self, who: &Identity) -> Result<Option<Vec<Namespace>>, Refusal> {
        if who.unrestricted {
            return Ok(None);
        }
        let ask = Ask { verb: "list", group: OWN_GROUP, resource: "audit", namespace: None, name: None };
        if self.inner.cluster.allowed(who, ask).await.map_err(|error| error.refusal())? {
            return Ok(None);
        }
        match self.visible(who).await? {
            Visible::All => Ok(Some(self.inner.cache.namespaces().to_vec())),
            Visible::Some(some) => Ok(Some(some.iter().cloned().collect())),
        }
    }
}

/// The refusal for a service that is not there, or that the person may not know of.
pub(super) fn not_found(at: &ServiceRef) -> Refusal {
    Refusal::new(Code::ServiceNotFound).arg("svc", at)
}

fn forbidden(who: &Identity, at: &ServiceRef, ask: &Ask) -> Refusal {
    let namespace = ask.namespace.as_ref().map(ToString::to_string).unwrap_or_default();
    Refusal::new(Code::Forbidden)
        .arg("svc", at)
        .arg("ns", namespace)
        .arg("verb", ask.verb)
        .arg("resource", format!("{}.{}", ask.resource, ask.group))
        .arg("who", &who.user)
}
