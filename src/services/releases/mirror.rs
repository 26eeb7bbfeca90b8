//! A mirror that was there before a release: what the release took away its abort gives back, unless somebody else
//! changed it since. The plan, the question before an abort and the write all ask here.

use crate::domain::actor::Actor;
use crate::domain::command::MirrorWish;
use crate::domain::ids::VersionName;
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::release::{Phase, Release, ReleaseId, Spec, Step, Strategy};
use crate::domain::routing::Mirror;
use crate::domain::rule_changes::MirrorChange;
use crate::services::Services;
use crate::services::change::Look;
use crate::services::once::unavailable;

impl Services {
    /// The mirror that an abort of this release would give its service back; `None` = none.
    pub async fn mirror_back(&self, who: &Actor, id: ReleaseId) -> Result<Option<MirrorWish>, Refusal> {
        let held = self.held_release(who, id).await?;
        let phase = held.release.state.phase;
        if phase.is_before() || !(phase.owns_service() || phase == Phase::NeedsAttention) {
            return Ok(None);
        }
        let look = self.look(held.release.at(), false).await?;
        self.mirror_taken(&held.release, &look).await
    }

    /// The mirror that this release took away and that was not changed since.
    pub(super) async fn mirror_taken(
        &self,
        release: &Release,
        look: &Look,
    ) -> Result<Option<MirrorWish>, Refusal> {
        if release.spec.strategy == Strategy::Replicas {
            return Ok(None);
        }
        let own = self.inner.store.mirrors_of(release.id, release.at()).await.map_err(unavailable)?;
        let taken = taken(&own, look.routing.mirror.as_ref());
        Ok(taken.and_then(|mirror| {
            let known =
                |name: &VersionName| look.snapshot.versions.iter().any(|version| version.name == *name);
            let version = mirror.version().filter(|name| known(name))?.clone();
            Some(MirrorWish { version, percent: mirror.percent })
        }))
    }
}

/// What stood before a release's own changes of the mirror, where the last of them is what stands now.
fn taken<'m>(own: &'m [MirrorChange], now: Option<&Mirror>) -> Option<&'m Mirror> {
    let mut before: Option<&Mirror> = None;
    let mut left: Option<&MirrorChange> = None;
    for change in own {
        // What another one set between two of its writes is what it took away then.
        if left.is_none_or(|left| left.after != change.before) {
            before = change.before.as_ref();
        }
        left = Some(change);
    }
    before.filter(|_| left.is_some_and(|left| left.after.as_ref() == now))
}

/// That a release takes a mirror away that is there now, in one sentence.
pub(super) fn says(spec: &Spec, now: Option<&Mirror>) -> Option<Check> {
    let mirror = now.filter(|_| spec.strategy != Strategy::Replicas)?;
    let code = match mirror.version() {
        Some(version) if version == spec.candidate.version() => Code::MirrorEnds,
        _ if !spec.steps.iter().any(|step| matches!(step, Step::Mirror { .. })) => return None,
        Some(_) => Code::MirrorReplaced,
        None => Code::MirrorLost,
    };
    let check = Check::new(Severity::Info, code).arg("n", mirror.percent);
    Some(match mirror.version() {
        Some(version) => check.arg("v", version),
        None => check,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::routing::Dest;

    fn mirror(version: &str, percent: f64) -> Mirror {
        Mirror { to: Dest::Version(version.into()), percent }
    }

    #[test]
    fn what_the_release_took_is_given_back_unless_somebody_else_changed_it_since() {
        let change = |before: &Option<Mirror>, after: &Option<Mirror>| MirrorChange {
            before: before.clone(),
            after: after.clone(),
        };
        let (old, own) = (Some(mirror("v2", 50.0)), Some(mirror("v2", 10.0)));
        let other = Some(mirror("v3", 5.0));
        let none = None;
        // It took it away, by one write or by several.
        assert_eq!(taken(&[change(&old, &none)], None), old.as_ref());
        let steps = [change(&other, &own), change(&own, &none)];
        assert_eq!(taken(&steps, None), other.as_ref());
        // Another one was set since, or it has changed nothing.
        assert_eq!(taken(&steps, own.as_ref()), None);
        assert_eq!(taken(&[change(&old, &none)], other.as_ref()), None);
        assert_eq!(taken(&[], old.as_ref()), None);
        // There was none before it.
        assert_eq!(taken(&[change(&none, &own)], own.as_ref()), None);
        // Given back, set otherwise by another one, and taken again by a second try.
        let again = [change(&old, &none), change(&none, &old), change(&other, &none)];
        assert_eq!(taken(&again, None), other.as_ref());
    }
}
