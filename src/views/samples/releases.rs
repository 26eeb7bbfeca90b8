//! Samples of the list of releases, of one release in every state, and of its questions.

use std::sync::Arc;

use crate::domain::actor::Channel;
use crate::domain::ids::{Kind, ObjectRef, ServiceRef};
use crate::domain::overview::{DiffLine, Difference, Overview, Rights, Sign};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::analysis::{Seen, Why};
use crate::domain::release::state::{ActionKind, Aim, Side};
use crate::domain::release::{
    Analysis, Candidate, Changed, Counts, Direction, Happened, Judgement, Limit, Metric, MetricJudgement,
    PauseReason, Paused, Phase, Policies, Release, ReleaseId, Runs, Spec, Stage, State, Step, Strategy,
    Template, TimelineEntry, Verdict, Word,
};

use super::super::chrome::{Nav, Theme};
use super::super::lang::Lang;
use super::super::release::acts::{Ask, AskPage, Back, Typed};
use super::super::release::change_steps::{ChangeStepsPage, open_rows};
use super::super::release::{Given, ReleasePage};
use super::super::releases::{Filter, ReleasesPage, Which};
use super::super::wizard::{Fields, Wish};
use super::world::{Service, longest, seen, version};
use super::{HOSTILE, NOW, Page, chrome, push};

/// `R-1042`: reviews v1 → v2, on its fourth share.
fn release() -> Release {
    let mut steps = Template::Careful.steps(Strategy::Canary, 3);
    steps.insert(6, Step::Analysis { passes: 3 });
    let mut analysis = Template::Careful.analysis();
    analysis
        .metrics
        .push(Metric::Latency { quantile: 99, limit: Limit { absolute: Some(120.0), ..Limit::default() } });
    analysis.metrics.push(Metric::Custom {
        name: "Queue length".to_owned(),
        query: "sum(queue_length{version=\"{{version}}\"})".to_owned(),
        direction: Direction::AtMost,
        limit: Limit { absolute: Some(40.0), ..Limit::default() },
    });
    let spec = Spec {
        service: ServiceRef::new("bookinfo", "reviews"),
        strategy: Strategy::Canary,
        stable: "v1".into(),
        candidate: Candidate::Image {
            version: "v2".into(),
            image: "bookinfo/reviews:1.17.0".to_owned(),
            replicas: Some(3),
            in_place: false,
        },
        steps,
        analysis: Some(analysis),
        policies: Policies::default(),
        name: "bookinfo-canary".to_owned(),
    };
    let mut state = State::new();
    state.phase = Phase::Running;
    state.step = 5;
    state.stage = Stage::Soaking;
    state.due_ms = Some(NOW + 372_000);
    state.aim = Aim { percent: 10, ..Aim::default() };
    state.deployed = true;
    state.latest = Some(Verdict::Undecided);
    state.started_by = Some("lin.wei".to_owned());
    Release {
        id: ReleaseId(1042),
        spec,
        state,
        seq: 17,
        created_ms: NOW - 26 * 60_000,
        changed_ms: NOW - 60_000,
        started_ms: Some(NOW - 25 * 60_000),
        ended_ms: None,
        by: "lin.wei".to_owned(),
        reason: "REV-231 star ratings".to_owned(),
    }
}

/// Looks, one a minute, newest first.
fn judgements(analysis: &Analysis) -> Vec<Judgement> {
    let one = |minute: i64| {
        let wave = f64::from(i32::try_from(minute * 7 % 5).unwrap_or(0));
        let counts =
            Counts { requests: 2_514.0 + wave * 31.0, errors: 1.0, p95_ms: Some(44.0), ..Counts::default() };
        let metric = |at: usize, metric: &Metric| {
            let (value, beside) = match metric {
                Metric::SuccessRate { .. } => (99.95 - wave * 0.01, 99.97),
                Metric::Latency { quantile: 99, .. } => (110.0 + wave * 4.0, 88.0),
                Metric::Latency { .. } => (44.0 + wave, 38.0),
                Metric::Custom { .. } => (17.0 + wave, 15.0),
            };
            let unsure = matches!(metric, Metric::Latency { quantile: 99, .. }) && wave > 2.0;
            MetricJudgement {
                metric: at,
                verdict: if unsure { Verdict::Undecided } else { Verdict::Pass },
                value: Some(value),
                beside: Some(beside),
                interval: Some((value * 0.998, value * 1.002)),
                limit: metric.limit().absolute,
                why: if unsure { Why::NotSure } else { Why::Within },
            }
        };
        let metrics: Vec<_> = analysis.metrics.iter().enumerate().map(|(at, one)| metric(at, one)).collect();
        let worst = metrics.iter().map(|one| one.verdict).max().unwrap_or(Verdict::Pass);
        let seen = Seen { candidate: Some(counts), stable: Some(counts), ..Seen::default() };
        Judgement { at_ms: NOW - minute * 60_000, step: 5, verdict: worst, metrics, seen }
    };
    (0..16).map(|minute| one(minute + 1)).collect()
}

