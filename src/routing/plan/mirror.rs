//! The mirror of the default route, in the form that the route already uses.

use serde_json::{Map, Value, json};

use crate::domain::command::MirrorWish;
use crate::domain::ids::ObjectRef;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::routing::{Mirror, RouteKind};
use crate::domain::service::Labels;

use super::super::json;
use super::Planner;

/// All fields that make a mirror, old spellings included.
pub const FIELDS: [&str; 5] = ["mirror", "mirrors", "mirrorPercentage", "mirrorPercent", "mirror_percent"];
/// The spellings of the percentage of a single mirror.
const PERCENT: [&str; 3] = ["mirrorPercentage", "mirrorPercent", "mirror_percent"];

impl Planner<'_> {
    /// Sets or clears the mirror of the http route at `index` of an object.
    pub fn set_mirror(
        &mut self,
        object: &ObjectRef,
        index: usize,
        wish: Option<&MirrorWish>,
    ) -> Result<(), Refusal> {
        let now = self.before.routing.mirror.clone();
        let namespace = object.namespace.as_str();
        let Some(wish) = wish else {
            if now.is_some() {
                let route = self.http_route(object, index)?;
                for field in FIELDS {
                    route.remove(field);
                }
            }
            return Ok(());
        };
        let Some(percent) = Mirror::possible(wish.percent) else {
            return Err(Refusal::new(Code::MirrorPercent).field("mirror.percent").arg("n", wish.percent));
        };
        if self.version(&wish.version).is_none() {
            return Err(Refusal::new(Code::UnknownVersion).field("mirror.version").arg("v", &wish.version));
        }
        let same_percent = now.as_ref().is_some_and(|now| same(now.percent, percent));
        if same_percent && now.as_ref().and_then(|now| now.version()) == Some(&wish.version) {
            return Ok(());
        }
        let client = self.before.default.map_or(0, |default| self.before.home(default));
        let scope =
            self.before.default.map_or_else(|| Ok(Labels::new()), |default| self.scope_of(default))?;
        let subset = self.subset_within(&wish.version, &scope, client)?;
        let held = Value::Object(self.http_route(object, index)?.clone());
        let model = self
            .own_entry(json::destinations(&held), namespace)
            .unwrap_or_else(|| json!({ "destination": { "host": self.before.host } }));
        let destination = json::sibling(&model, &subset, 0)["destination"].clone();
        let list = held.get("mirrors").and_then(Value::as_array).filter(|list| !list.is_empty());
        if let Some(list) = list {
            let own = list
                .iter()
                .position(|entry| self.own_entry(std::slice::from_ref(entry), namespace).is_some());
            let mut list = list.clone();
            match own.and_then(|at| list.get_mut(at)) {
                Some(entry) => {
                    json::set_subset(entry, Some(&subset));
                    set_percentage(entry.as_object_mut(), "percentage", percent);
                }
                None => list
                    .push(json!({ "destination": destination, "percentage": { "value": number(percent) } })),
            }
            self.http_route(object, index)?.insert("mirrors".to_owned(), Value::Array(list));
            return Ok(());
        }
        let single = held.get("mirror").filter(|mirror| !mirror.is_null());
        let own =
            single.is_some_and(|to| self.own_entry(&[json!({ "destination": to })], namespace).is_some());
        let route = self.http_route(object, index)?;
        match route.get_mut("mirror").and_then(Value::as_object_mut).filter(|_| own) {
            Some(mirror) => drop(mirror.insert("subset".to_owned(), json!(subset))),
            None => drop(route.insert("mirror".to_owned(), destination)),
        }
        if !same_percent || single.is_none() {
            for field in PERCENT.iter().filter(|field| **field != "mirrorPercentage") {
                route.remove(*field);
            }
            set_percentage(Some(route), "mirrorPercentage", percent);
        }
        Ok(())
    }

    fn http_route(&mut self, object: &ObjectRef, index: usize) -> Result<&mut Map<String, Value>, Refusal> {
        let held = self.drafts.open(self.snapshot, object)?;
        json::routes_mut(held, RouteKind::Http)
            .and_then(|list| list.get_mut(index))
            .and_then(Value::as_object_mut)
            .ok_or_else(|| Refusal::new(Code::NoHttp).field("mirror"))
    }
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

fn set_percentage(into: Option<&mut Map<String, Value>>, field: &str, percent: f64) {
    let Some(into) = into else { return };
    match into.get_mut(field).and_then(Value::as_object_mut) {
        Some(held) => drop(held.insert("value".to_owned(), number(percent))),
        None => drop(into.insert(field.to_owned(), json!({ "value": number(percent) }))),
    }
}

/// Whole percents as whole numbers: the API server would store them so anyway.
fn number(percent: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 100")]
    #[expect(clippy::cast_sign_loss, reason = "between 0 and 100")]
    if percent.fract() == 0.0 { json!(percent as u8) } else { json!(Mirror::written(percent)) }
}
