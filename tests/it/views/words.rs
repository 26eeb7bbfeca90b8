//! The catalogues: both languages say the same things, and everything that has a code has its sentence.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use regex::Regex;
use sluice::domain::actor::Channel;
use sluice::domain::audit::{Action, Ending};
use sluice::domain::ids::VersionName;
use sluice::domain::overview::State;
use sluice::domain::plan::Effect;
use sluice::domain::refusal::{Check, Code, Refusal, Severity};
use sluice::views::lang::Lang;
use sluice::views::{text, time};

/// Key → text of every catalogue file of a language.
fn catalogue(lang: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/locales");
    let mut all = BTreeMap::new();
    for file in [
        format!("{lang}.yml"),
        format!("codes.{lang}.yml"),
        format!("release.{lang}.yml"),
        format!("service.{lang}.yml"),
        format!("audit.{lang}.yml"),
    ] {
        let yaml = fs::read_to_string(folder.join(file)).unwrap();
        let value: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
        flatten("", &value, &mut all);
    }
    all
}

fn flatten(prefix: &str, value: &serde_json::Value, into: &mut BTreeMap<String, String>) {
    if let Some(map) = value.as_object() {
        for (key, value) in map {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            flatten(&key, value, into);
        }
    } else if prefix != "_version" {
        let text = value.as_str().unwrap_or_else(|| panic!("{prefix} is no text: {value}"));
        into.insert(prefix.to_owned(), text.to_owned());
    }
}

fn placeholders(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = text.split("%{").skip(1).filter_map(|rest| rest.split('}').next()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn both_languages_have_the_same_keys_and_placeholders() {
    let (en, zh) = (catalogue("en"), catalogue("zh"));
    let keys = |of: &BTreeMap<String, String>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&en), keys(&zh));
    for (key, text) in &en {
        assert_eq!(placeholders(text), placeholders(&zh[key]), "{key}");
        assert!(!text.trim().is_empty() && !zh[key].trim().is_empty(), "{key} is empty");
        for marks in ["**", "`"] {
            assert_eq!(text.matches(marks).count() % 2, 0, "{key}: {marks} is not closed");
            assert_eq!(zh[key].matches(marks).count() % 2, 0, "{key}: {marks} is not closed");
        }
    }
}

/// Half-width marks beside Chinese letters, spaces beside full-width marks, and terms that were replaced by another.
#[test]
fn chinese_uses_full_width_punctuation_and_one_term_a_thing() {
    let half = Regex::new(r"[\p{Han}*`][,;:?!(]|[,;:?!)]\p{Han}|[，。；：！？、（）] | [，。；：！？、（）]")
        .unwrap();
    // 副本 reads as replicas, where mirrored requests are meant, and pods are 容器组; versions are 旧版本 and 新版本.
    let replaced =
        Regex::new(r"副本|候选版|稳定版|委托|界限|指标来源|指标窗口|停住|不可管理|接口地址|目标规则|安装者|自动回退|他人修改了路由|你[^们]")
            .unwrap();
    for (key, text) in catalogue("zh") {
        for wrong in [&half, &replaced] {
            let found = wrong.find(&text).map(|found| found.as_str());
            assert_eq!(found, None, "{key}: {text}");
        }
    }
}

/// English names the subject and uses the nouns of the field.
#[test]
fn english_has_no_word_that_another_one_replaced() {
    let replaced = Regex::new(
        r"(?i)\b(?:told|said|anew|somebody|nobody|everybody|whoever|for ever|under way|goes on|went on|in force|the right to)\b",
    )
    .unwrap();
    for (key, text) in catalogue("en") {
        let found = replaced.find(&text).map(|found| found.as_str());
        assert_eq!(found, None, "{key}: {text}");
    }
}

