//! A condition on a cookie takes exactly the requests whose cookie of that name has such a value.

use proptest::prelude::*;
use sluice::domain::ids::Kind;
use sluice::domain::routing::{Condition, Op, Rule, Subject};

use super::support::{SUBSETS, World, route, rules, three, usual, vs, weights};

/// The regular expression that is written for a condition on the cookie `uid`; `None` when it is refused.
fn written(world: &World, op: Op, value: &str) -> Option<String> {
    let condition = Condition { on: Subject::Cookie("uid".to_owned()), op, value: value.to_owned() };
    let rule = Rule {
        id: None,
        name: None,
        when: vec![vec![condition]],
        opaque: Vec::new(),
        to: weights("v2=100"),
        action: None,
    };
    let planned = world.plan(&rules(vec![rule])).ok()?;
    let after = world.after(&planned);
    let http = after.spec(Kind::VirtualService, "reviews")["http"].clone();
    http[0]["match"][0]["headers"]["cookie"]["regex"].as_str().map(str::to_owned)
}

/// Envoy compares a regular expression with the whole value of the header.
fn whole(expression: &str, text: &str) -> bool {
    regex::Regex::new(&format!("^(?:{expression})$")).unwrap().is_match(text)
}

/// What the condition names: a cookie `uid` whose value, which ends at `;`, is matched as a whole.
fn named(expression: &str, header: &str) -> bool {
    header
        .split(';')
        .filter_map(|pair| pair.trim_start().strip_prefix("uid="))
        .any(|value| whole(expression, value))
}

#[test]
fn an_expression_ends_where_the_value_ends() {
    let world = usual();
    let cases = [
        // Counted on Envoy 1.40: this took `uid=xxff; sid=000a` before the value was bounded.
        (".*0[0-9a-c]", "[^;]*0[0-9a-c]"),
        ("a.c", "a[^;]c"),
        ("[^a]+", "[^;a]+"),
        ("[^-a]+", "[^-a;]+"),
        ("[^]a]+", "[^]a;]+"),
        ("\\W+|\\D", "[^;\\w]+|[^;\\d]"),
        ("\\S*", "[^;\\s]*"),
        ("\\PL", "[^;\\pL]"),
        ("(?i)j.*", "(?i)j[^;]*"),
        ("j[a-z]+", "j[a-z]+"),
        ("a\\.b", "a\\.b"),
    ];
    for (asked, expected) in cases {
        let written = written(&world, Op::Regex, asked).unwrap_or_else(|| panic!("{asked} is refused"));
        assert_eq!(written, format!("^(.*?;\\s*)?(uid=(?:{expected}))(;.*)?$"), "{asked}");
    }
    for asked in ["a;b", "[ -~]+", "[\\W_]", "\\x3b", "[^-]+", "[;]"] {
        let refused = written(&world, Op::Regex, asked);
        assert!(
            refused.is_none() || !whole(&refused.clone().unwrap(), "uid=x; sid=a;b"),
            "{asked}: {refused:?}"
        );
    }
}

#[test]
fn an_expression_that_crosses_is_found_and_the_same_one_is_not_a_change() {
    let entry = r"[{headers: {cookie: {regex: '^(.*?;\s*)?(uid=(?:.*0))(;.*)?$'}}}]";
    let crossing = three().with(SUBSETS).with(&vs(&format!(
        "  http:\n  - match: {entry}\n    route:\n{}  - route:\n{}",
        route("v2:100"),
        route("v1:100")
    )));
    let read = crossing.read();
    let codes: Vec<&str> = read.findings.iter().map(|finding| finding.code.as_str()).collect();
    assert!(codes.contains(&"cookie_beyond_value"), "{codes:?}");
    let same = crossing.plan(&rules(read.rules.clone())).expect("a plan");
    assert!(same.plan.is_empty(), "nobody asked for another expression: {:?}", same.plan);
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        ".", ".*", "a", "0", "[^a]", "[^;]*", "[0-9a-c]", "\\S", "\\W", "\\d", "x?", "(a|.)", "[^ab]+", "=",
        ";",
    ]);
    prop::collection::vec(piece, 1..5).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_cookie_condition_takes_exactly_what_it_names(
        expression in pieces(),
        header in "(uid=[a0x ]{0,3}|sid=[a0;= ]{0,4}|xuid=0)(; ?(uid|sid)=[a0bx]{0,3}){0,2}",
    ) {
        let world = usual();
        if let Some(written) = written(&world, Op::Regex, &expression) {
            prop_assert_eq!(whole(&written, &header), named(&expression, &header), "{} {}", written, header);
        }
    }
}
