//! The fields that custom resources have: what a CRD's structural schema says, in a notation of our own.
//!
//! Pure. `fields` asks it to drop what is unknown and to name what is of a wrong type. The notation is explained at
//! the top of `istio.shapes`.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::failure::FieldError;

static ISTIO: LazyLock<Shapes> = LazyLock::new(|| Shapes::parse(include_str!("istio.shapes")));

/// The shape of a kind's `spec`; `None` when the kind is not described.
pub(super) fn of_spec(kind: &str) -> Option<&'static Type> {
    ISTIO.types.get(kind)
}

/// What a value may be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    Text,
    Flag,
    Number,
    Whole {
        least: i64,
        most: i64,
    },
    Duration,
    Word(Vec<String>),
    List(Box<Type>),
    Map(Box<Type>),
    Object(Vec<Field>, Vec<Vec<String>>),
    /// A block by its name.
    Named(String),
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    name: String,
    required: bool,
    kind: Type,
}

#[derive(Default)]
struct Shapes {
    types: HashMap<String, Type>,
}

impl Shapes {
    fn parse(text: &str) -> Self {
        let mut types: HashMap<String, Type> = HashMap::new();
        let mut block = String::new();
        for line in text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()) {
            let Some(inner) = line.strip_prefix("  ") else {
                line.trim().clone_into(&mut block);
                types.insert(block.clone(), Type::Object(Vec::new(), Vec::new()));
                continue;
            };
            let Some(Type::Object(fields, groups)) = types.get_mut(&block) else { continue };
            if let Some(group) = inner.strip_prefix("one of ") {
                groups.push(group.split_whitespace().map(str::to_owned).collect());
            } else if let Some((name, kind)) = inner.split_once(' ') {
                fields.push(Field {
                    name: name.trim_end_matches('!').to_owned(),
                    required: name.ends_with('!'),
                    kind: Type::parse(kind.trim()),
                });
            }
        }
        Self { types }
    }
}

impl Type {
    fn parse(text: &str) -> Self {
        let inside = |open: char, close: char| text.strip_prefix(open).and_then(|t| t.strip_suffix(close));
        if let Some(inner) = inside('[', ']') {
            return Self::List(Box::new(Self::parse(inner)));
        }
        if let Some(inner) = inside('{', '}') {
            return Self::Map(Box::new(Self::parse(inner)));
        }
        if let Some(inner) = inside('(', ')') {
            return Self::Word(inner.split('|').map(str::to_owned).collect());
        }
        match text {
            "text" => Self::Text,
            "flag" => Self::Flag,
            "number" => Self::Number,
            "duration" => Self::Duration,
            "whole" => Self::Whole { least: i64::from(i32::MIN), most: i64::from(i32::MAX) },
            "count" => Self::Whole { least: 0, most: 4_294_967_295 },
            "count64" => Self::Whole { least: 0, most: i64::MAX },
            named => match named.strip_prefix("whole").and_then(|range| range.split_once("..")) {
                Some((least, most)) => Self::Whole {
                    least: least.parse().unwrap_or(i64::MIN),
                    most: most.parse().unwrap_or(i64::MAX),
                },
                None => Self::Named(named.to_owned()),
            },
        }
    }

    fn resolved(&self) -> Option<&Self> {
        match self {
            Self::Named(name) => ISTIO.types.get(name),
            other => Some(other),
        }
    }

