//! What the page of a release says of rules, mirrors, its state and its end.

use serde_json::{Value, json};

use sluice::domain::actor::Channel;
use sluice::domain::refusal::{Code, Refusal};
use sluice::domain::release::state::{ActionKind, Side};
use sluice::domain::release::{
    Changed, Happened, OnFailure, PauseReason, Paused, Phase, Release, ReleaseId, Runs, State, TimelineEntry,
    Verdict, Word,
};
use sluice::views::lang::Lang;
use sluice::views::release::said;
use sluice::views::time::Clockface;

use super::release_part;

fn release(strategy: &str, steps: &Value) -> Release {
    let spec = json!({
        "service": {"namespace": "shop", "name": "cart"}, "strategy": strategy, "stable": "v1",
        "candidate": {"from": "adopt", "version": "v2"}, "steps": steps,
    });
    let mut state = State::new();
    state.phase = Phase::Running;
    Release {
        id: ReleaseId(1),
        spec: serde_json::from_value(spec).unwrap(),
        state,
        seq: 1,
        created_ms: 0,
        changed_ms: 0,
        started_ms: Some(0),
        ended_ms: None,
        by: "demo".to_owned(),
        reason: String::new(),
    }
}

fn entry(by: &str, happened: Vec<Happened>) -> TimelineEntry {
    TimelineEntry {
        seq: 1,
        at_ms: 1_000,
        by: by.to_owned(),
        channel: Channel::Browser,
        from: Phase::Running,
        to: Phase::Running,
        step: 0,
        happened,
        reason: String::new(),
        entry: None,
    }
}

/// A part of the page, by its id.
fn part(lang: Lang, release: &Release, timeline: &[TimelineEntry], id: &str) -> String {
    release_part(lang, release, timeline, &[], id)
}

#[test]
fn an_ab_test_says_everywhere_which_requests_match() {
    let jason = json!([[{"on": {"in": "header", "name": "end-user"}, "op": "exact", "value": "jason"}]]);
    let steps = json!([{"kind": "rules", "when": jason}, {"kind": "weight", "percent": 100}]);
    let mut ab = release("ab_test", &steps);
    ab.state.aim.when = serde_json::from_value(jason).unwrap();
    let aim = ab.state.aim.clone();
    let timeline = [entry("release", vec![Happened::Done { action: ActionKind::Traffic { aim } }])];
    for (lang, words) in [
        (Lang::En, "equests whose header end-user equals jason go to v2"),
        (Lang::Zh, "请求头 end-user 完全匹配 jason 的请求"),
    ] {
        for id in ["rel-now", "rel-steps", "rel-log"] {
            let text = part(lang, &ab, &timeline, id);
            assert!(text.contains(words), "{id}: {text}");
        }
    }
    assert!(!part(Lang::En, &ab, &timeline, "rel-log").contains("set to 0%"));
}

#[test]
fn a_mirror_is_said_beside_the_share() {
    let steps = json!([{"kind": "mirror", "percent": 10}, {"kind": "weight", "percent": 100}]);
    let mut mirror = release("mirror", &steps);
    mirror.state.aim.mirror = 10;
    let aim = mirror.state.aim.clone();
    let timeline = [entry("release", vec![Happened::Done { action: ActionKind::Traffic { aim } }])];
    let now = part(Lang::En, &mirror, &timeline, "rel-now");
    assert!(now.contains("10% of requests are mirrored to v2."), "{now}");
    assert!(part(Lang::Zh, &mirror, &timeline, "rel-now").contains("10% 的请求镜像到 v2。"));
    let log = part(Lang::En, &mirror, &timeline, "rel-log");
    assert!(log.contains("10% of requests mirrored to v2") && !log.contains("0%, with"), "{log}");
}

