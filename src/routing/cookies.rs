//! Cookie conditions. Istio has no match on a cookie, only a regular expression on the whole `cookie`
//! header; this translates between the two. Called when rules are read and when they are written.

use crate::domain::routing::{Condition, Op, Subject};

use super::regexes;

/// What may stand before the cookie in the header: other cookies, each closed by `;` and blanks.
const BEFORE: &str = r"^(.*?;\s*)?(";
/// The form in Istio's documentation, which misses a cookie after a blank. Read, never written.
const BEFORE_DOCUMENTED: &str = "^(.*?;)?(";
/// What may stand behind it.
const AFTER: &str = ")(;.*)?$";

/// The regular expression on the `cookie` header that a condition on one cookie means.
pub fn regex(name: &str, op: Op, value: &str) -> String {
    let name = regex_syntax::escape(name);
    let value = match op {
        Op::Exact => regex_syntax::escape(value),
        Op::Prefix => format!("{}[^;]*", regex_syntax::escape(value)),
        Op::Regex => format!("(?:{value})"),
        Op::Present => "[^;]*".to_owned(),
    };
    format!("{BEFORE}{name}={value}{AFTER}")
}

/// The expression that a person asked for, as it is written for a cookie: it ends at `;`, where the value
/// ends, so that it never takes a request for what another cookie holds. `Err` says what asks for a `;`.
pub fn within_value(regex: &str) -> Result<String, String> {
    regexes::without(regex, ';')
}

/// True when the expression on the `cookie` header may take a request for the value of another cookie.
pub fn crosses(condition: &Condition) -> bool {
    matches!(condition.on, Subject::Cookie(_))
        && condition.op == Op::Regex
        && within_value(&condition.value).as_ref() != Ok(&condition.value)
}

/// Reads a regular expression of one of the two forms back; `None` for all others.
pub fn parse(regex: &str) -> Option<Condition> {
    let inner = regex
        .strip_prefix(BEFORE)
        .or_else(|| regex.strip_prefix(BEFORE_DOCUMENTED))
        .and_then(|rest| rest.strip_suffix(AFTER))?;
    let (name, value) = inner.split_once('=')?;
    let name = unescape(name)?;
    let condition = |op, value: String| Condition { on: Subject::Cookie(name.clone()), op, value };
    if value == "[^;]*" {
        return Some(condition(Op::Present, String::new()));
    }
    if let Some(inner) = value.strip_prefix("(?:").and_then(|rest| rest.strip_suffix(')')) {
        // Not `(?:a)|(b)`, which only looks like one group.
        return regexes::re2(inner).is_ok().then(|| condition(Op::Regex, inner.to_owned()));
    }
    if let Some(literal) = unescape(value) {
        return Some(condition(Op::Exact, literal));
    }
    if let Some(literal) = value.strip_suffix("[^;]*").and_then(unescape) {
        return Some(condition(Op::Prefix, literal));
    }
    // A bare expression, as people write it by hand; a `;` or `)` of its own could change its meaning.
    (!value.contains([';', '(', ')', '|'])).then(|| condition(Op::Regex, value.to_owned()))
}

/// The text that a regular expression of literals only stands for.
fn unescape(regex: &str) -> Option<String> {
    let mut out = String::with_capacity(regex.len());
    let mut chars = regex.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().filter(|next| !next.is_ascii_alphanumeric())?),
            c if regex_syntax::is_meta_character(c) && !matches!(c, '-' | '&' | '~' | '#') => return None,
            c => out.push(c),
        }
    }
    Some(out)
}