/// The source of the library and of the templates, without the catalogues.
fn source(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            source(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs" || ext == "html") {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_text_is_used() {
    let mut all = String::new();
    for folder in ["src", "templates"] {
        source(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut all);
    }
    // `"toast.applied"`, or a key that is put together: `"release.ask.{key}.{part}"`, `"{group}.two"`.
    let literal = Regex::new(r#""([A-Za-z_0-9{}]+(?:\.[A-Za-z_0-9{}:]+)+)""#).unwrap();
    let filled_in = Regex::new(r"\{[^{}]*\}").unwrap();
    let filled = Regex::new(r"\\\{[^{}]*\\\}").unwrap();
    let (parts, whole): (Vec<&str>, Vec<&str>) = literal
        .captures_iter(&all)
        .map(|found| found.get(1).unwrap().as_str())
        .partition(|key| key.contains('{'));
    // One that is all placeholders would match everything.
    let named = |key: &&&str| filled_in.replace_all(key, "").chars().any(char::is_alphabetic);
    let made: Vec<Regex> = parts
        .iter()
        .filter(named)
        .map(|key| Regex::new(&format!("^{}$", filled.replace_all(&regex::escape(key), ".+"))).unwrap())
        .collect();
    let used = |key: &str| whole.contains(&key) || made.iter().any(|one| one.is_match(key));
    assert!(!used("releases.no_such_text"));
    for key in catalogue("en").keys() {
        let of_count = key.strip_suffix(".one").or_else(|| key.strip_suffix(".many")).unwrap_or(key);
        assert!(used(key) || used(of_count), "no code uses {key}");
        if let Some(code) = key.strip_prefix("code.").and_then(|rest| rest.split('.').next()) {
            assert!(Code::by_key(code).is_some(), "{code} is no code");
        }
    }
}

#[test]
fn every_code_is_said_and_every_refusal_says_what_to_do_next() {
    for lang in Lang::ALL {
        for code in Code::ALL {
            let key = code.text_key();
            assert!(lang.knows(&format!("code.{key}.name")), "{key} has no name");
            assert!(lang.knows(&format!("code.{key}.text")), "{key} has no text");
            if code.status() >= 400 {
                let said = text::refusal(lang, &Refusal::new(*code));
                assert!(
                    said.next.is_some_and(|next| !next.to_string().is_empty()),
                    "{key} does not say what to do next"
                );
            }
        }
        assert!(!lang.knows("code.no_such_code.text"));
    }
}

#[test]
fn every_state_action_result_and_channel_has_its_word() {
    for lang in Lang::ALL {
        let keys = State::ALL.iter().map(|state| format!("state.{}", state.as_str()));
        let keys = keys.chain(Action::ALL.iter().map(|action| format!("action.{}", action.as_str())));
        let keys = keys.chain(Ending::ALL.iter().map(|ending| format!("ending.{}", ending.as_str())));
        let channels = [Channel::Browser, Channel::Api, Channel::Automatic, Channel::Outside];
        for key in keys.chain(channels.iter().map(|channel| format!("channel.{}", channel.as_str()))) {
            assert!(lang.knows(&key), "{key}");
        }
    }
}

fn effect(before: &[(&str, u8)], after: &[(&str, u8)]) -> Effect {
    let weights = |list: &[(&str, u8)]| list.iter().map(|(v, n)| (VersionName::from(*v), *n)).collect();
    Effect { before: weights(before), after: weights(after), ..Effect::default() }
}

fn check_said(lang: Lang, effect: &Effect, plain: &str, rich: &str) {
    let said = text::effect(lang, effect);
    assert_eq!(said[0].to_string(), plain);
    assert_eq!(said[0].clone().rich().to_string(), rich);
}

#[test]
fn a_change_is_said_by_its_effect() {
    let two = effect(&[("v1", 100), ("v2", 0)], &[("v1", 30), ("v2", 70)]);
    let rich = "<b>70% of requests</b> move from <b>v1</b> to <b>v2</b>.";
    check_said(Lang::En, &two, "70% of requests move from v1 to v2.", rich);
    let rich = "<b>70% 的请求</b>将从 <b>v1</b> 转到 <b>v2</b>。";
    check_said(Lang::Zh, &two, "70% 的请求将从 v1 转到 v2。", rich);
    let many = effect(&[("v1", 60), ("v2", 40), ("v3", 0)], &[("v1", 10), ("v2", 60), ("v3", 30)]);
    let plain = "50% of requests move: v1 −50, v2 +20, v3 +30.";
    check_said(Lang::En, &many, plain, "<b>50% of requests</b> move: v1 −50, v2 +20, v3 +30.");
    let none = effect(&[("v1", 100)], &[("v1", 100)]);
    check_said(Lang::En, &none, "Nothing changes.", "Nothing changes.");
    check_said(Lang::Zh, &none, "没有变化。", "没有变化。");
    assert!(none.is_nothing() && !two.is_nothing());
    let spread = effect(&[], &[("v1", 100), ("v2", 0)]);
    assert!(!spread.is_nothing());
    check_said(
        Lang::En,
        &spread,
        "Requests are spread by pods now. Afterwards they go to v1 100%.",
        "Requests are spread by pods now. Afterwards they go to <b>v1 100%</b>.",
    );
}

#[test]
fn values_are_escaped_and_cannot_bring_marks_or_placeholders_of_their_own() {
    let evil = "<b>&\"'**`%{n}";
    let check = Check::new(Severity::Block, Code::NoReadyPods).arg("v", evil).arg("n", 3);
    let rich =
        text::sentence(time::Clockface::new(Lang::En, None), check.code, &check.args).rich().to_string();
    let shown = "&lt;b&gt;&amp;&#34;&#39;**`%{n}";
    assert_eq!(rich, format!("<b>{shown}</b> has 0 of 3 pods ready. These requests would fail with 503."));
    let plain = text::check(Lang::En, &check).text.to_string();
    assert_eq!(plain, format!("{evil} has 0 of 3 pods ready. These requests would fail with 503."));
}

#[test]
fn a_value_that_is_missing_shows_a_dash() {
    let said = text::refusal(Lang::En, &Refusal::new(Code::UnknownVersion));
    assert!(said.text.to_string().contains('–'), "{}", said.text);
}

#[test]
fn a_sentence_that_lacks_a_value_is_said_without_it_where_that_is_possible() {
    let said = |refusal: Refusal| text::refusal(Lang::En, &refusal).text.to_string();
    let refused = || Refusal::new(Code::ClusterRefused).arg("message", "no");
    assert_eq!(said(refused()), "Kubernetes refused the change: no");
    assert_eq!(
        said(refused().arg("object", "VirtualService a/b")),
        "Kubernetes refused VirtualService a/b: no"
    );
}

#[test]
fn a_gitops_owner_is_told_with_the_exact_exemption_once_it_is_known() {
    let found = Check::new(Severity::Acknowledge, Code::GitOps).arg("tool", "Flux").arg("name", "apps");
    let next = |check: &Check| text::check(Lang::En, check).next.unwrap().to_string();
    assert!(next(&found).ends_with("exempt the weights from its sync."));
    let planned = found.arg("pointer", "/spec/http").arg("kind", "VirtualService");
    assert!(next(&planned).contains("JSON pointer /spec/http"));
}

/// A sentence and its advice keep their marks and their values, by themselves and as one.
#[test]
fn names_are_code_in_a_sentence_and_in_its_advice_alike() {
    for lang in Lang::ALL {
        for code in Code::ALL {
            let evil = "<i>`%{v}";
            let refusal = Refusal::new(*code).arg("v", evil).arg("object", "VirtualService a/b").arg("n", 2);
            let said = text::refusal(lang, &refusal);
            let notice = text::refused(lang, &refusal);
            let [text, next] = [Some(said.text.clone()), said.next.clone()]
                .map(|part| part.map(|part| part.rich().to_string()));
            assert_eq!(Some(notice.text.to_string()), text, "{code}");
            assert_eq!(notice.more.map(|more| more.to_string()), next, "{code}");
            let parts: Vec<String> = [text, next].into_iter().flatten().collect();
            assert_eq!(said.whole().rich().to_string(), parts.join(" "), "{code}");
            assert!(!parts.concat().contains("<i>"), "{code}");
        }
    }
}

#[test]
fn times_are_said_relative_and_exact() {
    let now = 1_795_185_127_000;
    let ago = |ms| time::ago(Lang::En, now - ms, now);
    assert_eq!(
        [ago(0), ago(9_999), ago(59_999), ago(60_000), ago(7_199_999), ago(86_400_000 * 12), ago(-5)],
        ["just now", "just now", "59 s ago", "1 min ago", "1 h ago", "12 d ago", "just now"]
            .map(String::from)
    );
    assert_eq!(time::ago(Lang::Zh, now - 180_000, now), "3 分钟前");
    let clock = |tz| time::Clockface::new(Lang::En, tz);
    assert_eq!(clock(None).exact(0), "1970-01-01 00:00:00");
    assert_eq!(clock(Some("480")).exact(0), "1970-01-01 08:00:00");
    let zones =
        [Some("480"), Some("-210"), Some("0"), Some("9999"), Some("<b>"), None].map(|tz| clock(tz).zone());
    assert_eq!(zones, ["UTC+8", "UTC-3:30", "UTC", "UTC", "UTC", "UTC"].map(String::from));
    assert_eq!(clock(None).exact(i64::MAX), "–");
}

#[test]
fn the_language_is_read_from_cookie_and_header() {
    assert_eq!(Lang::of_header("zh-CN,zh;q=0.9,en;q=0.8"), Lang::Zh);
    assert_eq!(Lang::of_header("fr-FR,fr;q=0.9,en;q=0.8,zh;q=0.7"), Lang::En);
    assert_eq!(Lang::of_header(""), Lang::En);
    assert_eq!(
        [Lang::parse("zh"), Lang::parse("zh_TW"), Lang::parse("de")],
        [Some(Lang::Zh), Some(Lang::Zh), None]
    );
}
