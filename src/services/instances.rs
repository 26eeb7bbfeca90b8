//! Other Sluices on the same cluster: each sees the other's changes as edits from outside, so people must know.
//! Nothing is refused. Known by the Leases that all of them renew in one namespace (`cluster::leases`); one that is
//! not renewed any more is forgotten. One that renews none (on a laptop) is known by what it writes: a change that
//! is not in our history, under Sluice's own field manager.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::cluster::InstanceLease;
use crate::domain::ids::{Namespace, ObjectRef};
use crate::domain::overview::Happening;
use crate::domain::refusal::{Check, Code, Severity};

use super::Services;

/// A Lease that was not renewed for this long has no holder.
const DURATION_MS: i64 = 45_000;
/// How far the clocks of two machines may be apart.
const SKEW_MS: i64 = 60_000;

/// How this instance announces itself to others.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Where the Leases are.
    pub namespace: Namespace,
    /// This process, for people: the name of the pod or machine.
    pub holder: String,
    /// How often the Lease is renewed.
    pub every: Duration,
}

/// A write of another instance is shown for this long.
const WRITE_MS: i64 = 60 * 60 * 1000;

/// What is known of others.
#[derive(Default)]
pub(super) struct Others {
    /// Their Leases, as they were last seen.
    leases: Mutex<HashMap<String, Other>>,
    /// The last object that another one wrote, and when that was seen.
    wrote: Mutex<Option<(ObjectRef, i64)>>,
}

struct Other {
    lease: InstanceLease,
    /// When it was last seen to be renewed, by our clock.
    renewed_ms: i64,
}

impl Others {
    /// Takes what was listed at `now_ms`; returns the holders that came and those that went.
    fn see(&self, found: Vec<InstanceLease>, now_ms: i64) -> (Vec<String>, Vec<String>) {
        let mut known = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let before = holders(&known);
        let mut next = HashMap::new();
        for lease in found {
            let renewed_ms = match known.get(&lease.name) {
                // Only that it changed counts: the clock of the other may be wrong.
                Some(other) if other.lease.renewed == lease.renewed => other.renewed_ms,
                Some(_) => now_ms,
                None => first_seen(&lease, now_ms),
            };
            if (0..DURATION_MS).contains(&now_ms.saturating_sub(renewed_ms)) && !lease.holder.is_empty() {
                next.insert(lease.name.clone(), Other { lease, renewed_ms });
            } else {
                // Kept, so that an old renewal is not taken for a new one.
                next.insert(lease.name.clone(), Other { lease, renewed_ms: i64::MIN });
            }
        }
        *known = next;
        let after = holders(&known);
        let came = after.iter().filter(|holder| !before.contains(holder)).cloned().collect();
        let went = before.into_iter().filter(|holder| !after.contains(holder)).collect();
        (came, went)
    }

    /// Takes note of an object that another Sluice wrote.
    pub fn see_write(&self, object: ObjectRef, now_ms: i64) {
        *self.wrote.lock().unwrap_or_else(PoisonError::into_inner) = Some((object, now_ms));
    }

    fn last_write(&self, now_ms: i64) -> Option<ObjectRef> {
        let wrote = self.wrote.lock().unwrap_or_else(PoisonError::into_inner);
        let (object, at_ms) = wrote.as_ref()?;
        (0..WRITE_MS).contains(&now_ms.saturating_sub(*at_ms)).then(|| object.clone())
    }