fn happened(minutes: i64, by: &str, step: usize, happened: Vec<Happened>, reason: &str) -> TimelineEntry {
    let automatic = by == "release";
    TimelineEntry {
        seq: 1,
        at_ms: NOW - minutes * 60_000,
        by: by.to_owned(),
        channel: if automatic { Channel::Automatic } else { Channel::Browser },
        from: Phase::Running,
        to: if happened.iter().any(|one| matches!(one, Happened::Paused { .. })) {
            Phase::Paused
        } else {
            Phase::Running
        },
        step,
        happened,
        reason: reason.to_owned(),
        entry: Some(1_900),
    }
}

fn timeline() -> Vec<TimelineEntry> {
    let traffic = |percent| ActionKind::Traffic { aim: Aim { percent, ..Aim::default() } };
    vec![
        happened(1, "release", 5, vec![Happened::Judged { verdict: Verdict::Undecided, failures: 0 }], ""),
        happened(2, "release", 5, vec![Happened::Judged { verdict: Verdict::Fail, failures: 1 }], ""),
        happened(3, "release", 5, vec![Happened::ResumedAfterRestart], ""),
        happened(
            8,
            "release",
            4,
            vec![Happened::StepBegan { step: 4 }, Happened::Done { action: traffic(10) }],
            "",
        ),
        happened(
            9,
            "chen.yu",
            3,
            vec![Happened::Told { word: Word::Promote }, Happened::StepDone { step: 3 }],
            "looks fine",
        ),
        happened(16, "release", 1, vec![Happened::StepDone { step: 1 }], ""),
        happened(
            22,
            "release",
            0,
            vec![Happened::StepDone { step: 0 }, Happened::Done { action: traffic(1) }],
            "",
        ),
        happened(23, "release", 0, vec![Happened::Ready], ""),
        happened(
            24,
            "release",
            0,
            vec![Happened::Done { action: ActionKind::Deploy { replicas: Some(3) } }],
            "",
        ),
        happened(
            25,
            "lin.wei",
            0,
            vec![Happened::Told { word: Word::Start }, Happened::Began],
            "REV-231 star ratings",
        ),
        happened(26, "lin.wei", 0, vec![Happened::Created], ""),
    ]
}

fn running() -> Overview {
    let versions = vec![
        version("v1", "bookinfo/reviews:1.16.4", 3, 3, None),
        version("v2", "bookinfo/reviews:1.17.0", 3, 3, None),
    ];
    Service::new("bookinfo", "reviews", versions)
        .declared(&[("v1", 90), ("v2", 10)])
        .observed(seen(&[("v1", 2_271.0, 1.0, 38.0), ("v2", 243.0, 0.0, 44.0)]))
        .last(8, "release", 44)
        .done()
}

/// The same while no pod of the new version runs.
fn crashing() -> Overview {
    let versions = vec![
        version("v1", "bookinfo/reviews:1.16.4", 3, 3, None),
        version("v2", "bookinfo/reviews:1.17.0", 0, 7, Some("CrashLoopBackOff")),
    ];
    Service::new("bookinfo", "reviews", versions)
        .declared(&[("v1", 100), ("v2", 0)])
        .observed(seen(&[("v1", 2_271.0, 1.0, 38.0)]))
        .last(8, "release", 44)
        .done()
}

