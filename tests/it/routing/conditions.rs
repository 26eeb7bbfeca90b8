//! What a condition of a rule may be.

use sluice::domain::routing::{Condition, Op, Rule, Subject};
use sluice::routing::rule_input;

/// `header:x-user exact abc`
fn condition(text: &str) -> Condition {
    let mut words = text.splitn(3, ' ');
    let on = words.next().expect("subject");
    let op = words.next().expect("op");
    let value = words.next().unwrap_or_default();
    let (kind, name) = on.split_once(':').unwrap_or((on, ""));
    let name = name.to_owned();
    Condition {
        on: match kind {
            "header" => Subject::Header(name),
            "cookie" => Subject::Cookie(name),
            "query" => Subject::Query(name),
            "path" => Subject::Path,
            _ => Subject::Method,
        },
        op: match op {
            "exact" => Op::Exact,
            "prefix" => Op::Prefix,
            "regex" => Op::Regex,
            _ => Op::Present,
        },
        value: value.to_owned(),
    }
}

fn rule(when: Vec<Vec<Condition>>) -> Rule {
    Rule { id: None, name: None, when, opaque: Vec::new(), to: vec![("v1".into(), 100)], action: None }
}

/// `-` = accepted as it is; else the refusal's code and field.
fn check(text: &str, expected: &str) {
    let told = match rule_input::conditions(&[vec![condition(text)]], 3) {
        Ok(when) if when[0][0] == condition(text) => "-".to_owned(),
        Ok(when) => format!("{:?} {:?}", when[0][0].on, when[0][0].value),
        Err(refusal) => format!("{} {}", refusal.code, refusal.field.unwrap_or_default()),
    };
    assert_eq!(told, expected, "{text}");
}

#[test]
fn headers() {
    check("header:end-user exact jason", "-");
    check("header:x-email regex .*@gmail\\.com", "-");
    check("header:x-a prefix b", "-");
    check("header:x-a present", "-");
    check("header:X-User exact a", "Header(\"x-user\") \"a\"");
    check("header:x-a exact ", "bad_match_value rules.3.when.0.0.value");
    check("header:x-a prefix ", "bad_match_value rules.3.when.0.0.value");
    check("header: exact a", "bad_header_name rules.3.when.0.0.name");
    check("header:x\r\ny exact a", "bad_header_name rules.3.when.0.0.name");
    check("header:x\0 exact a", "bad_header_name rules.3.when.0.0.name");
    check("header:ü exact a", "bad_header_name rules.3.when.0.0.name");
    check("header:a:b exact a", "bad_header_name rules.3.when.0.0.name");
    check("header::authority exact a", "bad_header_name rules.3.when.0.0.name");
    check("header:@request.auth.claims exact a", "bad_header_name rules.3.when.0.0.name");
    check("header:Host exact a", "bad_header_name rules.3.when.0.0.name");
    check("header:Authorization prefix Bearer", "sensitive_header rules.3.when.0.0.name");
    check("header:proxy-authorization present", "sensitive_header rules.3.when.0.0.name");
    check("header:cookie regex a", "sensitive_header rules.3.when.0.0.name");
    check("header:x-a exact a\r\nb", "bad_match_value rules.3.when.0.0.value");
    check("header:x-a exact a\u{1b}b", "bad_match_value rules.3.when.0.0.value");
    check("header:x-a regex (", "bad_regex rules.3.when.0.0.value");
    check("header:x-a regex (?=a)", "bad_regex rules.3.when.0.0.value");
    check(&format!("header:x-a exact {}", "a".repeat(1024)), "-");
    check(&format!("header:x-a exact {}", "a".repeat(1025)), "bad_match_value rules.3.when.0.0.value");
    check(&format!("header:{} exact a", "a".repeat(129)), "bad_header_name rules.3.when.0.0.name");
}

