//! What an answer of Sluice must hold, and how counts and shares agree.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Send, Shows};

/// How many requests a look takes.
pub const REQUESTS: u32 = 200;

/// What is not as the table says; `None` when all of it is.
pub fn difference(shows: &Shows, seen: &Value) -> Option<String> {
    let mut wrong = Vec::new();
    if let Some(versions) = &shows.versions {
        let now: Map<String, Value> = rows(seen)
            .map(|row| (text(&row["version"]), json!(format!("{}/{}", row["ready"], row["total"]))))
            .collect();
        if now != *versions {
            wrong.push(format!("versions {}", Value::Object(now)));
        }
    }
    if let Some(declared) = &shows.declared
        && seen["declared"] != *declared
    {
        wrong.push(format!("declared {}", seen["declared"]));
    }
    if let Some(state) = &shows.state
        && seen["state"] != json!(state)
    {
        wrong.push(format!("state {}", seen["state"]));
    }
    for (version, image) in &shows.images {
        let row = rows(seen).find(|row| row["version"] == json!(version));
        let now = row.map_or(Value::Null, |row| row["image"].clone());
        if now != *image {
            wrong.push(format!("image of {version} {now}"));
        }
    }
    let codes: Vec<String> =
        seen["findings"].as_array().into_iter().flatten().map(|one| text(&one["code"])).collect();
    let lacks = shows.findings.iter().any(|code| !codes.contains(code));
    if lacks || shows.no_findings.iter().any(|code| codes.contains(code)) {
        wrong.push(format!("findings {codes:?}"));
    }
    wrong.extend(unlike(&shows.at, seen));
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// Places of an answer that do not hold what is wanted there.
pub fn unlike(wanted: &Map<String, Value>, seen: &Value) -> Vec<String> {
    let at = |pointer: &str| seen.pointer(pointer).unwrap_or(&Value::Null);
    let wrong = wanted.iter().filter(|(pointer, value)| !holds(at(pointer), value));
    wrong.map(|(pointer, _)| format!("{pointer} {}", at(pointer))).collect()
}

/// True when a value is what is wanted; of an object, when the wanted fields are.
fn holds(now: &Value, wanted: &Value) -> bool {
    match (now, wanted) {
        (Value::Object(now), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| now.get(key).is_some_and(|now| holds(now, value)))
        }
        (Value::Array(now), Value::Array(wanted)) => {
            now.len() == wanted.len() && now.iter().zip(wanted).all(|(now, wanted)| holds(now, wanted))
        }
        _ => now == wanted,
    }
}

/// Counts that are not the shares that the table says, nor those that Sluice declares.
pub fn miscounted(send: &Send, counts: &BTreeMap<String, u32>, seen: &Value) -> Option<String> {
    for (who, percent) in &send.answers {
        let got = counts.get(who).copied().unwrap_or(0);
        if !is_share(got, percent / 100.0) {
            return Some(format!("{who} got {got} of {REQUESTS}, not {percent} %: {counts:?}"));
        }
    }
    if let Some(other) = counts.keys().find(|who| !send.answers.contains_key(*who)) {
        return Some(format!("{other} answered: {counts:?}"));
    }
    if !send.as_declared {
        return None;
    }
    for (version, percent) in seen["declared"].as_object().into_iter().flatten() {
        // `public v1` is v1.
        let own = |who: &str| who.split(' ').next_back() == Some(version);
        let got: u32 = counts.iter().filter(|(who, _)| own(who)).map(|(_, n)| n).sum();
        let share = percent.as_f64().unwrap_or_default() / 100.0;
        if !is_share(got, share) {
            return Some(format!("Sluice says {percent} % for {version}, Envoy counts {counts:?}"));
        }
    }
    None
}

/// Whether a count lies in the 99.9 % interval of a share.
fn is_share(got: u32, share: f64) -> bool {
    let n = f64::from(REQUESTS);
    (f64::from(got) - n * share).abs() <= 3.29 * (n * share * (1.0 - share)).sqrt() + 1e-9
}

fn rows(seen: &Value) -> impl Iterator<Item = &Value> {
    seen["versions"].as_array().into_iter().flatten()
}

/// A text of JSON; empty for anything else.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
