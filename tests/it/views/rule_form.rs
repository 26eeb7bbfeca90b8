//! The rule editor's fields and buttons, without a page around them.

use sluice::domain::ids::VersionName;
use sluice::domain::refusal::Code;
use sluice::domain::routing::{Condition, Op, Rule, Subject};
use sluice::views::rule_form::{Draft, Press, Pressed, press};

fn rule(header: &str) -> Rule {
    Rule {
        id: Some(header.into()),
        name: None,
        when: vec![vec![Condition { on: Subject::Header(header.into()), op: Op::Exact, value: "x".into() }]],
        opaque: Vec::new(),
        to: vec![(VersionName::from("v1"), 100)],
        action: None,
    }
}

fn fields(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn do_it(button: &str, typed: &[(&str, &str)]) -> Result<Pressed, Code> {
    let rules = vec![rule("a"), rule("b"), rule("c")];
    press(rules, &Press::parse(button).unwrap(), &fields(typed)).map_err(|refusal| refusal.code)
}

fn order(pressed: &Pressed) -> String {
    pressed
        .rules
        .iter()
        .map(|rule| rule.id.as_ref().map_or("new", |id| id.as_str()))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn buttons_move_and_remove_rules() {
    for (button, expected) in
        [("up:0", "a b c"), ("up:2", "a c b"), ("down:0", "b a c"), ("down:2", "a b c"), ("remove:1", "a c")]
    {
        let pressed = do_it(button, &[]).unwrap();
        assert_eq!(order(&pressed), expected, "{button}");
        assert!(pressed.edited && pressed.draft.is_none());
    }
    for button in ["up:3", "down:3", "remove:3", "edit:9"] {
        assert_eq!(do_it(button, &[]).unwrap_err(), Code::UnknownRule, "{button}");
    }
    for button in ["", "up", "up:-1", "up:x", "drop:1", "edit:99999999999999999999"] {
        assert_eq!(Press::parse(button), None, "{button}");
    }
}

#[test]
fn a_new_rule_is_read_from_the_editor_and_goes_to_the_end() {
    let typed = [
        ("rule.at", "new"),
        ("rule.name", " beta "),
        ("when.0.in", "header"),
        ("when.0.name", "End-User"),
        ("when.0.op", "exact"),
        ("when.0.value", "jason"),
        ("when.1.in", "path"),
        ("when.1.name", ""),
        ("when.1.op", "prefix"),
        ("when.1.value", "/reviews"),
        ("when.2.in", "cookie"),
        ("when.2.name", ""),
        ("when.2.op", "exact"),
        ("when.2.value", ""),
        ("rule.w.v1", ""),
        ("rule.w.v2", "100"),
    ];
    let pressed = do_it("save", &typed).unwrap();
    assert_eq!(order(&pressed), "a b c new");
    let made = &pressed.rules[3];
    assert_eq!(made.name.as_deref(), Some("beta"));
    assert_eq!(made.to, vec![(VersionName::from("v2"), 100)]);
    let condition = |on, op, value: &str| Condition { on, op, value: value.to_owned() };
    let expected = vec![vec![
        condition(Subject::Header("end-user".into()), Op::Exact, "jason"),
        condition(Subject::Path, Op::Prefix, "/reviews"),
    ]];
    assert_eq!(made.when, expected);
}

#[test]
fn a_wrong_editor_stays_open_with_what_was_typed() {
    let good = [
        ("rule.at", "1"),
        ("when.0.in", "header"),
        ("when.0.name", "x"),
        ("when.0.op", "regex"),
        ("when.0.value", "a+"),
        ("rule.w.v1", "100"),
    ];
    let with = |name: &'static str, value: &'static str| {
        let mut typed = good.to_vec();
        typed.retain(|(field, _)| *field != name);
        typed.push((name, value));
        typed
    };
    for (typed, code) in [
        (with("when.0.value", "(a"), Code::BadRegex),
        (with("when.0.in", "body"), Code::BadRule),
        (with("when.0.op", "like"), Code::BadRule),
        (with("rule.w.v1", "90"), Code::SumMissing),
        (with("rule.w.v1", "101"), Code::WeightRange),
        (with("rule.w.v1", "-1"), Code::WeightRange),
        (with("rule.w.v1", "12.5"), Code::WeightType),
    ] {
        let pressed = do_it("save", &typed).unwrap();
        assert!(!pressed.edited, "{typed:?}");
        let draft = pressed.draft.unwrap();
        assert_eq!(draft.refusal.map(|refusal| refusal.code), Some(code), "{typed:?}");
        assert_eq!(draft.at, Some(1));
        assert_eq!(draft.conditions[0].name, "x");
    }
    let empty = [
        ("rule.at", "1"),
        ("when.0.in", "path"),
        ("when.0.op", "exact"),
        ("when.0.value", ""),
        ("rule.w.v1", "100"),
    ];
    assert_eq!(
        do_it("save", &empty).unwrap().draft.unwrap().refusal.map(|no| no.code),
        Some(Code::RuleEmpty)
    );
    let elsewhere = with("rule.at", "7");
    assert_eq!(do_it("save", &elsewhere).unwrap_err(), Code::UnknownRule);
}

#[test]
fn conditions_that_are_not_edited_here_survive_a_new_target() {
    let mut odd = rule("a");
    odd.opaque = vec!["sourceLabels".into()];
    odd.when.push(vec![Condition { on: Subject::Path, op: Op::Prefix, value: "/x".into() }]);
    let typed = fields(&[
        ("rule.at", "0"),
        ("rule.w.v2", "100"),
        ("when.0.in", "method"),
        ("when.0.op", "exact"),
        ("when.0.value", "GET"),
    ]);
    let pressed = press(vec![odd.clone()], &Press::Save, &typed).unwrap();
    let expected = Rule { to: vec![(VersionName::from("v2"), 100)], ..odd };
    assert_eq!(pressed.rules, vec![expected]);
}

#[test]
fn the_sample_value_is_tried_like_the_proxy_does_it() {
    let tried = |op: &str, value: &str, sample: &str| {
        let typed = [
            ("rule.at", "new"),
            ("when.0.in", "header"),
            ("when.0.name", "x"),
            ("when.0.op", op),
            ("when.0.value", value),
            ("rule.sample", sample),
        ];
        do_it("try", &typed).unwrap().draft.unwrap().matched()
    };
    assert_eq!(tried("exact", "jason", "jason"), Some(true));
    assert_eq!(tried("prefix", "ja", "jason"), Some(true));
    assert_eq!(
        tried("regex", "^ja", "jason"),
        Some(false),
        "a regular expression must match the whole value"
    );
    assert_eq!(tried("regex", "ja.*|x", "jason"), Some(true));
    assert_eq!(tried("regex", "(", "jason"), None);
    assert_eq!(tried("exact", "jason", ""), None);
}

#[test]
fn more_adds_a_line_of_conditions_up_to_a_bound() {
    let typed = [("rule.at", "new"), ("when.0.in", "header"), ("when.0.op", "exact")];
    assert_eq!(do_it("more", &typed).unwrap().draft.unwrap().conditions.len(), 2);
    assert_eq!(Draft::empty().conditions.len(), 1);
    let names: Vec<String> = (0..40).map(|k| format!("when.{k}.in")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "header")).collect();
    assert_eq!(do_it("more", &many).unwrap().draft.unwrap().conditions.len(), 12);
}

#[test]
fn a_rule_goes_to_the_chosen_version_or_to_several_by_weights() {
    let with = |to: &'static str, weights: [&'static str; 2]| {
        let typed = [
            ("rule.at", "new"),
            ("when.0.in", "header"),
            ("when.0.name", "x"),
            ("when.0.op", "exact"),
            ("when.0.value", "y"),
            ("rule.to", to),
            ("rule.w.v1", weights[0]),
            ("rule.w.v2", weights[1]),
        ];
        let mut pressed = do_it("save", &typed).unwrap();
        match pressed.draft {
            Some(draft) => Err(draft.refusal.unwrap().code),
            None => Ok(pressed.rules.pop().unwrap().to),
        }
    };
    let (v1, v2) = (VersionName::from("v1"), VersionName::from("v2"));
    assert_eq!(with("v2", ["0", "0"]), Ok(vec![(v2.clone(), 100)]));
    assert_eq!(with("v2", ["70", "30"]), Ok(vec![(v2.clone(), 100)]), "the weights are of the other choice");
    assert_eq!(with("*", ["70", "30"]), Ok(vec![(v1, 70), (v2, 30)]));
    assert_eq!(with("*", ["0", "0"]), Err(Code::RuleTarget));
    assert_eq!(with("", ["0", "0"]), Err(Code::RuleTarget));
    assert_eq!(with("*", ["70", "20"]), Err(Code::SumMissing));
}

#[test]
fn ends_with_and_contains_are_written_as_expressions_and_opened_as_themselves() {
    for (op, expression) in [("suffix", r".*@gmail\.com"), ("contains", r".*@gmail\.com.*")] {
        let typed = [
            ("rule.at", "new"),
            ("when.0.in", "header"),
            ("when.0.name", "x"),
            ("when.0.op", op),
            ("when.0.value", "@gmail.com"),
            ("rule.to", "v2"),
        ];
        let rules = do_it("save", &typed).unwrap().rules;
        let made = &rules[3].when[0][0];
        assert_eq!((made.op, made.value.as_str()), (Op::Regex, expression));
        let opened = press(rules.clone(), &Press::Edit(3), &[]).unwrap().draft.unwrap();
        let field = &opened.conditions[0];
        assert_eq!((field.op.as_str(), field.value.as_str()), (op, "@gmail.com"));
        assert_eq!(opened.target.as_deref(), Some("v2"));
        let nothing = [typed[0], typed[1], typed[2], typed[3], ("when.0.value", ""), typed[5]];
        let refused = do_it("save", &nothing).unwrap().draft.unwrap().refusal.unwrap();
        assert_eq!(refused.code, Code::RuleEmpty);
    }
}
