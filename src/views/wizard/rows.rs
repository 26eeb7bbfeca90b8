//! Adding and removing rows of the table of steps.

use super::fields::{Fields, Row};
use crate::domain::release::Strategy;

/// What a press on one of the table's buttons does to the rows.
pub fn press(fields: &mut Fields, button: &str) {
    let (word, at) = button.split_once(':').unwrap_or((button, ""));
    let at = at.parse::<usize>().ok();
    match (word, at) {
        ("remove", Some(at)) if at < fields.rows.len() => drop(fields.rows.remove(at)),
        ("insert", Some(at)) if at < fields.rows.len() => insert(fields, at + 1),
        // The last share is all of it: one more comes before it.
        ("add", _) => {
            let last = fields.rows.last().is_some_and(|row| row.percent == "100" || row.kind == "replicas");
            let at = if last { fields.rows.len().saturating_sub(1) } else { fields.rows.len() };
            insert(fields, at);
        }
        _ => {}
    }
}

fn insert(fields: &mut Fields, at: usize) {
    let of = |row: Option<&Row>, other: u32| row.and_then(|row| row.percent.parse().ok()).unwrap_or(other);
    let (before, after) =
        (of(at.checked_sub(1).and_then(|at| fields.rows.get(at)), 0), of(fields.rows.get(at), 100));
    let kind = if fields.strategy == Strategy::Replicas.as_str() { "replicas" } else { "weight" };
    let row = Row {
        kind: kind.to_owned(),
        percent: if before < after {
            (before + (after - before).div_ceil(2)).to_string()
        } else {
            String::new()
        },
        hold: "10".to_owned(),
        unit: "min".to_owned(),
        ..Row::default()
    };
    fields.rows.insert(at.min(fields.rows.len()), row);
    fields.name_rows();
}
