//! What stands in the demo's cluster when it starts: Bookinfo, the weather application and a shop, whose
//! routing objects come in the shapes that real clusters have. Pure: a list of objects; `demo` stores them,
//! the controller then makes the pods. Each shape is described where it is defined.

mod bookinfo;
mod kit;
mod shop;
mod weather;

use serde_json::Value;

pub use shop::{LONGEST_NAME, RELEASED, being_released};
pub use weather::forecast_v2;

/// An object and its recorded field manager.
#[derive(Clone, Debug)]
pub struct Seeded {
    pub manager: &'static str,
    pub object: Value,
}

/// Everything, namespaces first.
pub fn objects() -> Vec<Seeded> {
    let mut all = Vec::new();
    for (name, mesh) in [(bookinfo::NAMESPACE, true), (weather::NAMESPACE, true), (shop::NAMESPACE, true)] {
        all.push(kit::namespace(name, mesh));
    }
    all.extend(bookinfo::objects());
    all.extend(weather::objects());
    all.extend(shop::objects());
    all
}