    fn names(&self) -> Vec<String> {
        holders(&self.leases.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A Lease that is seen for the first time is believed when it looks fresh.
fn first_seen(lease: &InstanceLease, now_ms: i64) -> i64 {
    let renewed = lease.renewed.parse::<Timestamp>().map_or(i64::MIN, Timestamp::as_millisecond);
    let fresh = now_ms.saturating_sub(renewed).saturating_abs() < DURATION_MS + SKEW_MS;
    if fresh { now_ms } else { i64::MIN }
}

fn holders(known: &HashMap<String, Other>) -> Vec<String> {
    let live = known.values().filter(|other| other.renewed_ms != i64::MIN);
    let mut holders: Vec<String> = live.map(|other| other.lease.holder.clone()).collect();
    holders.sort();
    holders
}

impl Services {
    /// The other Sluices, as notices.
    pub fn other_instances(&self) -> Vec<Check> {
        let notice = |name: String| Check::new(Severity::Acknowledge, Code::AnotherSluice).arg("name", name);
        let wrote = |object: ObjectRef| {
            Check::new(Severity::Acknowledge, Code::AnotherSluiceWrote).arg("object", object)
        };
        let written = self.inner.others.last_write(self.inner.clock.now_ms()).map(wrote);
        self.inner.others.names().into_iter().map(notice).chain(written).collect()
    }

    async fn look_for_others(&self, instance: &Instance) {
        let now_ms = self.inner.clock.now_ms();
        let own = InstanceLease {
            name: format!("sluice-{}", self.inner.store.id()),
            holder: instance.holder.clone(),
            renewed: Timestamp::from_millisecond(now_ms).map(|at| format!("{at:.6}")).unwrap_or_default(),
            duration_s: DURATION_MS / 1000,
        };
        match self.inner.cluster.renew_instance(&instance.namespace, &own).await {
            Ok(found) => {
                let (came, went) = self.inner.others.see(found, now_ms);
                for other in &came {
                    tracing::warn!(
                        other,
                        "another Sluice works on this cluster: its changes are seen as changes from outside"
                    );
                }
                for other in &went {
                    tracing::info!(other, "another Sluice is gone");
                }
                if !came.is_empty() || !went.is_empty() {
                    // The notices on the pages that are open.
                    self.announce(Happening::Figures);
                }
            }
            Err(error) => {
                tracing::debug!(%error, namespace = %instance.namespace, "other Sluices cannot be looked for");
            }
        }
    }
}

/// Renews our Lease and looks for others until `stop`.
pub(super) async fn follow(services: Services, instance: Instance, stop: CancellationToken) {
    let mut tick = interval(instance.every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        services.look_for_others(&instance).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(name: &str, renewed: &str) -> InstanceLease {
        InstanceLease {
            name: name.into(),
            holder: format!("{name}-0"),
            renewed: renewed.into(),
            duration_s: 45,
        }
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn another_is_known_while_its_lease_is_renewed_whatever_its_clock_says() {
        let others = Others::default();
        let now = at("2026-01-02T03:04:05Z");
        let (came, went) = others.see(vec![lease("b", "2026-01-02T03:04:35.000000Z")], now);
        assert_eq!((came, went), (vec!["b-0".to_owned()], vec![]));
        let (came, went) = others.see(vec![lease("b", "2026-01-02T03:04:50.000000Z")], now + 40_000);
        assert_eq!((came, went), (vec![], vec![]), "renewed");
        let (_, went) = others.see(vec![lease("b", "2026-01-02T03:04:50.000000Z")], now + 84_999);
        assert_eq!(went, Vec::<String>::new());
        let (_, went) = others.see(vec![lease("b", "2026-01-02T03:04:50.000000Z")], now + 85_000);
        assert_eq!(went, ["b-0"]);
        let (came, _) = others.see(vec![lease("b", "2026-01-02T03:04:50.000000Z")], now + 86_000);
        assert_eq!(came, Vec::<String>::new(), "what is old does not come back");
        let (came, _) = others.see(vec![lease("b", "2026-01-02T04:00:00.000000Z")], now + 87_000);
        assert_eq!(came, ["b-0"]);
    }

    #[test]
    fn a_lease_that_was_left_behind_is_nobody() {
        let others = Others::default();
        let now = at("2026-01-02T03:04:05Z");
        for renewed in ["2026-01-02T03:00:00.000000Z", "2027-01-01T00:00:00Z", "", "yesterday"] {
            let (came, _) = others.see(vec![lease("old", renewed)], now);
            assert_eq!(came, Vec::<String>::new(), "{renewed}");
            assert_eq!(others.see(Vec::new(), now), (vec![], vec![]));
        }
    }
}
