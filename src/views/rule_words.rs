//! Match rules and mirrors in one line each: `header end-user equals jason → v2`. The summary of a change, the button that
//! applies it, the note about it, the history and its exports say the same words.

use crate::domain::affix::Affix;
use crate::domain::audit::{Details, Entry};
use crate::domain::plan::Effect;
use crate::domain::routing::{Condition, HIDDEN, Mirror, Op, Rule, Subject};
use crate::domain::rule_changes::{MirrorChange, RuleChanges};

use super::bars::{in_words, short};
use super::lang::{Lang, Text};
use super::text::percent;

/// So many rules are listed one by one; the others are counted.
const LISTED: usize = 5;
/// The longest value of a condition that is shown whole, in characters.
const VALUE: usize = 60;
/// The longest line that fits on a button or into a note, in characters.
const ON_A_BUTTON: usize = 64;

/// One rule: whom it is for, and where its requests go.
pub fn rule(lang: Lang, rule: &Rule) -> String {
    let to = match &rule.action {
        Some(action) => super::rules::action_words(lang, action),
        None => match rule.to.as_slice() {
            [(version, 100)] => short(version.as_str()),
            several => in_words(several),
        },
    };
    lang.t("line.rule").with("when", when(lang, rule)).with("to", to).into()
}

/// Whom a rule is for.
pub fn when(lang: Lang, rule: &Rule) -> String {
    let text = ways(lang, &rule.when);
    match rule.opaque.as_slice() {
        [] => text,
        [one] if one == HIDDEN => lang.t("line.hidden").into(),
        fields => {
            let key = if text.is_empty() { "line.only_opaque" } else { "line.opaque" };
            lang.t(key).with("when", text).with("fields", fields_words(lang, fields)).into()
        }
    }
}

/// Fields of a match that Sluice keeps as they are, in words: *the port, the labels of the caller*.
pub fn fields_words(lang: Lang, fields: &[String]) -> String {
    let words: Vec<String> = fields.iter().map(|field| field_words(lang, field)).collect();
    words.join(&lang.t("sum.list").to_string())
}

/// A field of a match that Sluice keeps as it is, in words: what it decides by. Its value is not known here.
fn field_words(lang: Lang, field: &str) -> String {
    let (kind, name) = field.split_once('.').unwrap_or((field, ""));
    let key = format!("line.field.{kind}");
    if lang.knows(&key) { lang.t(&key).with("name", name).into() } else { field.to_owned() }
}

/// Alternatives in words: `header end-user equals jason or cookie tier equals gold`.
pub fn ways(lang: Lang, when: &[Vec<Condition>]) -> String {
    let and = lang.t("line.and").to_string();
    let mut ways: Vec<String> = when
        .iter()
        .filter(|all| !all.is_empty())
        .map(|all| all.iter().map(|one| condition(lang, one)).collect::<Vec<_>>().join(&and))
        .collect();
    let more = ways.len().saturating_sub(3);
    ways.truncate(3);
    let mut text = ways.join(&lang.t("line.or").to_string());
    if more > 0 {
        text = lang.t("line.or_more").with("when", text).with("n", more).into();
    }
    text
}

/// One condition, in the words of the table of rules: `header end-user ends with @gmail.com`.
fn condition(lang: Lang, condition: &Condition) -> String {
    let on: String = match &condition.on {
        Subject::Header(name) => lang.t("line.header").with("name", name).into(),
        Subject::Cookie(name) => lang.t("line.cookie").with("name", name).into(),
        Subject::Query(name) => lang.t("line.field.queryParams").with("name", name).into(),
        Subject::Path => lang.t("rules.in.path").into(),
        Subject::Method => lang.t("rules.in.method").into(),
    };
    let (op, value) = match (Affix::of(condition), condition.op) {
        (Some((affix, text)), _) => (affix.as_str(), text),
        (None, Op::Exact) => ("exact", condition.value.clone()),
        (None, Op::Regex) => ("regex", condition.value.clone()),
        (None, Op::Prefix) => ("prefix", condition.value.clone()),
        (None, Op::Present) => ("present", String::new()),
    };
    let op = lang.t(&format!("rules.op.{op}"));
    format!("{on} {op} {}", cut(&value, VALUE)).trim_end().to_owned()
}

/// One line for each rule that is added, changed or removed, then what became of their order.
pub fn changes(lang: Lang, all: &RuleChanges) -> Vec<String> {
    let said = |key: &str, one: &Rule| lang.t(key).with("rule", rule(lang, one)).to_string();
    let added = all.added.iter().map(|one| said("line.new", one));
    let changed = all.changed.iter().map(|(old, new)| {
        let (old, new) = (rule(lang, old), rule(lang, new));
        if old == new {
            return lang.t("line.changed").with("rule", new).into();
        }
        lang.t("line.was").with("rule", new).with("old", old).into()
    });
    let removed = all.removed.iter().map(|one| said("line.removed", one));
    let mut lines: Vec<String> = added.chain(changed).chain(removed).take(LISTED).collect();
    let more = all.count() - lines.len();
    if more > 0 {
        lines.push(lang.count("line.more", more).into());
    }
    if all.moved {
        lines.push(lang.t("line.moved").into());
    }
    lines
}

