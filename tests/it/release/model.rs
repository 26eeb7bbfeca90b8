//! A cluster and a driver in a few lines: what random lives of releases are played against.

use sluice::domain::refusal::{Code, Refusal};
use sluice::domain::release::analysis::{Counts, Seen};
use sluice::domain::release::state::{Action, ActionKind, Aim, Side};
use sluice::domain::release::{Command, PauseReason, Phase, Policies, Runs, Spec, State, Step, Strategy};
use sluice::release::{Drift, Event, Observation, Pods, Reverted, Transition, Trouble, World, step};

/// Numbers that look random and are the same every time.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[derive(Clone, Default)]
pub struct Workload {
    pub there: bool,
    pub pods: Pods,
    /// Never gets ready.
    pub broken: bool,
}

/// The service in the cluster.
#[derive(Default)]
pub struct Cluster {
    pub stable: Workload,
    pub candidate: Workload,
    /// What the routing objects say: candidate, stable.
    pub weights: Option<(u8, u8)>,
    pub aim: Aim,
    pub outside: Option<Drift>,
    pub entries: i64,
    /// How often a workload was made: making is the one thing that must not be repeated.
    pub made: u32,
    pub error_percent: f64,
    pub updated: u32,
    /// A pod of the StatefulSet waits at the revision that was taken back.
    pub stuck: bool,
    pub updated_ready: u32,
    /// Somebody gave the new version's workload another image.
    pub image: u32,
}

impl Cluster {
    pub fn new() -> Self {
        let pods = Pods { wanted: 4, ready: 4 };
        Self { stable: Workload { there: true, pods, broken: false }, ..Self::default() }
    }

    /// Pods start, one here and one there.
    pub fn breathe(&mut self) {
        for workload in [&mut self.stable, &mut self.candidate] {
            let Pods { wanted, ready } = &mut workload.pods;
            if *ready < *wanted && !workload.broken {
                *ready += 1;
            }
            *ready = (*ready).min(*wanted);
        }
        if self.updated_ready < self.updated && !self.candidate.broken {
            self.updated_ready += 1;
        }
        self.updated_ready = self.updated_ready.min(self.updated);
    }

    pub fn world(&self) -> World {
        World {
            stable: self.stable.pods,
            candidate: self.candidate.pods,
            updated_ready: self.updated_ready,
            stable_gone: false,
            runs: if self.candidate.there { vec![self.runs()] } else { Vec::new() },
            candidate_gone: !self.candidate.there && self.candidate.pods.ready == 0,
            reverted: Reverted {
                whole: self.updated == 0 && self.stable.pods.all_ready(),
                broken: u32::from(self.updated == 0 && self.stuck),
                unsettled: false,
            },
            percent: self.weights.map(|(candidate, _)| candidate),
            drift: self.outside.clone(),
        }
    }

    fn runs(&self) -> Runs {
        Runs {
            workload: "Deployment reviews-v2".into(),
            images: format!("shop/reviews:{}", 2 + self.image),
            template: self.image.to_string(),
            by: "kubectl-set".into(),
        }
    }

    /// Somebody with kubectl.
    pub fn edit(&mut self, percent: u8) {
        self.entries += 1;
        self.weights = Some((percent, 100 - percent));
        let managers = vec!["kubectl".to_owned()];
        self.outside = Some(Drift { entry: self.entries, managers, percent: Some(percent), gitops: false });
    }

    /// Carries out an action as the real driver does: looks first, does what is missing.
    pub fn carry_out(&mut self, kind: &ActionKind) -> Result<(), Trouble> {
        match kind {
            ActionKind::Deploy { replicas } => {
                if !self.candidate.there {
                    self.made += 1;
                    let wanted = replicas.unwrap_or(self.stable.pods.wanted);
                    self.candidate.there = true;
                    self.candidate.pods = Pods { wanted, ready: 0 };
                }
            }
            ActionKind::Scale { side, replicas } => {
                let workload = self.side(*side);
                workload.pods.wanted = *replicas;
                workload.pods.ready = workload.pods.ready.min(*replicas);
            }
            ActionKind::Batch { updated, .. } => {
                self.stuck |= *updated > 0 && self.candidate.broken;
                self.updated = *updated;
            }
            ActionKind::Heal => self.stuck = false,
            ActionKind::Settle | ActionKind::Measure => {}
            ActionKind::Traffic { aim } => {
                let raised = aim.raises(&self.aim);
                if raised && self.candidate.pods.ready == 0 {
                    return Err(Trouble::NotReady(Refusal::new(Code::NoReadyPods)));
                }
                let to_nobody = self.weights.is_some_and(|(candidate, _)| candidate > aim.percent);
                if to_nobody && self.stable.pods.ready == 0 {
                    return Err(Trouble::NotReady(Refusal::new(Code::NoReadyPods)));
                }
                self.weights = Some((aim.percent, 100 - aim.percent));
                self.aim = aim.clone();
                self.outside = None;
            }
            ActionKind::SwitchBack { .. } | ActionKind::Restore => {
                self.weights = Some((0, 100));
                self.aim = Aim::default();
                self.outside = None;
            }
            ActionKind::Remove { side } => {
                let percent = self.weights.map_or(0, |(candidate, stable)| match side {
                    Side::Candidate => candidate,
                    Side::Stable => stable,
                });
                if percent > 0 {
                    return Err(Trouble::Refused(Refusal::new(Code::StillServing)));
                }
                *self.side(*side) = Workload::default();
            }
        }
        Ok(())
    }