#[test]
fn a_release_that_waits_for_approval_is_not_called_paused() {
    let mut waits = release("canary", &json!([{"kind": "approval"}, {"kind": "weight", "percent": 100}]));
    waits.state.phase = Phase::Paused;
    let paused = |reason| Paused { reason, since_ms: 0, left_ms: None, phase: Phase::Running, detail: None };
    waits.state.paused = Some(paused(PauseReason::Gate));
    for (lang, word, other) in [(Lang::En, "Waiting for approval", "“Paused”"), (Lang::Zh, "等待", "已暂停")]
    {
        let chip = said::state(Clockface::new(lang, None), &waits).text;
        assert_eq!(said::state_word(lang, &waits.state), chip);
        assert!(chip.contains(word), "{chip}");
        // The button of a pause is there, and says why it cannot be pressed.
        let bar = part(lang, &waits, &[], "rel-actions");
        assert!(bar.contains(&chip) && !bar.contains(other), "{bar}");
    }
    waits.state.paused = Some(paused(PauseReason::User));
    assert_eq!(said::state_word(Lang::En, &waits.state), "Paused");
}

#[test]
fn an_abort_by_hand_names_the_person_and_one_by_the_analysis_does_not() {
    let mut back = release("canary", &json!([{"kind": "weight", "percent": 100}]));
    back.state.phase = Phase::RolledBack;
    (back.state.latest, back.state.failures) = (Some(Verdict::Fail), u32::MAX);
    back.spec.policies.on_failure = OnFailure::Pause;
    let by_hand = [
        entry("lin.wei", vec![Happened::Told { word: Word::Abort }]),
        entry("release", vec![Happened::Paused { reason: PauseReason::Failed }]),
    ];
    let banner = part(Lang::En, &back, &by_hand, "rel-banner");
    assert!(banner.contains("lin.wei aborted the release at"), "{banner}");
    assert!(!banner.contains("The analysis failed"), "{banner}");
    assert!(part(Lang::Zh, &back, &by_hand, "rel-banner").contains("lin.wei 于"));
    back.spec.policies.on_failure = OnFailure::Abort;
    let itself = [entry("release", vec![Happened::AbortedItself { reason: PauseReason::Failed }])];
    let banner = part(Lang::En, &back, &itself, "rel-banner");
    assert!(banner.contains("The analysis failed") && !banner.contains("aborted the release"), "{banner}");
}

#[test]
fn the_old_version_has_its_tick_once_it_is_retired() {
    let mut done = release("canary", &json!([{"kind": "weight", "percent": 100}]));
    done.state.phase = Phase::Succeeded;
    done.state.step = 1;
    let open = part(Lang::En, &done, &[], "rel-steps");
    assert!(open.contains("Retire v1") && open.contains("manually"), "{open}");
    done.state.removed = vec![Side::Stable];
    let gone = [entry("release", vec![Happened::Done { action: ActionKind::Remove { side: Side::Stable } }])];
    let retired = part(Lang::En, &done, &gone, "rel-steps");
    assert!(!retired.contains("manually"), "{retired}");
    let last = retired.rsplit("<li").next().unwrap();
    assert!(
        last.contains("Retire v1") && last.contains("class=\"done\"") && last.contains("done 0"),
        "{last}"
    );
}

#[test]
fn what_a_person_aborted_is_aborted_in_every_word_and_never_switched_back() {
    let mut over = release("canary", &json!([{"kind": "approval"}, {"kind": "weight", "percent": 100}]));
    (over.state.phase, over.ended_ms) = (Phase::RolledBack, Some(4_000));
    let abort = vec![Happened::Told { word: Word::Abort }];
    let end = vec![Happened::Finished { phase: Phase::RolledBack, revision: None }];
    let timeline = [entry("release", end), entry("demo", abort)];
    for (lang, word, never) in [(Lang::En, "Aborted", "Switched back"), (Lang::Zh, "已中止", "已切回")]
    {
        assert_eq!(said::state_word(lang, &over.state), word);
        for id in ["rel-now", "rel-actions", "rel-log"] {
            let text = part(lang, &over, &timeline, id);
            assert!(!text.contains(never), "{id}: {text}");
        }
        assert!(part(lang, &over, &timeline, "rel-now").contains(word));
    }
    over.state.switch_back = true;
    assert_eq!(said::state_word(Lang::En, &over.state), "Switched back");
}