fn paused(reason: PauseReason, detail: Option<Refusal>) -> Release {
    let mut out = release();
    out.state.phase = Phase::Paused;
    out.state.due_ms = None;
    out.state.paused = Some(Paused {
        reason,
        since_ms: NOW - 4 * 60_000,
        left_ms: (reason == PauseReason::User).then_some(372_000),
        phase: Phase::Running,
        detail,
    });
    out
}

fn ended(phase: Phase, percent: u8) -> Release {
    let mut out = release();
    out.state.phase = phase;
    out.state.due_ms = None;
    out.state.aim.percent = percent;
    out.ended_ms = Some(NOW - 60_000);
    if phase == Phase::Succeeded {
        out.state.step = out.spec.steps.len();
    }
    out
}

fn before(phase: Phase) -> Release {
    let mut out = ended(phase, 0);
    out.state.step = 0;
    out.state.deployed = false;
    out.started_ms = None;
    out.ended_ms = None;
    out.state.due_ms = (phase == Phase::Scheduled).then_some(NOW + 5_400_000);
    out
}

/// What somebody else made of it.
fn difference(by: &str) -> Difference {
    let line = |sign, text: &str| DiffLine { sign, text: text.to_owned() };
    Difference {
        entry: 1_901,
        at_ms: NOW - 4 * 60_000,
        by: vec![by.to_owned()],
        diffs: vec![(
            ObjectRef::new(Kind::VirtualService, "bookinfo", "reviews"),
            vec![
                line(Sign::Same, "- destination:"),
                line(Sign::Same, &format!("    host: {by}")),
                line(Sign::Del, "  weight: 90"),
                line(Sign::Add, "  weight: 50"),
            ],
        )],
    }
}

/// Somebody gave the new version another image.
fn replaced() -> Release {
    let why = Refusal::new(Code::CandidateChanged)
        .arg("v", "v2")
        .arg("object", "Deployment reviews-v2")
        .arg("image", "registry.example/reviews:666")
        .arg("was", "registry.example/reviews:2")
        .arg("who", "kubectl-set");
    let mut out = paused(PauseReason::Drift, Some(why.clone()));
    out.state.changed = Some(Box::new(Changed { now: vec![Runs::default()], why }));
    out
}

/// Every state of a release's page, by the name of its sample.
fn states() -> Vec<(&'static str, Release)> {
    let drift =
        Refusal::new(Code::StaleRevision).arg("svc", "bookinfo/reviews").arg("who", "kubectl").arg("r", 45);
    let mut failed = ended(Phase::RolledBack, 0);
    (failed.state.latest, failed.state.failures) = (Some(Verdict::Fail), 3);
    let mut attention = ended(Phase::NeedsAttention, 10);
    attention.state.needs = Some(Refusal::new(Code::StableNotReady).arg("v", "v1"));
    let mut retired = ended(Phase::Succeeded, 100);
    retired.state.removed = vec![Side::Stable];
    let mut gate = release();
    (gate.state.step, gate.state.stage, gate.state.due_ms) = (6, Stage::Gate, None);
    let mut deploying = before(Phase::Running);
    deploying.started_ms = Some(NOW - 30_000);
    let mut waits = deploying.clone();
    waits.state.deployed = true;
    let mut changed = paused(PauseReason::StepsChanged, None);
    changed.state.unapproved = true;
    let mut back = ended(Phase::RolledBack, 20);
    (back.state.back_to, back.state.ended_by_pods) = (Some(0), true);
    back.state.ended_split = vec![("v1".into(), 50), ("v2".into(), 50)];
    vec![
        ("release", release()),
        ("release-deploying", deploying),
        ("release-pods-wait", waits),
        ("release-gate", gate),
        ("release-paused", paused(PauseReason::User, None)),
        ("release-waiting", paused(PauseReason::Gate, None)),
        ("release-steps-changed", changed),
        ("release-drift", paused(PauseReason::Drift, Some(drift))),
        ("release-candidate-changed", replaced()),
        ("release-rolled-back", back),
        ("release-no-data", paused(PauseReason::NoData, None)),
        ("release-failed", paused(PauseReason::Failed, None)),
        ("release-promoting", ended(Phase::Promoting, 10)),
        ("release-aborting", ended(Phase::Aborting, 10)),
        ("release-went-back", ended(Phase::RolledBack, 0)),
        ("release-went-back-itself", failed),
        ("release-attention", attention),
        ("release-done", ended(Phase::Succeeded, 100)),
        ("release-retired", retired),
        ("release-new", before(Phase::Validated)),
        ("release-approval", before(Phase::PendingApproval)),
        ("release-scheduled", before(Phase::Scheduled)),
        ("release-cancelled", before(Phase::Cancelled)),
        ("release-superseded", before(Phase::Superseded)),
    ]
}

