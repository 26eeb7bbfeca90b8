//! Samples of the page of one service.

use serde_json::json;

use crate::domain::audit::Ending;
use crate::domain::ids::{Kind, ObjectRef, VersionName};
use crate::domain::observed::Hits;
use crate::domain::overview::{
    Back, Detail, DiffLine, LastChange, Overview, Preview, Retirement, Rights, Sign, Stale, State,
};
use crate::domain::plan::{Effect, Plan, Planned, Standing};
use crate::domain::progress::{Progress, SoFar, Steps};
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::routing::{Op, Weights};
use crate::domain::rule_changes::RuleChanges;
use crate::domain::service::Version;
use crate::domain::split::Split;

use super::super::bars::Slots;
use super::super::chrome::{Chrome, Nav, Theme};
use super::super::lang::Lang;
use super::super::pending::Case;
use super::super::rule_form::Draft;
use super::super::rules::RuleEditor;
use super::super::service::{Outcome, ServicePage, Typed};
use super::super::traffic::ProgressLine;
use super::audit::entries;
use super::world::{Service, five, longest, reviews, rule, seen, version, weights};
use super::{HOSTILE, NOW, Page, chrome, push, toast};

/// The detail of an overview for somebody who may change it.
pub fn detail(overview: Overview) -> Detail {
    let effect = Effect {
        before: overview.routing.declared().unwrap_or_default(),
        after: weights(&[("v1", 90), ("v2", 10)]),
        ..Effect::default()
    };
    let back = Some(Back { revision: 40, effect });
    let hits = Some(Hits { rules: vec![318.0, 0.0], rest: 12_337.0 });
    let origin = Some(weights(&[("v1", 100)]));
    Detail {
        history: entries(),
        rights: Rights { change: None },
        back,
        undo: None,
        origin,
        unchanged: Vec::new(),
        stable: None,
        release: None,
        retire: retirements(&overview),
        unread: vec![ObjectRef::new(Kind::DestinationRule, "bookinfo", "reviews")],
        hits,
        notices: Vec::new(),
        overview,
    }
}

/// The first version can go, the last has no figures, and what is between them still has traffic.
fn retirements(overview: &Overview) -> Vec<Retirement> {
    let versions = &overview.snapshot.versions;
    let state = |at: usize, version: &VersionName| match at {
        0 => Ok(Some(720)),
        at if at + 1 == versions.len() => Ok(None),
        _ => Err(Refusal::new(Code::StillServing).arg("v", version).arg("n", 40)),
    };
    let one = |(at, version): (usize, &Version)| Retirement {
        version: version.name.clone(),
        state: state(at, &version.name),
        open: Vec::new(),
    };
    versions.iter().enumerate().map(one).collect()
}

/// A preview of new weights with checks of every severity.
pub fn preview(before: Weights, after: Weights, checks: Vec<Check>) -> Preview {
    let line = |sign, text: &str| DiffLine { sign, text: text.to_owned() };
    let refusal = Refusal::of_checks(&checks, &[]);
    let effect = Effect { before, after, ..Effect::default() };
    let body: serde_json::Map<_, _> =
        effect.after.iter().map(|(name, n)| (name.to_string(), json!(n))).collect();
    Preview {
        base: 41,
        preview_id: "p-7f3a".to_owned(),
        planned: Planned {
            plan: Plan::default(),
            checks: checks.clone(),
            effect,
            after: Standing::default(),
        },
        checks,
        refusal,
        diffs: vec![(
            ObjectRef::new(Kind::VirtualService, "bookinfo", "reviews"),
            vec![
                line(Sign::Same, "http:"),
                line(Sign::Same, "- route:"),
                line(Sign::Same, "  - destination: {host: reviews, subset: v1}"),
                line(Sign::Del, "    weight: 100"),
                line(Sign::Add, "    weight: 30"),
                line(Sign::Same, "  - destination: {host: reviews, subset: v2}"),
                line(Sign::Del, "    weight: 0"),
                line(Sign::Add, "    weight: 70"),
            ],
        )],
        rate: Some(42.1),
        deletes: Vec::new(),
        call: (
            "PUT",
            "/api/v1/services/bookinfo/reviews/traffic".to_owned(),
            json!({"weights": body, "ack": ["big_jump"], "reason": "…"}),
        ),
    }
}

