//! The change of one object as lines of YAML, for people: what goes, what comes, and a little around it.

use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};

use crate::domain::overview::{DiffLine, Sign};
use crate::domain::plan::Edit;

/// Lines of unchanged YAML that are shown around a change.
const AROUND: usize = 3;
/// Objects of which the YAML is larger than this are not compared line by line.
const LARGEST: usize = 2 << 20;

/// The lines of an edit. A creation is all additions, a deletion all removals. `metadata` is shown only by what Sluice sets
/// there (labels and annotations, without its own stamp); `status`, `managedFields` and the server's own fields never.
/// Between two distant changes stands one line `…`.
pub fn yaml(edit: &Edit) -> Vec<DiffLine> {
    let before = edit.before.as_deref().map(text_of).unwrap_or_default();
    let after = edit.after.as_ref().map(text_of).unwrap_or_default();
    lines(&before, &after)
}

/// The lines between two specs, as the history keeps them; `None` = there was (or is) no object.
pub fn specs(before: Option<&Value>, after: Option<&Value>) -> Vec<DiffLine> {
    let text = |spec: Option<&Value>| spec.map(to_yaml).unwrap_or_default();
    lines(&text(before), &text(after))
}

fn lines(before: &str, after: &str) -> Vec<DiffLine> {
    let line = |sign, text: &str| DiffLine { sign, text: text.trim_end_matches('\n').to_owned() };
    if before.len().max(after.len()) > LARGEST {
        return vec![line(Sign::Same, "…")];
    }
    let diff = TextDiff::from_lines(before, after);
    let mut out = Vec::new();
    for (at, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if at > 0 {
            out.push(line(Sign::Same, "…"));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => Sign::Same,
                ChangeTag::Insert => Sign::Add,
                ChangeTag::Delete => Sign::Del,
            };
            out.push(line(sign, change.value()));
        }
    }
    out
}

fn text_of(object: &Value) -> String {
    let mut shown = Map::new();
    let metadata = object.get("metadata");
    let mut meta = Map::new();
    for key in ["name", "namespace", "labels", "annotations"] {
        if let Some(value) = metadata.and_then(|metadata| metadata.get(key)) {
            meta.insert(key.into(), value.clone());
        }
    }
    if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        // Our own stamp on what is written: a preview cannot know its values, and it routes nothing.
        annotations.retain(|key, _| !key.starts_with("sluice.io/"));
        if annotations.is_empty() {
            meta.remove("annotations");
        }
    }
    shown.insert("metadata".into(), meta.into());
    if let Some(spec) = object.get("spec") {
        shown.insert("spec".into(), spec.clone());
    }
    to_yaml(&shown.into())
}

/// A whole object as YAML.
pub fn text(object: &Value) -> String {
    to_yaml(object)
}

fn to_yaml(value: &Value) -> String {
    // Cannot fail for a JSON value; if it did, JSON is YAML too.
    serde_saphyr::to_string(value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_changes_is_marked() {
        let before = json!({"http": [{"route": [
            {"destination": {"host": "reviews", "subset": "v1"}, "weight": 100},
            {"destination": {"host": "reviews", "subset": "v2"}, "weight": 0}]}]});
        let mut after = before.clone();
        after["http"][0]["route"][0]["weight"] = json!(30);
        after["http"][0]["route"][1]["weight"] = json!(70);
        let marked: Vec<String> = specs(Some(&before), Some(&after))
            .into_iter()
            .filter(|line| line.sign != Sign::Same)
            .map(|line| format!("{:?} {}", line.sign, line.text.trim()))
            .collect();
        assert_eq!(marked, ["Del weight: 100", "Add weight: 30", "Del weight: 0", "Add weight: 70"]);
    }

    #[test]
    fn a_creation_is_all_additions() {
        let lines = specs(None, Some(&json!({"host": "reviews"})));
        assert!(lines.iter().all(|line| line.sign == Sign::Add));
        assert_eq!(lines.len(), 1);
    }
}
