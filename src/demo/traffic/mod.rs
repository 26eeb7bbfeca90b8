//! The demo's traffic: people who use the sample applications all the time. Every request and every call
//! between services is routed by the objects as they stand, and counted as Istio's proxies count.
//!
//! Started by `Demo`; tests call [`Generator::second`] by hand.

mod behaviour;
pub mod counters;
pub mod mesh;

use std::sync::Arc;

use super::apps::{bookinfo, shop, weather};
use super::random::Random;
use super::world::World;
use counters::Counters;
use mesh::Mesh;

/// Requests a second to the product page.
const BOOKINFO: f64 = 20.0;
/// Requests a second to the weather.
const WEATHER: f64 = 10.0;
/// Requests a second to the shop.
const SHOP: f64 = 8.0;

/// Makes the requests of one second at a time.
pub struct Generator {
    counters: Arc<Counters>,
    random: Random,
}

impl Generator {
    pub fn new(counters: Arc<Counters>, seed: u64) -> Self {
        Self { counters, random: Random::new(seed) }
    }

    /// All requests of second `at_s` (since 1970), routed in `world`.
    pub fn second(&mut self, world: &World, at_s: i64) {
        let mut mesh = Mesh::new(world, &self.counters, &mut self.random, at_s);
        for _ in 0..mesh.about(BOOKINFO) {
            let user = mesh.someone();
            bookinfo::product_page(&mut mesh, user);
        }
        for _ in 0..mesh.about(WEATHER) {
            let user = mesh.someone();
            weather::weather(&mut mesh, user);
        }
        for _ in 0..mesh.about(SHOP) {
            let user = mesh.someone();
            shop::visit(&mut mesh, user);
        }
    }
}