/// The checks of 100/0 → 30/70.
pub fn checks() -> Vec<Check> {
    vec![
        Check::new(Severity::Acknowledge, Code::BigJump).arg("v", "v2").arg("a", 0).arg("b", 70).arg("n", 25),
        Check::new(Severity::Info, Code::NoBaseline).arg("v", "v2"),
        Check::new(Severity::Ok, Code::PodsReady).arg("list", "v1, v2"),
        Check::new(Severity::Ok, Code::SubsetsExist),
        Check::new(Severity::Ok, Code::NobodyElse).arg("r", 41),
        Check::new(Severity::Ok, Code::DryRunPassed),
    ]
}

fn typed(list: &[(&str, &str)]) -> Typed {
    let weights = list.iter().map(|(version, value)| ((*version).to_owned(), (*value).to_owned())).collect();
    Typed { weights, ..Typed::default() }
}

fn outcome(case: Case<'_>) -> Outcome<'_> {
    Outcome { case, refusal: None, request_id: "01JD3S9V0Q8M".to_owned(), progress: None }
}

pub fn add(pages: &mut Vec<Page>, lang: Lang, theme: Theme) {
    let frame = || chrome(lang, theme, Nav::Services, "/services/bookinfo/reviews");
    let mut show = |name: &str, chrome: Chrome, detail: &Detail, typed: Typed, outcome: Outcome<'_>| {
        push(pages, name, &ServicePage::of(chrome, detail, typed, outcome));
    };
    let one = detail(reviews().done());
    show("service", frame(), &one, Typed::default(), outcome(Case::Untouched));

    let (before, after) =
        (weights(&[("v1", 100), ("v2", 0), ("v3", 0)]), weights(&[("v1", 30), ("v2", 70), ("v3", 0)]));
    let checked = preview(before.clone(), after.clone(), checks());
    let ack = ["big_jump".to_owned()];
    let mine = || Typed {
        reason: "REV-231: star ratings, agreed with support".to_owned(),
        ..typed(&[("v1", "30"), ("v2", "70")])
    };
    show(
        "service-pending",
        frame(),
        &one,
        mine(),
        outcome(Case::Checked { preview: &checked, acknowledged: &[] }),
    );
    let mut accepted = checked.clone();
    accepted.refusal = None;
    show(
        "service-accepted",
        frame(),
        &one,
        mine(),
        outcome(Case::Checked { preview: &accepted, acknowledged: &ack }),
    );

    let blocked = Check::new(Severity::Block, Code::NoReadyPods).arg("v", "v3").arg("n", 1);
    let blocked = preview(
        before.clone(),
        weights(&[("v1", 30), ("v2", 0), ("v3", 70)]),
        vec![blocked, checks()[3].clone()],
    );
    show(
        "service-blocked",
        frame(),
        &one,
        typed(&[("v1", "30"), ("v3", "70")]),
        outcome(Case::Checked { preview: &blocked, acknowledged: &[] }),
    );

    let sum = Split::wrong_sum(90);
    let wrong = Outcome { refusal: Some(&sum), ..outcome(Case::Refused { refusal: &sum, yours: None }) };
    show("service-sum", frame(), &one, typed(&[("v1", "30"), ("v2", "60")]), wrong);
    let reason = Refusal::new(Code::ReasonRequired).field("reason");
    let missing = Outcome {
        refusal: Some(&reason),
        ..outcome(Case::Checked { preview: &accepted, acknowledged: &ack })
    };
    show("service-no-reason", frame(), &one, Typed { reason: String::new(), ..mine() }, missing);

    let last = LastChange {
        by: "zhao.min".to_owned(),
        ..one.overview.last.clone().unwrap_or_else(unreachable_last)
    };
    let stale = Stale {
        saw: (41, Some(before.clone())),
        now: (42, Some(weights(&[("v1", 90), ("v2", 10), ("v3", 0)]))),
        yours: Some(after),
        by: Some(last),
    };
    let late = Refusal::new(Code::StaleRevision).arg("who", "zhao.min").arg("svc", "reviews").arg("r", 42);
    show("service-conflict", frame(), &one, mine(), outcome(Case::Stale { refusal: &late, stale: &stale }));

    let cluster = Refusal::new(Code::ClusterRefused)
        .arg("object", "VirtualService bookinfo/reviews")
        .arg("message", "admission webhook \"istiod\": weight must be 0-100");
    show(
        "service-not-applied",
        frame(),
        &one,
        mine(),
        outcome(Case::Broke {
            refusal: &cluster,
            yours: Some(&stale_yours(&stale)),
            ending: Ending::Failed,
            request: "01a1fb10-7d54-713d-9f9e-4dcb51222606",
        }),
    );

    let steps = Steps {
        begun_ms: NOW - 9_034,
        accepted_ms: NOW - 9_013,
        written_ms: NOW - 9_000,
        seen_ms: None,
        by: Some(("v2".into(), 70)),
    };
    let so_far = Some(SoFar::NotYet { share: 64.2, low: 62.1, high: 66.3 });
    let clock = frame().clock;
    let line = |progress| ProgressLine::of(clock, NOW, &progress);
    let done = line(Progress { revision: 42, steps: steps.clone(), so_far });
    let applied = Chrome { toast: Some(toast(lang)), ..frame() };
    show(
        "service-applied",
        applied,
        &one,
        Typed::default(),
        Outcome { progress: Some(done), ..outcome(Case::Untouched) },
    );
    let steps = Steps { seen_ms: Some(NOW), ..steps };
    let so_far = Some(SoFar::Yes { share: 69.4, low: 67.1, high: 71.6 });
    let done = line(Progress { revision: 42, steps, so_far });
    let seen = Outcome { progress: Some(done), ..outcome(Case::Untouched) };
    show("service-seen", frame(), &one, Typed::default(), seen);

    variants(&mut show, frame, lang);
    rules(&mut show, frame, lang);
}

