//! What istiod takes for a host, a label, a tag, a pattern. Pure.

use serde_json::Value;

/// RFC 1123 label, in either case as Istio takes it.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let outer = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && text.starts_with(outer)
        && text.ends_with(outer)
}

/// What is wrong with a host whose first label may be or begin with a `*`.
pub(super) fn domain_error(host: &str) -> Option<String> {
    if host.is_empty() {
        return Some("empty domain name not allowed".to_owned());
    }
    if host.len() > 255 {
        return Some(format!("domain name {host:?} too long (max 255)"));
    }
    let (first, rest) = host.split_once('.').map_or((host, None), |(first, rest)| (first, Some(rest)));
    let starred = first.strip_prefix('*').map(|rest| rest.trim_start_matches('-'));
    if !(is_label(first) || starred.is_some_and(|rest| rest.is_empty() || is_label(rest))) {
        return Some(format!("domain name {host:?} invalid (label {first:?} invalid)"));
    }
    // The words name what follows the first label only.
    let rest = rest?;
    let bad = rest.trim_end_matches('.').split('.').find(|label| !is_label(label));
    bad.map(|label| format!("domain name {rest:?} invalid (label {label:?} invalid)"))
}

/// Whether a host of one of the two is a host of the other too.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    match (one.strip_prefix('*'), other.strip_prefix('*')) {
        (None, None) => one == other,
        (Some(end), None) => other.ends_with(end),
        (None, Some(end)) => one.ends_with(end),
        (Some(one), Some(other)) => one.ends_with(other) || other.ends_with(one),
    }
}

/// What is wrong with a map of labels.
pub(super) fn tag_errors(labels: &Value) -> Vec<String> {
    let word = |text: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let outer = |c: char| c.is_ascii_alphanumeric();
        text.len() <= 63 && text.chars().all(inner) && text.starts_with(outer) && text.ends_with(outer)
    };
    let mut errors = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        let name = key.rsplit_once('/').map_or(key.as_str(), |(_, name)| name);
        if !word(name) {
            errors.push(format!("invalid tag key: {key:?}"));
        }
        let value = value.as_str().unwrap_or_default();
        if !value.is_empty() && !word(value) {
            errors.push(format!("invalid tag value: {value:?}"));
        }
    }
    errors
}

/// What is wrong with a pattern. RE2 and our engine agree on what they take, but for counts above 1000;
/// the words in the middle are ours.
pub(super) fn regex_error(pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return Some("regex string match should not be empty".to_owned());
    }
    if pattern.len() > 1024 {
        return Some("regex is too large, max length allowed is 1024".to_owned());
    }
    let reason = if let Some(count) = large_count(pattern) {
        format!("invalid repeat count: `{count}`")
    } else {
        let error = regex::Regex::new(pattern).err()?.to_string();
        error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    };
    Some(format!(
        "error parsing regexp: {reason}; Istio uses RE2 style regex-based match \
         (https://github.com/google/re2/wiki/Syntax)"
    ))
}

fn large_count(pattern: &str) -> Option<&str> {
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let close = open + rest[open..].find('}')?;
        let large = |n: &str| n.parse::<u32>().is_ok_and(|n| n > 1000);
        if rest[open + 1..close].split(',').any(large) {
            return Some(&rest[open..=close]);
        }
        rest = &rest[close + 1..];
    }
    None
}
