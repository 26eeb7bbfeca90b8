//! Traffic for a release: the aim of the machine as a change like a person's, through the same path.

use std::sync::Arc;

use crate::domain::actor::{Actor, Channel, Identity};
use crate::domain::audit::{Ending, ReleaseMark};
use crate::domain::class::Class;
use crate::domain::command::{Lane, MirrorWish, TrafficChange};
use crate::domain::ids::VersionName;
use crate::domain::overview::{Applied, Refused};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::stages::position;
use crate::domain::release::state::{Action, ActionKind, Aim};
use crate::domain::release::{Happened, Phase, Release};
use crate::domain::routing::Routing;
use crate::domain::split::Split;
use crate::release::Trouble;
use crate::services::Services;
use crate::services::ask::{ChangeAsk, Wish};
use crate::services::change::Look;
use crate::store::Held;

use super::acceptance::is_implied;
use super::rights::is_own_way_back;

impl Services {
    /// Writes what an action wants of the routing.
    pub(super) async fn move_traffic(&self, held: &Held, action: &Action) -> Result<(), Trouble> {
        let wish = match &action.kind {
            ActionKind::SwitchBack { revision } => Wish::SwitchBack(*revision),
            ActionKind::Restore => {
                let look =
                    self.look(held.release.at(), false).await.map_err(|refusal| of_refusal(&refusal))?;
                let before = self.routing_before(&held.release, &look).await;
                match before.map_err(|refusal| of_refusal(&refusal))? {
                    Some((_, wish)) => wish,
                    // It wrote nothing: there is nothing to take back.
                    None => return Ok(()),
                }
            }
            ActionKind::Traffic { aim } => {
                let look =
                    self.look(held.release.at(), false).await.map_err(|refusal| of_refusal(&refusal))?;
                let change = change_of(&held.release, aim, &look)?;
                let back = held.release.state.phase == Phase::Aborting && *aim == Aim::default();
                // That it is not known what was there must not keep requests from going back.
                let taken =
                    if back { self.mirror_taken(&held.release, &look).await.ok().flatten() } else { None };
                if let Some(mirror) = taken {
                    let whole = TrafficChange { mirror: Some(Some(mirror)), ..change.clone() };
                    match self.write_traffic(held, action, Wish::Set(whole)).await {
                        // With its mirror it cannot be; requests go back all the same.
                        Err(Trouble::Refused(_) | Trouble::NotReady(_) | Trouble::Forbidden(_)) => {}
                        other => return other.map(|_| ()),
                    }
                }
                Wish::Set(change)
            }
            _ => return Ok(()),
        };
        self.write_traffic(held, action, wish).await.map(|_| ())
    }

    /// One change in the release's name. Nothing to do is done, and `None`.
    pub(super) async fn write_traffic(
        &self,
        held: &Held,
        action: &Action,
        wish: Wish,
    ) -> Result<Option<Applied>, Trouble> {
        let release = &held.release;
        // The way back is never delayed: nothing is asked of a person.
        let back = release.state.phase == Phase::Aborting;
        let accepted = &release.spec.policies.accept;
        let ack = Code::ALL
            .iter()
            .filter(|code| back || is_implied(**code) || accepted.iter().any(|word| word == code.as_str()))
            .map(|code| code.as_str().to_owned())
            .collect();
        let (step, of) = position(&release.spec.steps, release.state.step);
        let ask = ChangeAsk {
            service: release.at().clone(),
            wish,
            expected: None,
            reason: format!("{} {step}/{of}", release.id),
            ack,
            request_id: format!("{}-{}", release.id, action.id),
            preview_id: None,
        };
        let decided = vec![Happened::Decided { action: action.kind.clone() }];
        let mark = ReleaseMark::of(release, release.state.phase, decided);
        let who = actor_of(held, action);
        if let Some(refusal) = self.lacks_sight(&who.identity, release.at()).await {
            // The change would not find the service; for a release that is a right that was lost.
            return Err(of_refusal(&refusal));
        }
        let own = is_own_way_back(release, action).then(|| held.acting());
        match self.change_for(&who, ask, mark, own).await {
            Ok(applied) => Ok(Some(applied)),
            Err(refused) if refused.refusal.code == Code::NothingAsked => Ok(None),
            Err(refused) => Err(of_refused(refused)),
        }
    }
}