    /// The word that JSON schema has for it.
    fn word(&self) -> &'static str {
        match self {
            Self::Text | Self::Duration | Self::Word(_) => "string",
            Self::Flag => "boolean",
            Self::Number => "number",
            Self::Whole { .. } => "integer",
            Self::List(_) => "array",
            Self::Map(_) | Self::Object(..) | Self::Named(_) => "object",
        }
    }

    /// Takes out unknown fields, listed in `unknown`, and nulls.
    pub fn prune(&self, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
        match (self.resolved(), value) {
            (Some(Self::Object(fields, _)), Value::Object(map)) => {
                map.retain(|key, inner| {
                    let Some(field) = fields.iter().find(|f| f.name == *key) else {
                        unknown.push(format!("{path}.{key}"));
                        return false;
                    };
                    field.kind.prune(inner, &format!("{path}.{key}"), unknown);
                    !inner.is_null()
                });
            }
            (Some(Self::Map(kind)), Value::Object(map)) => {
                map.retain(|key, inner| {
                    kind.prune(inner, &format!("{path}.{key}"), unknown);
                    !inner.is_null()
                });
            }
            (Some(Self::List(kind)), Value::Array(list)) => {
                for (at, inner) in list.iter_mut().enumerate() {
                    kind.prune(inner, &format!("{path}[{at}]"), unknown);
                }
            }
            _ => {}
        }
    }

    /// Names the texts that are no duration: rules that a server looks at only when [`Self::check`] is content.
    pub fn check_rules(&self, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        match (self.resolved(), value) {
            (Some(Self::Object(fields, _)), Value::Object(map)) => {
                for field in fields {
                    if let Some(inner) = map.get(&field.name) {
                        field.kind.check_rules(inner, &format!("{path}.{}", field.name), errors);
                    }
                }
            }
            (Some(Self::Map(kind)), Value::Object(map)) => {
                for (key, inner) in map {
                    kind.check_rules(inner, &format!("{path}.{key}"), errors);
                }
            }
            (Some(Self::List(kind)), Value::Array(list)) => {
                for (at, inner) in list.iter().enumerate() {
                    kind.check_rules(inner, &format!("{path}[{at}]"), errors);
                }
            }
            (Some(Self::Duration), Value::String(text)) => {
                let rule = "must be a valid duration greater than 1ms";
                match milliseconds(text) {
                    Some(1.0..) => {}
                    Some(_) => errors.push(FieldError::invalid(path, &format!("{text:?}"), rule)),
                    None => {
                        let words = format!(
                            "type conversion error from 'string' to 'google.protobuf.Duration' evaluating rule: {rule}"
                        );
                        errors.push(FieldError::invalid(path, "\"string\"", &words));
                    }
                }
            }
            _ => {}
        }
    }

    /// Names what is of a wrong type, missing, or out of range.
    pub fn check(&self, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        let Some(kind) = self.resolved() else { return };
        match (kind, value) {
            (Self::Object(fields, groups), Value::Object(map)) => {
                for field in fields {
                    let at = format!("{path}.{}", field.name);
                    match map.get(&field.name) {
                        Some(inner) => field.kind.check(inner, &at, errors),
                        None if field.required => errors.push(FieldError::required(at, "")),
                        None => {}
                    }
                }
                for group in groups {
                    let set = group.iter().filter(|name| map.contains_key(*name)).count();
                    if set > 1 {
                        let text = format!(
                            "\"{path}\" must validate one and only one schema (oneOf). Found {set} valid alternatives"
                        );
                        errors.push(FieldError::invalid("<nil>", "\"\"", &text));
                    }
                }
            }
            (Self::Map(kind), Value::Object(map)) => {
                for (key, inner) in map {
                    kind.check(inner, &format!("{path}.{key}"), errors);
                }
            }
            (Self::List(kind), Value::Array(list)) => {
                for (at, inner) in list.iter().enumerate() {
                    kind.check(inner, &format!("{path}[{at}]"), errors);
                }
            }
            // Null: a field left out, or pruned; whether it may be is decided by its holder.
            (_, Value::Null)
            | (Self::Text | Self::Duration, Value::String(_))
            | (Self::Flag, Value::Bool(_))
            | (Self::Number, Value::Number(_)) => {}
            (Self::Whole { least, most }, Value::Number(number)) if whole(number).is_some() => {
                let n = whole(number).unwrap_or_default();
                if *least == i64::from(i32::MIN) && i32::try_from(n).is_err() {
                    let text = format!("Checked value must be of type integer with format int32 in {path}");
                    errors.push(FieldError::invalid("<nil>", "\"\"", &text));
                    return;
                }
                let bound = if n < *least {
                    format!("greater than or equal to {least}")
                } else if n > *most {
                    format!("less than or equal to {most}")
                } else {
                    return;
                };
                let text = format!("{path} in body should be {bound}");
                errors.push(FieldError::invalid(path, &number.to_string(), &text));
            }
            (Self::Word(words), Value::String(word)) => {
                if !words.contains(word) {
                    let known: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
                    errors.push(FieldError {
                        field: path.to_owned(),
                        reason: "FieldValueNotSupported",
                        message: format!(
                            "Unsupported value: {word:?}: supported values: {}",
                            known.join(", ")
                        ),
                    });
                }
            }
            (kind, other) => {
                let (wanted, found) = (kind.word(), type_word(other));
                let text = format!("{path} in body must be of type {wanted}: \"{found}\"");
                let mut error = FieldError::invalid(path, &format!("\"{found}\""), &text);
                error.reason = "FieldValueTypeInvalid";
                errors.push(error);
            }
        }
    }
}

/// A number without fraction; JSON schema takes `3.0` for an integer.
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        #[expect(clippy::cast_possible_truncation, reason = "compared with the float right after")]
        let cut = float as i64;
        #[expect(clippy::cast_precision_loss, reason = "a lossy pair is not equal and then not whole")]
        let same = (cut as f64).to_bits() == float.to_bits();
        same.then_some(cut)
    })
}

fn type_word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if whole(n).is_some() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Go's duration grammar: `1h30m`, `1.5s`, `100ms`; `None` when the text is none.
fn milliseconds(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |n| digits + n);
        total += number
            * match &rest[digits..unit_end] {
                "h" => 3_600_000.0,
                "m" => 60_000.0,
                "s" => 1000.0,
                "ms" => 1.0,
                "us" | "µs" => 0.001,
                "ns" => 0.000_001,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kind: &Type, found: &mut Vec<String>) {
        match kind {
            Type::Named(name) => found.push(name.clone()),
            Type::List(inner) | Type::Map(inner) => named(inner, found),
            Type::Object(fields, _) => fields.iter().for_each(|f| named(&f.kind, found)),
            _ => {}
        }
    }

    #[test]
    fn every_block_that_a_field_names_exists() {
        let mut found = Vec::new();
        ISTIO.types.values().for_each(|t| named(t, &mut found));
        assert!(found.len() > 50);
        for name in found {
            assert!(ISTIO.types.contains_key(&name), "{name} is not described");
        }
    }

    #[test]
    fn a_one_of_names_fields_that_exist() {
        for kind in ISTIO.types.values() {
            let Type::Object(fields, groups) = kind else { continue };
            for name in groups.iter().flatten() {
                assert!(fields.iter().any(|f| f.name == *name), "{name}");
            }
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, wanted) in
            [("1s", 1000.0), ("1.5s", 1500.0), ("1h30m", 5_400_000.0), ("0s", 0.0), ("1us", 0.001)]
        {
            let found = milliseconds(text).unwrap();
            assert!((found - wanted).abs() < 1e-9, "{text}: {found}");
        }
        for bad in ["", "s", "1", "1 s", "-1s", "soon", "1.2.3s"] {
            assert_eq!(milliseconds(bad), None, "{bad}");
        }
    }
}