    fn side(&mut self, side: Side) -> &mut Workload {
        match side {
            Side::Stable => &mut self.stable,
            Side::Candidate => &mut self.candidate,
        }
    }

    pub fn seen(&self, dice: &mut Dice) -> Seen {
        match dice.roll(10) {
            0 => Seen { error: Some("down".into()), ..Seen::default() },
            1 => Seen::default(),
            _ => {
                let counts = |errors: f64| Counts { requests: 1_000.0, errors, ..Counts::default() };
                Seen {
                    candidate: Some(counts(self.error_percent * 10.0)),
                    stable: Some(counts(0.0)),
                    ..Seen::default()
                }
            }
        }
    }
}

/// What is stored: the machine's state, and what was handed out to be done.
pub struct Life {
    pub spec: Spec,
    pub state: State,
    pub now_ms: i64,
    /// Every row of the history.
    pub rows: usize,
}

/// So many seconds of a release: the cluster moves on, the release sees it and does what it wants to.
pub fn turn(life: &mut Life, cluster: &mut Cluster, times: u32) {
    let mut dice = Dice(7);
    for _ in 0..times {
        life.now_ms += 1_000;
        cluster.breathe();
        life.see(Event::World(cluster.world()));
        life.drive(cluster, &mut dice, true);
    }
}

/// A canary that waits for its approval at half.
pub fn waits(cluster: &mut Cluster, change: impl FnOnce(&mut Policies)) -> Life {
    let steps = vec![Step::Weight { percent: 50 }, Step::Approval, Step::Weight { percent: 100 }];
    let mut spec = super::spec(Strategy::Canary, steps);
    change(&mut spec.policies);
    let mut life = Life::new(spec);
    life.see(Event::Told { command: Command::Start, by: "amy".into() });
    turn(&mut life, cluster, 30);
    assert_eq!(life.state.pause_reason(), Some(PauseReason::Gate), "{:?}", life.state);
    life
}

impl Life {
    pub fn new(spec: Spec) -> Self {
        Self { spec, state: State::new(), now_ms: 1_000_000, rows: 0 }
    }

    pub fn see(&mut self, event: Event) -> Transition {
        let out = step(&self.spec, &self.state, &Observation { now_ms: self.now_ms, event });
        self.state = out.state.clone();
        self.rows += usize::from(!out.happened.is_empty());
        if let Some(steps) = &out.steps {
            self.spec.steps.clone_from(steps);
        }
        out
    }

    /// Carries out what is pending, with everything that can go wrong on the way.
    pub fn drive(&mut self, cluster: &mut Cluster, dice: &mut Dice, calm: bool) {
        let pending: Vec<Action> = self.state.pending.clone();
        for action in pending {
            let crash_before = !calm && dice.roll(12) == 0;
            if crash_before {
                self.see(Event::Restarted);
                return;
            }
            if action.kind == ActionKind::Measure {
                let seen = cluster.seen(dice);
                self.see(Event::Measured { action: action.id, seen });
                continue;
            }
            let lost_before = !calm && dice.roll(12) == 0;
            let result = if lost_before {
                Err(Trouble::Failed(Refusal::new(Code::ClusterUnreachable)))
            } else {
                cluster.carry_out(&action.kind)
            };
            match if calm { 9 } else { dice.roll(10) } {
                // Done, and the process dies before it is written down.
                0 => {
                    self.see(Event::Restarted);
                    return;
                }
                1 => {
                    let lost = Err(Trouble::Unknown(Refusal::new(Code::OutcomeUnknown)));
                    self.see(Event::Done { action: action.id, result: lost });
                }
                2 => {
                    self.see(Event::Done { action: action.id, result: result.clone() });
                    self.see(Event::Done { action: action.id, result });
                }
                _ => {
                    self.see(Event::Done { action: action.id, result });
                }
            }
        }
    }

    pub fn is_over(&self) -> bool {
        self.state.phase.is_final() && self.state.pending.is_empty()
    }

    /// True when a person has to say something before it goes on.
    pub fn waits_for_a_person(&self) -> bool {
        matches!(self.state.phase, Phase::Paused | Phase::PendingApproval)
    }
}
