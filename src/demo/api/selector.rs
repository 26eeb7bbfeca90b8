//! Label and field selectors, as lists and watches take them.
//!
//! Pure. The grammar of label selectors is that of `k8s.io/apimachinery/pkg/labels`: equality, sets, existence.

use serde_json::Value;

use super::failure::Failure;
use super::kinds::Kind;
use super::object::Object;

/// What a list or a watch lets through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    labels: Vec<Requirement>,
    fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    path: String,
    equal: bool,
    value: String,
}

impl Filter {
    /// Reads the two parameters.
    pub fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Failure> {
        Ok(Self { labels: parse_labels(labels)?, fields: parse_fields(kind, fields)? })
    }

    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether `object` passes.
    pub fn lets(&self, object: &Object) -> bool {
        self.labels.iter().all(|r| r.holds(object)) && self.fields.iter().all(|f| f.holds(object))
    }
}

impl Requirement {
    fn holds(&self, object: &Object) -> bool {
        match self {
            Self::In(key, values) => object.label(key).is_some_and(|v| values.iter().any(|w| w == v)),
            // An object without the label passes: it is not in the set.
            Self::NotIn(key, values) => object.label(key).is_none_or(|v| values.iter().all(|w| w != v)),
            Self::Exists(key) => object.label(key).is_some(),
            Self::Absent(key) => object.label(key).is_none(),
        }
    }
}

impl Field {
    fn holds(&self, object: &Object) -> bool {
        let equal = match self.path.as_str() {
            "metadata.name" => *object.name == *self.value,
            "metadata.namespace" => *object.namespace == *self.value,
            path => {
                let value = object.value();
                let pointer = format!("/{}", path.replace('.', "/"));
                value.pointer(&pointer).and_then(Value::as_str).unwrap_or_default() == self.value
            }
        };
        equal == self.equal
    }
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, Failure> {
    let mut requirements = Vec::new();
    for part in split_outside_parentheses(text) {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        requirements.push(parse_requirement(part).ok_or_else(|| {
            Failure::bad_request(format!(
                "unable to parse requirement: found '{part}', expected: a label selector"
            ))
        })?);
    }
    Ok(requirements)
}

fn parse_requirement(part: &str) -> Option<Requirement> {
    if let Some(key) = part.strip_prefix('!') {
        return label_key(key).map(Requirement::Absent);
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Requirement::NotIn(label_key(key)?, vec![label_value(value)?]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Requirement::In(label_key(key)?, vec![label_value(value)?]));
    }
    if let Some((head, set)) = part.split_once('(') {
        let values: Option<Vec<String>> = set.strip_suffix(')')?.split(',').map(label_value).collect();
        let values = values?;
        let (key, word) = head.trim().rsplit_once(char::is_whitespace)?;
        let key = label_key(key)?;
        return match word {
            "in" => Some(Requirement::In(key, values)),
            "notin" => Some(Requirement::NotIn(key, values)),
            _ => None,
        };
    }
    label_key(part).map(Requirement::Exists)
}

fn label_key(text: &str) -> Option<String> {
    let key = text.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    (!key.is_empty() && key.chars().all(fits)).then(|| key.to_owned())
}

fn label_value(text: &str) -> Option<String> {
    let value = text.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (value.len() <= 63 && value.chars().all(fits)).then(|| value.to_owned())
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_fields(kind: &Kind, text: &str) -> Result<Vec<Field>, Failure> {
    let mut fields = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (path, equal, value) = if let Some((path, value)) = part.split_once("!=") {
            (path, false, value)
        } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (path, true, value)
        } else {
            return Err(Failure::bad_request(format!(
                "invalid selector: '{text}'; can't understand '{part}'"
            )));
        };
        if !supported_fields(kind).contains(&path) {
            let words = if kind.custom || kind.group.is_empty() {
                format!("field label not supported: {path}")
            } else {
                format!(
                    "\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                )
            };
            return Err(Failure::bad_request(words));
        }
        fields.push(Field { path: path.to_owned(), equal, value: value.to_owned() });
    }
    Ok(fields)
}

fn supported_fields(kind: &Kind) -> &'static [&'static str] {
    match kind.kind {
        "Pod" => &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ],
        "Service" => &["metadata.name", "metadata.namespace", "spec.clusterIP", "spec.type"],
        "Namespace" => &["metadata.name", "status.phase"],
        "Event" => &["metadata.name", "metadata.namespace", "reason", "type"],
        _ => &["metadata.name", "metadata.namespace"],
    }
}