/// In whose name a release carries out an action: who gave the latest command, by whose rights each write is judged.
/// Only the release's own way back needs no right of anybody.
pub(super) fn actor_of(held: &Held, action: &Action) -> Actor {
    let acting = held.acting();
    let unrestricted = acting.unrestricted || is_own_way_back(&held.release, action);
    let identity = Identity { unrestricted, ..acting.clone() };
    Actor { identity: Arc::new(identity), channel: Channel::Automatic, address: None }
}

/// The candidate's share of the default route as it is declared now, percent; `None` = none is declared. What a release
/// begins with and what its plan shows first.
pub(super) fn percent_now(routing: &Routing, candidate: &VersionName) -> Option<u8> {
    let weights = routing.declared()?;
    Some(weights.iter().find(|(version, _)| version == candidate).map_or(0, |(_, weight)| *weight))
}

pub(super) fn change_of(release: &Release, aim: &Aim, look: &Look) -> Result<TrafficChange, Trouble> {
    let (stable, candidate) = (&release.spec.stable, release.spec.candidate.version());
    let known = look.snapshot.versions.iter().any(|version| version.name == *candidate);
    if aim.touches_candidate() && !known {
        return Err(Trouble::NotReady(Refusal::new(Code::UnknownVersion).arg("v", candidate)));
    }
    let percent = aim.percent.min(100);
    let split = if known {
        Split::new(vec![(stable.clone(), 100 - percent), (candidate.clone(), percent)])
    } else {
        Ok(Split::all_to(stable.clone()))
    };
    // Retired: the stable version may be gone while the candidate has everything.
    let gone = !look.snapshot.versions.iter().any(|version| version.name == *stable);
    let split = if gone && percent == 100 { Ok(Split::all_to(candidate.clone())) } else { split };
    let split = split.map_err(Trouble::Refused)?;
    let name = release.id.to_string().to_lowercase();
    let mut lane = Lane { name, when: aim.when.clone(), to: candidate.clone() };
    let has_lane = look.routing.routes.iter().any(|route| lane.owns(route.name.as_deref()));
    if !known {
        lane.when.clear();
    }
    let lane = (has_lane || !lane.when.is_empty()).then_some(lane);
    let mirrored = look.routing.mirror.as_ref().and_then(|mirror| mirror.version()) == Some(candidate);
    let mirror = match aim.mirror {
        0 if mirrored => Some(None),
        0 => None,
        percent => Some(Some(MirrorWish { version: candidate.clone(), percent: f64::from(percent) })),
    };
    Ok(TrafficChange { route: None, weights: Some(split), rules: None, mirror, lane })
}

fn of_refused(refused: Refused) -> Trouble {
    match refused.ending {
        Ending::Unknown => Trouble::Unknown(refused.refusal),
        Ending::Partial | Ending::Failed => match of_refusal(&refused.refusal) {
            Trouble::Forbidden(refusal) => Trouble::Forbidden(refusal),
            Trouble::Refused(refusal) if refused.ending == Ending::Failed => Trouble::Refused(refusal),
            other => Trouble::Failed(other.refusal().clone()),
        },
        _ => of_refusal(&refused.refusal),
    }
}

/// What a refusal means for a release.
pub(in crate::services) fn of_refusal(refusal: &Refusal) -> Trouble {
    // Without the list of checks: what decided is enough to be kept with the state.
    let refusal = Refusal { checks: Vec::new(), ..refusal.clone() };
    match refusal.code.class() {
        Class::NotReady => Trouble::NotReady(refusal),
        Class::Forbidden => Trouble::Forbidden(refusal),
        Class::Conflict | Class::Unavailable => Trouble::Failed(refusal),
        Class::Unknown => Trouble::Unknown(refusal),
        Class::Refused => Trouble::Refused(refusal),
    }
}