/// Releases that wait for somebody, each for another reason.
pub fn waiting() -> Vec<Arc<Release>> {
    let names =
        ["release-failed", "release-attention", "release-waiting", "release-paused", "release-approval"];
    let meant = states().into_iter().filter(|(name, _)| names.contains(name));
    meant.map(|(_, release)| Arc::new(release)).collect()
}

pub fn add(pages: &mut Vec<Page>, lang: Lang, theme: Theme) {
    list(pages, lang, theme);
    one(pages, lang, theme);
    asks(pages, lang, theme);
}

fn list(pages: &mut Vec<Page>, lang: Lang, theme: Theme) {
    let frame = |here: &str| chrome(lang, theme, Nav::Releases, here);
    let drafts = [("bookinfo / reviews".to_owned(), NOW - 400_000, "d-17".to_owned())];
    let rows: Vec<Release> = states()
        .into_iter()
        .enumerate()
        .map(|(at, (_, release))| Release { id: ReleaseId(1042 - i64::try_from(at).unwrap_or(0)), ..release })
        .collect();
    let all = ReleasesPage::of(frame("/releases"), Filter::default(), &rows, Some("c2"), 2, &drafts);
    push(pages, "releases", &all);
    push(pages, "releases-none", &ReleasesPage::of(frame("/releases"), Filter::default(), &[], None, 0, &[]));
    let filter =
        Filter { show: Which::Attention, text: HOSTILE.to_owned(), service: "bookinfo/reviews".to_owned() };
    push(pages, "releases-hostile", &ReleasesPage::of(frame("/releases?q=x"), filter, &[], None, 0, &drafts));
}

fn one(pages: &mut Vec<Page>, lang: Lang, theme: Theme) {
    let rights = Rights { change: None };
    let all_ready = running();
    for (name, release) in states() {
        let waits = name == "release-pods-wait";
        let item = if waits { crashing() } else { all_ready.clone() };
        let looks = release.spec.analysis.as_ref().map(judgements).unwrap_or_default();
        let (timeline, looks) = if release.started_ms.is_some() && !waits {
            (timeline(), looks)
        } else {
            (Vec::new(), Vec::new())
        };
        let outside = (name == "release-drift").then(|| difference("kubectl-edit"));
        let given = Given {
            release: &release,
            timeline: &timeline,
            judgements: &looks,
            overview: Some(&item),
            rights: &rights,
            denied: &[],
            reached: &[],
            outside: outside.as_ref(),
        };
        let frame = chrome(lang, theme, Nav::Releases, "/releases/R-1042");
        push(pages, name, &ReleasePage::of(frame, given, None, "k1".to_owned()));
    }
    // Somebody who may only look, at a release without analysis whose service is gone and whose names are the longest.
    let lengthy = longest().done();
    let mut release = release();
    release.spec.service = lengthy.at().clone();
    release.spec.stable = lengthy.snapshot.versions[0].name.clone();
    release.spec.candidate = Candidate::Adopt { version: lengthy.snapshot.versions[1].name.clone() };
    release.spec.analysis = None;
    HOSTILE.clone_into(&mut release.reason);
    let rights = Rights {
        change: Some(
            Refusal::new(Code::Forbidden)
                .arg("svc", "a/b")
                .arg("verb", "update")
                .arg("resource", "virtualservices")
                .arg("ns", "a"),
        ),
    };
    let given = Given {
        release: &release,
        timeline: &[],
        judgements: &[],
        overview: Some(&lengthy),
        rights: &rights,
        denied: &[],
        reached: &[],
        outside: None,
    };
    let frame = || chrome(lang, theme, Nav::Releases, "/releases/R-1042");
    push(pages, "release-longest-hostile", &ReleasePage::of(frame(), given, None, "k2".to_owned()));
    let hostile = difference(HOSTILE);
    let given = Given { overview: None, outside: Some(&hostile), ..given };
    push(
        pages,
        "release-gone-hostile",
        &ReleasePage::of(frame(), given, rights.change.as_ref(), "k3".to_owned()),
    );
}

