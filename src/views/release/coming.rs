//! What a command that goes on (or goes back) does to requests, in words: the sentences of its question name the step
//! that really comes next. Used by `views::release::acts`.

use super::buttons::next_share;
use super::{Given, said};
use crate::domain::command::MirrorWish;
use crate::domain::release::{Release, Step, Word};
use crate::views::bars::short;
use crate::views::lang::{Lang, Rich, Text};
use crate::views::rule_words;
use crate::views::text;

/// The share that the new version has after the next step, where that is known: the bar of the question.
pub fn share(given: Given<'_>, key: &str) -> Option<u8> {
    if !is_step(key) {
        return None;
    }
    match given.release.next_step()? {
        Step::Weight { percent } => Some(*percent),
        Step::Replicas { candidate, stable } => Some(given.release.pods_after(*candidate, *stable).share()),
        _ => None,
    }
}

/// True for the questions whose answer begins the next step.
fn is_step(key: &str) -> bool {
    matches!(key, "approve" | "approve_to" | "promote" | "promote_to")
}

/// The effect of a command, one sentence each. `plain` is the catalogue's sentence for the question; `ruled`: match
/// rules keep sending requests to the old version, so a share is of those that no rule catches.
pub fn effect(
    lang: Lang,
    given: Given<'_>,
    key: &str,
    word: Word,
    mirror_back: Option<&MirrorWish>,
    ruled: bool,
    plain: impl FnOnce() -> Text,
) -> Vec<Rich> {
    let release = given.release;
    let mut out = Vec::new();
    if is_step(key) {
        if key.starts_with("promote") {
            out.push(lang.t("release.ask.ends_wait").rich());
        }
        out.push(next(lang, release, ruled).rich());
    } else {
        out.push(plain().rich());
    }
    let ends = match word {
        Word::PromoteAll | Word::Abort => true,
        // With all requests on the new version the release ends, and takes its rule and its copies away.
        Word::Promote if is_step(key) && next_share(release).is_some() => next_share(release) == Some(100),
        _ => return out,
    };
    let mirror_back = mirror_back.filter(|_| word == Word::Abort);
    out.extend(besides(lang, release, word, ends, mirror_back).into_iter().map(Text::rich));
    out
}

/// What the next step does.
fn next(lang: Lang, release: &Release, ruled: bool) -> Text {
    let of = |key: &str| lang.t(&format!("release.ask.next.{key}"));
    let (v, stable) = (short(release.candidate().as_str()), short(release.spec.stable.as_str()));
    let at = release.at();
    let service = format!("{} / {}", at.namespace, at.name);
    let now = release.share();
    let Some(step) = release.next_step() else {
        return of("end").with("v", v).with("now", now);
    };
    let text = match step {
        Step::Weight { percent } => {
            let key = match *percent {
                percent if percent < now => "less",
                100 if ruled => "all_ruled",
                100 => "all",
                _ if now == 0 => "first",
                _ => "more",
            };
            of(key).with("n", percent).with("more", percent.saturating_sub(now)).with("stable", stable)
        }
        Step::Replicas { candidate, stable: wanted } => {
            let pods = release.pods_after(*candidate, *wanted);
            let key = if release.spec.candidate.is_in_place() { "batch" } else { "pods" };
            let of_version =
                |v: &str, n: u32| lang.count("release.step.replicas", n).with("v", v).to_string();
            of(key)
                .with("pods", of_version(&v, pods.candidate))
                .with("kept", of_version(&stable, pods.stable))
                .with("k", pods.candidate)
                .with("all", pods.all())
                .with("n", pods.share())
        }
        Step::Rules { when } if when.is_empty() => of("rules_off")
            .with("stable", stable)
            .with("when", rule_words::ways(lang, &release.state.aim.when)),
        Step::Rules { when } => of("rules").with("when", rule_words::ways(lang, when)),
        Step::Mirror { percent: 0 } => of("mirror_off"),
        Step::Mirror { percent } => of("mirror").with("n", percent).with("stable", stable),
        Step::Hold { .. } | Step::Approval | Step::Analysis { .. } => {
            of("wait").with("step", said::step(lang, &release.spec, step))
        }
    };
    text.with("v", v).with("service", service).with("now", now)
}