#[test]
fn an_approval_is_one_event_that_names_who_gave_it() {
    let steps = json!([{"kind": "approval"}, {"kind": "weight", "percent": 100}]);
    let given = vec![Happened::Told { word: Word::Promote }, Happened::Approved, Happened::Resumed];
    let timeline = [entry("anna", given)];
    for (lang, words, never) in
        [(Lang::En, "Approved by anna", "requested"), (Lang::Zh, "由 anna 批准", "发起了推进")]
    {
        let log = part(lang, &release("canary", &steps), &timeline, "rel-log");
        assert!(log.contains(words) && !log.contains(never), "{log}");
        assert_eq!(log.matches("<li>").count(), 1, "{log}");
    }
}

#[test]
fn a_pause_and_a_resume_are_one_event_each_that_names_who_pressed() {
    let steps = json!([{"kind": "weight", "percent": 30}, {"kind": "weight", "percent": 100}]);
    let pause = vec![Happened::Told { word: Word::Pause }, Happened::Paused { reason: PauseReason::User }];
    let resume = vec![Happened::Told { word: Word::Resume }, Happened::Resumed];
    let timeline = [entry("anna", resume), entry("ben", pause)];
    for (lang, words) in
        [(Lang::En, ["Paused by ben", "Resumed by anna"]), (Lang::Zh, ["由 ben 暂停", "由 anna 继续"])]
    {
        let log = part(lang, &release("canary", &steps), &timeline, "rel-log");
        assert!(words.iter().all(|words| log.contains(words)), "{log}");
        assert_eq!(log.matches("<li>").count(), 2, "{log}");
    }
    // What paused by itself is no press of a button.
    let failed = [entry("release", vec![Happened::Paused { reason: PauseReason::Failed }])];
    let log = part(Lang::En, &release("canary", &steps), &failed, "rel-log");
    assert!(log.contains("Paused: analysis failed"), "{log}");
}

#[test]
fn a_step_that_will_not_happen_any_more_promises_nothing() {
    let hold = json!({"kind": "hold", "seconds": 600});
    let steps = json!([
        {"kind": "weight", "percent": 30}, {"kind": "approval"}, {"kind": "weight", "percent": 60}, hold,
        {"kind": "weight", "percent": 100}
    ]);
    let mut aborted = release("canary", &steps);
    let text = part(Lang::En, &aborted, &[], "rel-steps");
    assert!(text.contains("then continues automatically") && text.contains("when you are sure"), "{text}");
    aborted.state.phase = Phase::RolledBack;
    for (lang, never) in [
        (Lang::En, ["continues", "holds", "keeps running", "when you are sure"]),
        (Lang::Zh, ["自动继续", "观察", "继续运行", "手动执行"]),
    ] {
        let text = part(lang, &aborted, &[], "rel-steps");
        assert!(!never.iter().any(|words| text.contains(words)), "{text}");
    }
}

#[test]
fn a_hold_before_another_wait_does_not_promise_the_next_step_at_its_end() {
    let hold = json!({"kind": "hold", "seconds": 60});
    let now = |steps: Value| {
        let mut one = release("canary", &steps);
        (one.state.stage, one.state.due_ms) = (sluice::domain::release::Stage::Soaking, Some(60_000));
        part(Lang::En, &one, &[], "rel-now")
    };
    let asks = now(json!([hold, {"kind": "approval"}, {"kind": "weight", "percent": 100}]));
    assert!(asks.contains("waits for your approval from") && !asks.contains("Next step in"), "{asks}");
    let looks = now(json!([hold, {"kind": "analysis", "passes": 2}, {"kind": "weight", "percent": 100}]));
    assert!(looks.contains("waits for passes of the analysis") && !looks.contains("Next step in"), "{looks}");
    let goes_on = now(json!([hold, {"kind": "weight", "percent": 100}]));
    assert!(goes_on.contains("Next step in") && !goes_on.contains("approval"), "{goes_on}");
}