fn unreachable_last() -> LastChange {
    LastChange {
        at_ms: 0,
        by: String::new(),
        channel: crate::domain::actor::Channel::Browser,
        action: crate::domain::audit::Action::SetTraffic,
        ending: crate::domain::audit::Ending::Applied,
        entry: 0,
    }
}

fn stale_yours(stale: &Stale) -> Weights {
    stale.yours.clone().unwrap_or_default()
}

type Show<'a> = dyn FnMut(&str, Chrome, &Detail, Typed, Outcome<'_>) + 'a;

/// Services of other shapes, and people with fewer rights.
fn variants(show: &mut Show<'_>, frame: impl Fn() -> Chrome, _lang: Lang) {
    let mut viewer = detail(reviews().done());
    viewer.rights.change = Some(
        Refusal::new(Code::Forbidden)
            .arg("svc", "bookinfo / reviews")
            .arg("verb", "update")
            .arg("resource", "virtualservices.networking.istio.io")
            .arg("ns", "bookinfo"),
    );
    show("service-viewer", frame(), &viewer, Typed::default(), outcome(Case::Untouched));

    show("service-five", frame(), &detail(five().done()), Typed::default(), outcome(Case::Untouched));
    show("service-longest", frame(), &detail(longest().done()), Typed::default(), outcome(Case::Untouched));

    let plain = Service::new(
        "shop",
        "web",
        vec![version("stable", "nginx:1.27", 3, 3, None), version("canary", "nginx:1.28", 1, 1, None)],
    )
    .state(State::SpreadByPods, vec![Check::new(Severity::Info, Code::SpreadByPods)]);
    let none = Detail { back: None, origin: None, history: Vec::new(), ..detail(plain.done()) };
    show("service-by-pods", frame(), &none, Typed::default(), outcome(Case::Untouched));

    let headless = Service::new("shop", "db", vec![version("v1", "postgres:17", 1, 1, None)])
        .state(State::NotRoutable, vec![Check::new(Severity::Block, Code::Headless)]);
    show(
        "service-headless",
        frame(),
        &Detail { back: None, ..detail(headless.done()) },
        Typed::default(),
        outcome(Case::Untouched),
    );

    let empty = Service::new("shop", "nobody", Vec::new())
        .state(State::NotRoutable, vec![Check::new(Severity::Block, Code::NoWorkloads)]);
    show(
        "service-empty",
        frame(),
        &Detail { back: None, origin: None, history: Vec::new(), ..detail(empty.done()) },
        Typed::default(),
        outcome(Case::Untouched),
    );

    let gitops = Check::new(Severity::Acknowledge, Code::GitOps)
        .arg("tool", "Argo CD")
        .arg("name", "bookinfo")
        .arg("object", "VirtualService bookinfo/reviews");
    let shadow = Check::new(Severity::Info, Code::RuleShadowed).arg("n", 2).arg("m", 1);
    let owned = reviews()
        .state(State::ChangedOutside, vec![gitops, shadow])
        .mirror("v2", 10.0)
        .observed(seen(&[("v1", 12.0, 0.0, 30.0)]));
    show("service-gitops", frame(), &detail(owned.done()), Typed::default(), outcome(Case::Untouched));

    let evil = Service::new(
        HOSTILE,
        HOSTILE,
        vec![version(HOSTILE, HOSTILE, 1, 1, Some(HOSTILE)), version("v2", HOSTILE, 0, 1, Some(HOSTILE))],
    )
    .declared(&[(HOSTILE, 100), ("v2", 0)])
    .rules(vec![rule(HOSTILE, HOSTILE, Op::Exact, HOSTILE, &[(HOSTILE, 100)])])
    .observed(seen(&[(HOSTILE, 500.0, 0.0, 1.0)]))
    .state(
        State::Drift,
        vec![
            Check::new(Severity::Acknowledge, Code::Drift)
                .arg("v", HOSTILE)
                .arg("declared", HOSTILE)
                .arg("observed", HOSTILE),
        ],
    )
    .last(1, HOSTILE, 2);
    let typed = Typed { reason: HOSTILE.to_owned(), ..typed(&[(HOSTILE, HOSTILE), ("v2", HOSTILE)]) };
    let bad = Refusal::new(Code::WeightType).field("weights").arg("v", HOSTILE).arg("n", HOSTILE);
    let wrong = Outcome { refusal: Some(&bad), ..outcome(Case::Refused { refusal: &bad, yours: None }) };
    show("service-hostile", frame(), &detail(evil.done()), typed, wrong);
}

