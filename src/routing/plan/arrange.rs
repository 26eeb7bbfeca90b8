//! Order of an http list: some routes are put into a new order, come or go, while all others stay where
//! they are. Called for rules and for switch back.

use std::collections::HashMap;

use serde_json::Value;

/// A route that takes part in the new order.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its position now; `None` = it is added.
    pub from: Option<usize>,
    pub json: Value,
    /// It belongs behind the barrier, where nothing reaches it.
    pub dead: bool,
}

/// The list with the routes at `movable` replaced by `wanted`, in that order; what is not wanted goes.
///
/// `barrier` is the position of the default route: what is added is put directly before the wanted route
/// that follows it, else directly before the barrier, never behind it.
pub fn arrange(list: Vec<Value>, movable: &[usize], barrier: usize, wanted: Vec<Item>) -> Vec<Value> {
    let behind = |item: &Item| item.from.map_or(item.dead, |from| from > barrier);
    let live = wanted.iter().rposition(|item| !behind(item)).map_or(0, |last| last + 1);
    let mut wanted = wanted;
    let tail = wanted.split_off(live);

    let mut before: HashMap<usize, Vec<Value>> = HashMap::new();
    let mut at: HashMap<usize, Value> = HashMap::new();
    let before_barrier = seat(wanted, |from| from < barrier, &mut before, &mut at);
    let at_end = seat(tail, |from| from > barrier, &mut before, &mut at);

    let length = list.len();
    let mut out = Vec::with_capacity(length + before_barrier.len() + at_end.len());
    let mut before_barrier = Some(before_barrier);
    for (index, route) in list.into_iter().enumerate() {
        if index == barrier {
            out.extend(before_barrier.take().unwrap_or_default());
        }
        out.extend(before.remove(&index).unwrap_or_default());
        match at.remove(&index) {
            Some(route) => out.push(route),
            None if movable.contains(&index) => {}
            None => out.push(route),
        }
    }
    out.extend(before_barrier.unwrap_or_default());
    out.extend(at_end);
    out
}

/// Gives the places that are already taken by `items` to them in their new order, and remembers what is
/// added before each. Returns what nothing follows.
fn seat(
    items: Vec<Item>,
    keeps: impl Fn(usize) -> bool,
    before: &mut HashMap<usize, Vec<Value>>,
    at: &mut HashMap<usize, Value>,
) -> Vec<Value> {
    let mut places: Vec<usize> =
        items.iter().filter_map(|item| item.from).filter(|from| keeps(*from)).collect();
    places.sort_unstable();
    let mut places = places.into_iter();
    let mut waiting = Vec::new();
    for item in items {
        let place = item.from.filter(|from| keeps(*from)).and_then(|_| places.next());
        match place {
            Some(place) => {
                before.entry(place).or_default().append(&mut waiting);
                at.insert(place, item.json);
            }
            None => waiting.push(item.json),
        }
    }
    waiting
}