/// The new version is deleted after an abort where the release asks for it, or by a command: the page then does not say
/// that it runs.
#[test]
fn a_release_that_went_back_does_not_call_a_deleted_version_running() {
    let mut back = release("canary", &json!([{"kind": "weight", "percent": 100}]));
    back.spec.policies.on_failure = OnFailure::Abort;
    back.state.phase = Phase::RolledBack;
    (back.state.latest, back.state.failures) = (Some(Verdict::Fail), u32::MAX);
    let banner = |release: &Release, lang: Lang| part(lang, release, &[], "rel-banner");
    assert!(banner(&back, Lang::En).contains("The new version keeps running without traffic"));
    assert!(banner(&back, Lang::Zh).contains("新版本继续运行但不再接收流量"));
    back.state.removed.push(Side::Candidate);
    assert!(banner(&back, Lang::En).contains("The new version has been deleted."));
    assert!(banner(&back, Lang::Zh).contains("新版本已删除。"));
    assert!(!banner(&back, Lang::En).contains("keeps running"));
}

/// The tag of a button, by its id.
fn button(html: &str, id: &str) -> String {
    let at = html.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("{id}: {html}"));
    let from = html[..at].rfind('<').unwrap();
    html[from..][..html[from..].find('>').unwrap()].to_owned()
}

#[test]
fn what_failed_or_was_changed_takes_the_first_place_from_the_promotion_and_says_why() {
    let mut failing = release("canary", &json!([{"kind": "hold", "seconds": 60}, {"kind": "approval"}]));
    failing.state.failing = true;
    failing.state.failed = vec!["success_rate".to_owned()];
    let mut changed = release("canary", &json!([{"kind": "approval"}, {"kind": "weight", "percent": 100}]));
    let why = Refusal::new(Code::CandidateChanged)
        .arg("object", "Deployment cart-v2")
        .arg("image", "evil:666")
        .arg("was", "img:2")
        .arg("who", "kubectl-set");
    changed.state.phase = Phase::Paused;
    changed.state.paused = Some(Paused {
        reason: PauseReason::Drift,
        since_ms: 1_000,
        left_ms: None,
        phase: Phase::Running,
        detail: Some(why.clone()),
    });
    changed.state.changed = Some(Box::new(Changed { now: vec![Runs::default()], why }));
    for (release, words) in
        [(&failing, "The analysis failed"), (&changed, "Deployment cart-v2 runs image evil:666")]
    {
        let actions = part(Lang::En, release, &[], "rel-actions");
        for id in ["rel-promote", "rel-abort"] {
            let is_first = button(&actions, id).contains("solid");
            assert_eq!(is_first, id == "rel-abort", "{id}: {actions}");
        }
        assert!(!button(&actions, "rel-promote").contains("pri"), "{actions}");
        let banner = part(Lang::En, release, &[], "rel-banner");
        assert!(banner.contains(words), "{banner}");
    }
    let banner = part(Lang::En, &changed, &[], "rel-banner");
    assert!(banner.contains("the new version was changed") && !banner.contains("the routing was changed"));
    assert!(part(Lang::Zh, &changed, &[], "rel-banner").contains("Deployment cart-v2 运行镜像 evil:666"));
}

#[test]
fn a_roll_back_is_called_by_its_revision_and_a_share_by_pods_is_about() {
    let mut over = release("canary", &json!([{"kind": "approval"}, {"kind": "weight", "percent": 100}]));
    (over.state.phase, over.ended_ms, over.state.back_to) = (Phase::RolledBack, Some(4_000), Some(0));
    let end = vec![Happened::Finished { phase: Phase::RolledBack, revision: Some(0) }];
    let timeline = [entry("release", end), entry("demo", vec![Happened::Told { word: Word::Rollback }])];
    for (lang, words, never) in [
        (Lang::En, "olled back to revision 0", ["Aborted", "back to v1"]),
        (Lang::Zh, "回滚到修订 0", ["已中止", "回到 v1"]),
    ] {
        for id in ["rel-state", "rel-log", "rel-now"] {
            let text = part(lang, &over, &timeline, id);
            assert!(text.contains(words), "{id}: {text}");
            assert!(never.iter().all(|never| !text.contains(never)), "{id}: {text}");
        }
    }
    over.state.ended_split = vec![("v1".into(), 57), ("v2".into(), 43)];
    over.state.ended_by_pods = true;
    let now = part(Lang::En, &over, &timeline, "rel-now");
    assert!(now.contains("about 43%"), "{now}");
    let state = part(Lang::En, &over, &timeline, "rel-state");
    assert!(state.contains("spread by pods, about 43% to v2"), "{state}");
}
