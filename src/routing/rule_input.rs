//! What a match rule may hold. Called for rules that are new or whose conditions changed; a rule that is
//! only moved, or gets new targets, is never judged, because another client may have written it.

use crate::domain::refusal::{Code, Refusal};
use crate::domain::routing::{Condition, MAX_RULES, Op, Rule, Subject};
use crate::domain::split::Split;

use super::regexes;

/// Alternatives of one new rule, and conditions of one alternative.
pub const MAX_ALTERNATIVES: usize = 8;
pub const MAX_CONDITIONS: usize = 8;
const MAX_VALUE: usize = 1024;
const MAX_REGEX: usize = 256;
const MAX_NAME: usize = 128;

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];

/// Refuses a list that is too long.
pub fn count(rules: &[Rule]) -> Result<(), Refusal> {
    if rules.len() > MAX_RULES {
        return Err(Refusal::new(Code::TooManyRules).field("rules").arg("n", MAX_RULES));
    }
    Ok(())
}

/// Checks the name of a rule, `at` its place in the list.
pub fn name(name: &str, at: usize) -> Result<(), Refusal> {
    if (1..=MAX_NAME).contains(&name.chars().count()) && !has_control(name) {
        return Ok(());
    }
    Err(Refusal::new(Code::BadRule).field(format!("rules.{at}.name")).arg("name", shorten(name)))
}

/// Checks the targets of a rule.
pub fn targets(rule: &Rule, at: usize) -> Result<(), Refusal> {
    Split::new(rule.to.clone()).map(|_| ()).map_err(|refusal| refusal.field(format!("rules.{at}.to")))
}

/// Checks the conditions of a rule and brings them into the form that is written: header names in lower
/// case, methods in upper case. Refusals name the field (`rules.2.when.0.1.value`).
pub fn conditions(when: &[Vec<Condition>], at: usize) -> Result<Vec<Vec<Condition>>, Refusal> {
    let bad = |code: Code, field: String| Refusal::new(code).field(field);
    let empty = when.is_empty() || when.iter().any(Vec::is_empty);
    if empty {
        return Err(bad(Code::RuleEmpty, format!("rules.{at}.when")));
    }
    if when.len() > MAX_ALTERNATIVES {
        return Err(bad(Code::BadRule, format!("rules.{at}.when")).arg("max", MAX_ALTERNATIVES));
    }
    let mut out = Vec::with_capacity(when.len());
    for (i, alternative) in when.iter().enumerate() {
        if alternative.len() > MAX_CONDITIONS {
            return Err(bad(Code::BadRule, format!("rules.{at}.when.{i}")).arg("max", MAX_CONDITIONS));
        }
        let mut good: Vec<Condition> = Vec::with_capacity(alternative.len());
        for (j, said) in alternative.iter().enumerate() {
            let field = format!("rules.{at}.when.{i}.{j}");
            let condition = condition(said, &field)?;
            // One match entry holds one condition on each of these.
            if good.iter().any(|other| slot(&other.on) == slot(&condition.on)) {
                return Err(bad(Code::BadRule, field).arg("name", slot(&condition.on)));
            }
            good.push(condition);
        }
        out.push(good);
    }
    Ok(out)
}

/// Where a condition goes in a match entry: cookies share the `cookie` header.
fn slot(on: &Subject) -> String {
    match on {
        Subject::Header(name) => format!("header {name}"),
        Subject::Cookie(_) => "header cookie".to_owned(),
        Subject::Query(name) => format!("query {name}"),
        Subject::Path => "path".to_owned(),
        Subject::Method => "method".to_owned(),
    }
}

/// Checks one condition; `field` is its place in the request.
fn condition(said: &Condition, field: &str) -> Result<Condition, Refusal> {
    let refuse = |code: Code, part: &str| Refusal::new(code).field(format!("{field}.{part}"));
    let on = match &said.on {
        Subject::Header(name) => Subject::Header(
            header_name(name).map_err(|code| refuse(code, "name").arg("name", shorten(name)))?,
        ),
        Subject::Cookie(name) if is_token(name) && name.len() <= MAX_NAME => Subject::Cookie(name.clone()),
        Subject::Query(name) if query_name(name) => Subject::Query(name.clone()),
        Subject::Cookie(name) | Subject::Query(name) => {
            return Err(refuse(Code::BadMatchValue, "name").arg("value", shorten(name)));
        }
        Subject::Path => Subject::Path,
        Subject::Method => Subject::Method,
    };
    let value = match (&on, said.op) {
        (Subject::Path | Subject::Method, Op::Present) => return Err(refuse(Code::BadRule, "op")),
        (_, Op::Present) => String::new(),
        (Subject::Method, Op::Exact) => method(&said.value)
            .ok_or_else(|| refuse(Code::BadMethod, "value").arg("value", shorten(&said.value)))?,
        (Subject::Method, _) => return Err(refuse(Code::BadMethod, "op").arg("value", shorten(&said.value))),
        (_, Op::Regex) => {
            regex(&said.value).map_err(|why| {
                refuse(Code::BadRegex, "value").arg("value", shorten(&said.value)).arg("why", why)
            })?;
            match &on {
                Subject::Cookie(_) => super::cookies::within_value(&said.value).map_err(|why| {
                    refuse(Code::BadRegex, "value").arg("value", shorten(&said.value)).arg("why", why)
                })?,
                _ => said.value.clone(),
            }
        }
        (_, Op::Exact | Op::Prefix) => {
            let fits = (1..=MAX_VALUE).contains(&said.value.chars().count()) && !has_control(&said.value);
            let rooted = on != Subject::Path || said.value.starts_with('/');
            let in_cookie = !matches!(on, Subject::Cookie(_)) || !said.value.contains(';');
            if !fits || !rooted || !in_cookie {
                return Err(refuse(Code::BadMatchValue, "value").arg("value", shorten(&said.value)));
            }
            said.value.clone()
        }
    };
    if let Subject::Cookie(name) = &on
        && super::cookies::regex(name, said.op, &value).len() > MAX_VALUE
    {
        return Err(refuse(Code::BadMatchValue, "value").arg("value", shorten(&value)));
    }
    Ok(Condition { on, op: said.op, value })
}

/// A header's name in lower case; refused when it is no token, is a pseudo-header or `host` (which Istio
/// matches elsewhere), or carries secrets that would end up in the object and in the history.
pub fn header_name(name: &str) -> Result<String, Code> {
    if !is_token(name) || name.len() > MAX_NAME {
        return Err(Code::BadHeaderName);
    }
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "host" => Err(Code::BadHeaderName),
        "authorization" | "proxy-authorization" | "cookie" | "set-cookie" => Err(Code::SensitiveHeader),
        _ => Ok(lower),
    }
}

/// RFC 9110 token.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn query_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.chars().count())
        && !has_control(name)
        && !name.contains(['&', '=', '#', ' '])
}

fn method(value: &str) -> Option<String> {
    let upper = value.to_ascii_uppercase();
    METHODS.contains(&upper.as_str()).then_some(upper)
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Checks a regular expression: at most 256 characters, no control characters, and RE2 must accept it and
/// mean by it what we mean.
pub fn regex(text: &str) -> Result<(), String> {
    if text.is_empty() || text.chars().count() > MAX_REGEX {
        return Err(format!("1 to {MAX_REGEX} characters"));
    }
    if has_control(text) {
        return Err("control character".to_owned());
    }
    regexes::re2(text)
}

/// What a refusal repeats of a value: enough to recognise it.
fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