fn asks(pages: &mut Vec<Page>, lang: Lang, theme: Theme) {
    let rights = Rights { change: None };
    let item = running();
    let of = |name: &str| {
        states().into_iter().find(|(known, _)| *known == name).map_or_else(release, |(_, one)| one)
    };
    let looks = release().spec.analysis.as_ref().map(judgements).unwrap_or_default();
    let frame = || chrome(lang, theme, Nav::Releases, "/releases/R-1042/abort");
    let revisions = [(43, "43 · v1 95% · v2 5%".to_owned()), (42, "42 · v1 99% · v2 1%".to_owned())];
    for (name, state, word) in [
        ("ask-start", "release-new", Word::Start),
        ("ask-approve-start", "release-approval", Word::Promote),
        ("ask-start-now", "release-scheduled", Word::Promote),
        ("ask-promote", "release", Word::Promote),
        ("ask-approve", "release-waiting", Word::Promote),
        ("ask-approve-steps", "release-steps-changed", Word::Promote),
        ("ask-promote-all", "release", Word::PromoteAll),
        ("ask-abort", "release", Word::Abort),
        ("ask-cancel", "release-new", Word::Abort),
        ("ask-rollback", "release", Word::Rollback),
        ("ask-switch-back", "release-done", Word::SwitchBack),
        ("ask-approve-changed", "release-candidate-changed", Word::Promote),
        ("ask-resume", "release-candidate-changed", Word::Resume),
        ("ask-retry", "release-aborting", Word::Retry),
        ("ask-retry-all", "release-went-back", Word::Retry),
        ("ask-retire", "release-done", Word::Retire),
        ("ask-retire-early", "release", Word::Retire),
        ("ask-delete", "release-went-back", Word::DeleteVersion),
    ] {
        let release = of(state);
        let given = Given {
            release: &release,
            timeline: &[],
            judgements: &looks,
            overview: Some(&item),
            rights: &rights,
            denied: &[],
            reached: &[],
            outside: None,
        };
        let back = Back {
            now: vec![("v1".into(), 0), ("v2".into(), 100)],
            then: vec![("v1".into(), 100), ("v2".into(), 0)],
            rules: true,
            mirror: true,
            pods: vec![("reviews-v1".to_owned(), 0, 3)],
            image: Some(("reviews".to_owned(), HOSTILE.to_owned())),
        };
        let typed = Typed { request_id: "k4", revisions: &revisions, back: Some(&back), ..Typed::default() };
        push(pages, name, &AskPage::of(frame(), given, word, typed));
        if word == Word::Abort {
            push(pages, &format!("fragment-{name}"), &Ask::of(&frame(), given, word, typed));
        }
    }
    let release = of("release-done");
    let given = Given {
        release: &release,
        timeline: &[],
        judgements: &looks,
        overview: Some(&item),
        rights: &rights,
        denied: &[],
        reached: &[],
        outside: None,
    };
    let wrong = Refusal::new(Code::ConfirmMismatch).field("confirm").arg("expected", "reviews v1");
    let typed = Typed { refusal: Some(&wrong), confirm: HOSTILE, reason: "old", ..Typed::default() };
    push(pages, "ask-retire-hostile", &AskPage::of(frame(), given, Word::Retire, typed));
    let release = of("release");
    let given = Given { release: &release, ..given };
    let mut fields = Fields { rows: open_rows(given).1, strategy: "canary".to_owned(), ..Fields::default() };
    let mut wish = Wish::default();
    wish.steps(&fields.rows);
    let page = |fields: &Fields, refusals: &[Refusal]| {
        ChangeStepsPage::of(frame(), given, fields.clone(), &wish, refusals, "k5".to_owned())
    };
    push(pages, "change-steps", &page(&fields, &[]));
    HOSTILE.clone_into(&mut fields.reason);
    let fall = Refusal::new(Code::StepsFall).field("steps.0.percent").arg("n", 5).arg("before", 10);
    push(pages, "change-steps-refused-hostile", &page(&fields, &[fall, Refusal::new(Code::ReleaseStale)]));
}