#[test]
fn paths_and_methods() {
    check("path prefix /api", "-");
    check("path exact /", "-");
    check("path regex /a/.*", "-");
    check("path prefix api", "bad_match_value rules.3.when.0.0.value");
    check("path exact api", "bad_match_value rules.3.when.0.0.value");
    check("path present", "bad_rule rules.3.when.0.0.op");
    check("method exact GET", "-");
    check("method exact get", "Method \"GET\"");
    check("method exact FETCH", "bad_method rules.3.when.0.0.value");
    check("method exact ", "bad_method rules.3.when.0.0.value");
    check("method regex GET|POST", "bad_method rules.3.when.0.0.op");
    check("method prefix G", "bad_method rules.3.when.0.0.op");
    check("method present", "bad_rule rules.3.when.0.0.op");
}

#[test]
fn cookies_and_queries() {
    check("cookie:user exact jason", "-");
    check("cookie:user prefix ja", "-");
    check("cookie:user regex j[a-z]+", "-");
    check("cookie:user present", "-");
    check("query:debug exact 1", "-");
    check("query:debug present", "-");
    check("query:a[b] prefix x", "-");
    check("query:a&b exact x", "bad_match_value rules.3.when.0.0.name");
    check("query: exact x", "bad_match_value rules.3.when.0.0.name");
    check("cookie: exact x", "bad_match_value rules.3.when.0.0.name");
    check("cookie:user exact a;b", "bad_match_value rules.3.when.0.0.value");
    check("cookie:us=er exact a", "bad_match_value rules.3.when.0.0.name");
}

#[test]
fn lists_have_limits() {
    let one = || vec![condition("header:x-a exact b")];
    let told = |when: Vec<Vec<Condition>>| {
        rule_input::conditions(&when, 0).map_or_else(
            |refusal| format!("{} {}", refusal.code, refusal.field.unwrap_or_default()),
            |_| "-".to_owned(),
        )
    };
    assert_eq!(told(Vec::new()), "rule_empty rules.0.when");
    assert_eq!(told(vec![Vec::new()]), "rule_empty rules.0.when");
    assert_eq!(told(vec![one(), Vec::new()]), "rule_empty rules.0.when");
    assert_eq!(told(vec![one(); 8]), "-");
    assert_eq!(told(vec![one(); 9]), "bad_rule rules.0.when");
    let many = |n: usize| vec![(0..n).map(|at| condition(&format!("header:x-{at} exact b"))).collect()];
    assert_eq!(told(many(8)), "-");
    assert_eq!(told(many(9)), "bad_rule rules.0.when.0");
    assert_eq!(
        told(vec![vec![condition("header:x-a exact b"), condition("header:X-A exact c")]]),
        "bad_rule rules.0.when.0.1"
    );
    assert_eq!(
        told(vec![vec![condition("cookie:a exact b"), condition("cookie:c exact d")]]),
        "bad_rule rules.0.when.0.1",
        "both would need the cookie header"
    );
    let rules = vec![rule(vec![one()]); 51];
    assert_eq!(rule_input::count(&rules).expect_err("too many").code.as_str(), "too_many_rules");
    assert!(rule_input::count(&rules[..50]).is_ok());
}

#[test]
fn targets_are_splits() {
    for (to, expected) in [
        (vec![("v1", 100)], "-"),
        (vec![("v1", 30), ("v2", 70)], "-"),
        (vec![("v1", 30)], "sum rules.4.to"),
        (vec![], "sum rules.4.to"),
        (vec![("v1", 50), ("v1", 50)], "duplicate_version rules.4.to"),
        (vec![("v1", 200)], "weight_range rules.4.to"),
    ] {
        let mut rule = rule(Vec::new());
        rule.to = to.iter().map(|(version, weight)| ((*version).into(), *weight)).collect();
        let told = rule_input::targets(&rule, 4).map_or_else(
            |refusal| format!("{} {}", refusal.code, refusal.field.unwrap_or_default()),
            |()| "-".to_owned(),
        );
        assert_eq!(told, expected);
    }
    for (name, fits) in
        [("a", true), ("", false), ("a\nb", false), (&*"x".repeat(128), true), (&*"x".repeat(129), false)]
    {
        assert_eq!(rule_input::name(name, 0).is_ok(), fits, "{name:?}");
    }
}