/// What becomes of the rule and the copies that are in force.
fn besides(
    lang: Lang,
    release: &Release,
    word: Word,
    ends: bool,
    mirror_back: Option<&MirrorWish>,
) -> Vec<Text> {
    let aim = &release.state.aim;
    let (v, stable) = (short(release.candidate().as_str()), short(release.spec.stable.as_str()));
    let group = match word {
        Word::Abort => "back",
        _ if ends => "end",
        _ => "stay",
    };
    let of =
        |part: &str| lang.t(&format!("release.ask.{group}.{part}")).with("v", &v).with("stable", &stable);
    if release.state.phase.is_before() {
        return Vec::new();
    }
    let rule = (!aim.when.is_empty()).then(|| of("rules").with("when", rule_words::ways(lang, &aim.when)));
    // Copies to the same version go on at their former share.
    let same = mirror_back.is_some_and(|mirror| mirror.version == *release.candidate());
    let copies = (aim.mirror > 0 && !same).then(|| of("mirror").with("n", aim.mirror));
    let again = mirror_back.map(|mirror| {
        let percent = text::percent(mirror.percent);
        lang.t("release.ask.back.mirror_again").with("v", short(mirror.version.as_str())).with("n", percent)
    });
    rule.into_iter().chain(copies).chain(again).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::overview::Rights;
    use crate::domain::release::state::Aim;
    use crate::domain::release::{Phase, PodNumbers, ReleaseId, State, Strategy};

    fn release(strategy: Strategy, steps: &Value, at: usize, aim: Aim) -> Release {
        let spec = json!({
            "service": {"namespace": "shop", "name": "cart"}, "strategy": strategy, "stable": "v1",
            "candidate": {"from": "adopt", "version": "v2"}, "steps": steps,
        });
        let mut state = State::new();
        (state.phase, state.step, state.aim) = (Phase::Paused, at, aim);
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

    fn given<'r>(release: &'r Release, rights: &'r Rights) -> Given<'r> {
        Given {
            release,
            timeline: &[],
            judgements: &[],
            overview: None,
            rights,
            denied: &[],
            reached: &[],
            outside: None,
        }
    }

    fn said(release: &Release, key: &str, word: Word) -> String {
        let rights = Rights { change: None };
        let given = given(release, &rights);
        let all = effect(Lang::En, given, key, word, None, false, || Text::verbatim("as the catalogue says"));
        all.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
            .replace("<b>", "")
            .replace("</b>", "")
    }

    #[test]
    fn all_requests_are_not_promised_while_match_rules_keep_some() {
        let release =
            release(Strategy::Canary, &json!([{"kind": "weight", "percent": 100}]), 0, Aim::default());
        for (lang, words) in [(Lang::En, "that no match rule catches"), (Lang::Zh, "未命中匹配规则")] {
            assert!(next(lang, &release, true).to_string().contains(words));
            assert!(!next(lang, &release, false).to_string().contains(words));
        }
    }

    #[test]
    fn an_approval_names_the_step_that_really_comes_next() {
        let jason = json!([[{"on": {"in": "header", "name": "end-user"}, "op": "exact", "value": "jason"}]]);
        let when: Vec<Vec<crate::domain::routing::Condition>> =
            serde_json::from_value(jason.clone()).unwrap();
        let weight = |percent: u8| json!({"kind": "weight", "percent": percent});
        let approval = || json!({"kind": "approval"});
        let aim = |percent: u8, mirror: u8| Aim { percent, mirror, when: Vec::new() };
        let check = |strategy, steps: Value, aim: Aim, expected: &str| {
            assert_eq!(
                said(&release(strategy, &steps, 0, aim), "approve", Word::Promote),
                expected,
                "{steps}"
            );
        };
        let canary = Strategy::Canary;
        check(
            canary,
            json!([approval(), weight(100)]),
            aim(0, 0),
            "All requests to shop / cart go to v2 (now 0%).",
        );
        check(
            canary,
            json!([approval(), weight(10)]),
            aim(0, 0),
            "10% of requests to shop / cart move from v1 to v2 (now 0%).",
        );
        check(
            canary,
            json!([approval(), weight(50)]),
            aim(20, 0),
            "Another 30% of requests to shop / cart move from v1 to v2 (now 20%).",
        );
        check(
            canary,
            json!([approval(), weight(10)]),
            aim(40, 0),
            "v2 gets 10% of requests to shop / cart (now 40%).",
        );
        // What changes nothing is passed over, as the machine does; a wait is not.
        check(
            canary,
            json!([approval(), weight(20), weight(50)]),
            aim(20, 0),
            "Another 30% of requests to shop / cart move from v1 to v2 (now 20%).",
        );
        check(
            canary,
            json!([approval(), {"kind": "hold", "seconds": 90}, weight(50)]),
            aim(20, 0),
            "Next: hold 1 min 30 s.",
        );
        let off = json!({"kind": "mirror", "percent": 0});
        check(
            Strategy::Mirror,
            json!([approval(), off, weight(10)]),
            aim(0, 10),
            "No more mirroring to v2. Its share of requests stays at 0%.",
        );
        let rule = Aim { when: when.clone(), ..Aim::default() };
        check(
            Strategy::AbTest,
            json!([approval(), weight(50)]),
            rule.clone(),
            "50% of requests to shop / cart move from v1 to v2 (now 0%). \
             Requests whose header end-user equals jason keep going to v2.",
        );
        check(
            Strategy::AbTest,
            json!([approval(), weight(100)]),
            rule.clone(),
            "All requests to shop / cart go to v2 (now 0%). \
             The match rule for requests whose header end-user equals jason is removed at the end; they go to v2 like all others.",
        );
        check(
            Strategy::AbTest,
            json!([approval(), {"kind": "rules", "when": jason}]),
            Aim::default(),
            "Requests whose header end-user equals jason go to v2. All other requests stay as they are.",
        );
        let abort = said(&release(Strategy::AbTest, &json!([approval()]), 0, rule), "abort", Word::Abort);
        assert_eq!(
            abort,
            "as the catalogue says Requests whose header end-user equals jason go to v1 again."
        );
    }

    #[test]
    fn an_abort_says_which_mirror_it_gives_back() {
        let rights = Rights { change: None };
        let said = |aim: Aim, version: &str| {
            let one = release(Strategy::Mirror, &json!([{"kind": "approval"}]), 0, aim);
            let given = Given {
                release: &one,
                timeline: &[],
                judgements: &[],
                overview: None,
                rights: &rights,
                denied: &[],
                outside: None,
                reached: &[],
            };
            let back = MirrorWish { version: version.into(), percent: 50.0 };
            let all =
                effect(Lang::En, given, "abort", Word::Abort, Some(&back), false, || Text::verbatim("Back."));
            let words: Vec<String> = all.iter().map(ToString::to_string).collect();
            words.join(" ").replace("<b>", "").replace("</b>", "")
        };
        let again =
            |v: &str| format!("Mirroring of 50% to {v} is switched on again, as before this release.");
        assert_eq!(said(Aim::default(), "v2"), format!("Back. {}", again("v2")));
        let own = Aim { mirror: 10, ..Aim::default() };
        assert_eq!(said(own.clone(), "v2"), format!("Back. {}", again("v2")));
        let ends = "Mirroring to v2 ends (now 10%).";
        assert_eq!(said(own, "v3"), format!("Back. {ends} {}", again("v3")));
    }

    #[test]
    fn without_a_mesh_an_approval_names_the_pods_of_both_versions() {
        let steps = json!([{"kind": "approval"}, {"kind": "replicas", "candidate": 1, "stable": 0}]);
        let mut one = release(Strategy::Replicas, &steps, 0, Aim::default());
        one.state.pods = Some(PodNumbers { candidate: 1, stable: 1 });
        let expected = "v2 1 pod, v1 0 pods: about 100% of requests to v2 (now about 50%).";
        assert_eq!(said(&one, "approve", Word::Promote), expected);
        assert_eq!(
            said(&one, "promote", Word::Promote),
            format!("Ends the wait of the current step. {expected}")
        );
        let rights = Rights { change: None };
        let given = given(&one, &rights);
        assert_eq!(share(given, "approve"), Some(100));
        assert_eq!(share(given, "start"), None);
    }
}