/// *mirror 10% → v2*, *mirror off (was 10% → v2)*.
pub fn mirror(lang: Lang, change: &MirrorChange) -> String {
    match (&change.before, &change.after) {
        (_, Some(new)) => mirror_line(lang, new),
        (Some(old), None) => mirror_said(lang, "line.mirror_off", old),
        (None, None) => String::new(),
    }
}

/// *mirror 10% → v2*.
pub fn mirror_line(lang: Lang, mirror: &Mirror) -> String {
    mirror_said(lang, "line.mirror", mirror)
}

fn mirror_said(lang: Lang, key: &str, mirror: &Mirror) -> String {
    let to = mirror.version().map_or_else(|| lang.t("mirror.elsewhere").into(), |v| short(v.as_str()));
    lang.t(key).with("v", to).with("n", percent(mirror.percent)).into()
}

/// What an entry of the history says of rules and mirror, one line each.
pub fn of_entry(lang: Lang, entry: &Entry) -> Vec<String> {
    let late = entry.outcome.as_ref().map(|outcome| &outcome.details);
    let all = || late.into_iter().chain([&entry.intent.details]);
    let rules = all().find_map(|details: &Details| details.rules.as_ref());
    let copies = all().find_map(|details: &Details| details.mirror.as_ref());
    let rules = rules.map(|rules| changes(lang, rules)).unwrap_or_default();
    rules.into_iter().chain(copies.map(|change| mirror(lang, change))).collect()
}

/// The lines of a change's summary: *Match rule: `header end-user equals jason → v2` (added).*
pub fn sentences(lang: Lang, effect: &Effect) -> Vec<Text> {
    let rules = effect.rule_changes.iter().flat_map(|change| changes(lang, change));
    rules.map(|line| lang.t("line.sentence").with("line", line)).collect()
}

/// What a change makes, short enough for the button that applies it: the split where that changes, then rules and
/// mirror.
pub fn result(lang: Lang, effect: &Effect) -> String {
    let split = !effect.deltas().is_empty() || effect.before.is_empty();
    let split = split.then(|| in_words(&effect.after)).filter(|split| !split.is_empty());
    let rules = effect.rule_changes.as_ref().map(|all| rules_in_short(lang, all));
    let copies = effect.mirror_change().map(|change| mirror(lang, &change));
    let parts: Vec<String> = split.into_iter().chain(rules).chain(copies).collect();
    parts.join(&lang.t("line.plus").to_string())
}

fn rules_in_short(lang: Lang, all: &RuleChanges) -> String {
    match (all.count(), all.moved) {
        (0, _) => lang.t("line.moved").into(),
        (1, false) => cut(&changes(lang, all).concat(), ON_A_BUTTON),
        (n, false) if n == all.added.len() => lang.count("line.rules_added", n).into(),
        (n, false) if n == all.removed.len() => lang.count("line.rules_removed", n).into(),
        (n, _) => lang.count("line.rules", n).into(),
    }
}

/// The state that a service has after a way back: its split, then the rules and the mirror where these become others.
pub fn goal(lang: Lang, effect: &Effect) -> String {
    let split = match (effect.after.is_empty(), effect.before.is_empty()) {
        (false, _) => in_words(&effect.after),
        (true, false) => lang.t("split.pods").into(),
        (true, true) => lang.t("goal.same_split").into(),
    };
    let rules = effect.rule_changes.as_ref().map(|_| {
        match (effect.rules_before.as_slice(), effect.rules_after.as_slice()) {
            (before, []) => lang.count("goal.without_rules", before.len()).to_string(),
            ([], [only]) => lang.t("goal.with_rule").with("rule", cut(&rule(lang, only), ON_A_BUTTON)).into(),
            ([], after) => lang.count("goal.with_rules", after.len()).into(),
            (_, after) => lang.count("goal.with_its_rules", after.len()).into(),
        }
    });
    let copies = effect.mirror_change().map(|change| match &change.after {
        Some(on) => lang.t("goal.mirror").with("mirror", mirror_line(lang, on)).to_string(),
        None => lang.t("goal.mirror_off").into(),
    });
    [Some(split), rules, copies].into_iter().flatten().collect()
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let head: String = text.chars().take(most - 1).collect();
    format!("{}…", head.trim_end())
}