/// Rules that were edited, and the editor.
fn rules(show: &mut Show<'_>, frame: impl Fn() -> Chrome, lang: Lang) {
    let one = detail(reviews().done());
    let slots = Slots::of(&one.overview);
    let versions: Vec<(String, u32)> =
        one.overview.snapshot.versions.iter().map(|v| (v.name.to_string(), v.ready)).collect();
    let mut edited = one.overview.routing.rules.clone();
    edited.swap(0, 1);
    edited[1].to = vec![(VersionName::from("v1"), 100)];
    edited.push(crate::domain::routing::Rule {
        id: None,
        ..rule("", "x-team", Op::Prefix, "qa-", &[("v2", 100)])
    });
    let mut change = preview(Vec::new(), Vec::new(), checks()[2..].to_vec());
    change.planned.effect.before = weights(&[("v1", 100), ("v2", 0), ("v3", 0)]);
    change.planned.effect.after = weights(&[("v1", 100), ("v2", 0), ("v3", 0)]);
    change.planned.effect.rules_before.clone_from(&one.overview.routing.rules);
    change.planned.effect.rules_after.clone_from(&edited);
    change.planned.effect.rule_changes = RuleChanges::between(&one.overview.routing.rules, &edited);
    let typed = Typed { rules: Some(edited), ..Typed::default() };
    show(
        "service-rules",
        frame(),
        &one,
        typed,
        outcome(Case::Checked { preview: &change, acknowledged: &[] }),
    );

    let mut draft = Draft::of(0, &one.overview.routing.rules[0]);
    "jason".clone_into(&mut draft.sample);
    let editor = RuleEditor::of(lang, "/services/bookinfo/reviews", &draft, &versions, &slots);
    show(
        "service-rule-editor",
        frame(),
        &one,
        Typed { editor: Some(editor), ..Typed::default() },
        outcome(Case::Untouched),
    );
    let mut draft = Draft::empty();
    draft.refusal = Some(Refusal::new(Code::RuleEmpty).field("when.0.value"));
    let editor = RuleEditor::of(lang, "/services/bookinfo/reviews", &draft, &versions, &slots);
    show(
        "service-rule-new",
        frame(),
        &one,
        Typed { editor: Some(editor), ..Typed::default() },
        outcome(Case::Untouched),
    );
}
