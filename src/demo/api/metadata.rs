//! What a server takes for a name, a label, an annotation. Pure.
//!
//! Called by `change` (names, at creation) and `write` (labels and annotations, at every write). The rules and the
//! words are those of `k8s.io/apimachinery/pkg/api/validate/content`.

use serde_json::Value;

use super::failure::{Failure, FieldError};
use super::kinds::{Kind, NameRule};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
    '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const KEY: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
    for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// All annotations of an object together.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Refuses a name that the kind does not take.
pub(super) fn check_name(kind: &Kind, name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        let error = FieldError::required("metadata.name", "name or generateName is required");
        return Err(Failure::invalid(kind, kind.kind, "", &[error]));
    }
    let (fits, words) = match kind.name {
        NameRule::Subdomain => (is_subdomain(name), SUBDOMAIN),
        NameRule::Label => (is_label(name), LABEL),
        NameRule::Label1035 => {
            (is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase()), LABEL_1035)
        }
    };
    if fits {
        return Ok(());
    }
    let error = FieldError::invalid("metadata.name", &format!("{name:?}"), words);
    Err(Failure::invalid(kind, kind.kind, name, &[error]))
}

/// What is wrong with labels and annotations.
pub(super) fn check(value: &Value) -> Vec<FieldError> {
    let meta = &value["metadata"];
    let mut errors = Vec::new();
    for (key, text) in entries(&meta["labels"]) {
        errors.extend(key_errors(key).into_iter().map(|words| told("metadata.labels", key, &words)));
        if text.len() > 63 {
            errors.push(told("metadata.labels", text, "must be no more than 63 bytes"));
        }
        if !text.is_empty() && !is_word(text) {
            errors.push(told("metadata.labels", text, VALUE));
        }
    }
    let mut size = 0;
    for (key, text) in entries(&meta["annotations"]) {
        size += key.len() + text.len();
        let lower = key.to_ascii_lowercase();
        errors.extend(key_errors(&lower).into_iter().map(|words| told("metadata.annotations", key, &words)));
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push(FieldError {
            field: "metadata.annotations".into(),
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"),
        });
    }
    errors
}

/// Refuses labels and annotations that are not texts, as decoding does.
pub(super) fn check_texts(value: &Value) -> Result<(), Failure> {
    for group in ["labels", "annotations"] {
        let field = &value["metadata"][group];
        let texts = field.is_null()
            || field.as_object().is_some_and(|map| map.values().all(|v| v.is_string() || v.is_null()));
        if !texts {
            return Err(Failure::bad_request(format!(
                "unable to decode: metadata.{group} must be a map of texts"
            )));
        }
    }
    Ok(())
}

fn told(field: &str, value: &str, words: &str) -> FieldError {
    FieldError::invalid(field, &format!("{value:?}"), words)
}

fn entries(map: &Value) -> impl Iterator<Item = (&String, &str)> {
    map.as_object().into_iter().flatten().map(|(key, text)| (key, text.as_str().unwrap_or_default()))
}

fn key_errors(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a valid label key {KEY} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else if !is_subdomain(prefix) {
                errors.push(format!("prefix part {SUBDOMAIN}"));
            }
            name
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        errors.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_word(name) {
        errors.push(format!("name part {KEY}"));
    }
    errors
}

fn is_word(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let outer = |c: char| c.is_ascii_alphanumeric();
    text.chars().all(inner) && text.starts_with(outer) && text.ends_with(outer)
}

fn is_label(text: &str) -> bool {
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = |c: char| outer(c) || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && text.starts_with(outer)
        && text.ends_with(outer)
}

fn is_subdomain(text: &str) -> bool {
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| outer(c) || c == '-')
            && part.starts_with(outer)
            && part.ends_with(outer)
    };
    text.len() <= 253 && text.split('.').all(part)
}
