//! What the demo's own pages show: each view is a request that was routed for real. `app` turns these into the
//! pages of `views`.

use std::sync::Arc;

use super::api::Failure;
use super::apps::{bookinfo, weather};
use super::traffic::mesh::Mesh;
use super::{Demo, seed};

pub use super::apps::bookinfo::{ProductPage, Reviews, Stars};
pub use super::apps::weather::{Forecast, Weather};
pub use super::traffic::mesh::Hop;

/// The longest user name that is passed on.
const LONGEST_USER: usize = 100;
/// Most views at one time.
const MOST: u32 = 1_000;

/// How several views were spread over the versions of the service that the page is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By version, in the order of their names.
    pub answered: Vec<(Arc<str>, u32)>,
    pub failed: u32,
}

impl Demo {
    /// One view of Bookinfo's product page. `user` is who is signed in; empty = a guest.
    pub fn product_page(&self, user: &str) -> ProductPage {
        self.visit(|mesh| bookinfo::product_page(mesh, usable(user)))
    }

    /// One view of the weather.
    pub fn weather(&self, user: &str) -> Weather {
        self.visit(|mesh| weather::weather(mesh, usable(user)))
    }

    /// Which versions of `reviews` `times` views (at most 1,000) of the product page reach.
    pub fn product_page_tally(&self, user: &str, times: u32) -> Tally {
        tally(times, || {
            let page = self.product_page(user);
            Some(page.body?.reviews?.version)
        })
    }

    /// Which versions of `forecast` `times` views (at most 1,000) of the weather reach.
    pub fn weather_tally(&self, user: &str, times: u32) -> Tally {
        tally(times, || {
            let page = self.weather(user);
            Some(page.body?.forecast?.version)
        })
    }

    /// Whether the next version of `forecast` is deployed.
    pub fn has_forecast_v2(&self) -> bool {
        self.api.get("Deployment", "weather", "forecast-v2").is_some()
    }

    /// Deploys the next version of `forecast`, as with kubectl. No request reaches it until
    /// a route says so.
    pub fn deploy_forecast_v2(&self) -> Result<(), Failure> {
        let seeded = seed::forecast_v2();
        self.api.put_as(seeded.object, seeded.manager).map(drop)
    }

    /// Takes the next version of `forecast` away again, even while it is routed to.
    pub fn remove_forecast_v2(&self) -> Result<(), Failure> {
        self.api.delete("Deployment", "weather", "forecast-v2")
    }

    fn visit<T>(&self, view: impl FnOnce(&mut Mesh<'_>) -> T) -> T {
        let world = self.world();
        let at_s = self.clock.now_ms().div_euclid(1000);
        let mut random = self.random();
        view(&mut Mesh::new(&world, &self.counters, &mut random, at_s))
    }
}

/// A name that may stand in a header; anything else is a guest.
fn usable(user: &str) -> &str {
    let fine = user.len() <= LONGEST_USER && user.bytes().all(|b| b.is_ascii_graphic() && b != b';');
    if fine { user } else { "" }
}

fn tally(times: u32, mut view: impl FnMut() -> Option<Arc<str>>) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..times.min(MOST) {
        let Some(version) = view() else {
            tally.failed += 1;
            continue;
        };
        match tally.answered.iter_mut().find(|(known, _)| *known == version) {
            Some((_, count)) => *count += 1,
            None => tally.answered.push((version, 1)),
        }
    }
    tally.answered.sort();
    tally
}
