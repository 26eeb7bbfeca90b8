//! One call from a pod (or from outside) to a service: routed, answered, counted. The sample applications are
//! written against this.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::behaviour;
use super::counters::{Counted, Counters, Who};
use crate::demo::random::Random;
use crate::demo::router::{self, Caller, End, Proxy, Request, Routed};
use crate::demo::world::{Endpoint, World};
use crate::domain::ids::ServiceRef;

/// Everything that a request needs on its way.
pub struct Mesh<'a> {
    world: &'a World,
    counters: &'a Counters,
    random: &'a mut Random,
    at_s: i64,
}

/// What a caller asks.
pub struct Call<'a> {
    /// As in the URL: `reviews:9080`.
    pub authority: &'a str,
    pub port: u16,
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a BTreeMap<String, String>,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    pub namespace: Arc<str>,
    pub service: Arc<str>,
    /// The pod that answered; `None` = a proxy did.
    pub by: Option<Arc<Endpoint>>,
    pub status: u16,
    /// Envoy's response flag, `-` when a pod answered.
    pub flag: &'static str,
    /// The name of the route that was taken, when it has one.
    pub route: Option<Box<str>>,
    pub ms: f64,
    /// Who got a copy.
    pub copies: Vec<Arc<Endpoint>>,
}

impl Hop {
    /// True when a pod answered and did not fail.
    pub fn is_ok(&self) -> bool {
        self.by.is_some() && self.status < 500
    }

    /// The version that answered.
    pub fn version(&self) -> Option<&str> {
        self.by.as_ref().map(|endpoint| &*endpoint.version)
    }
}

/// What an application says after its own calls: the status, and how long it waited for others.
pub struct Answer<T> {
    pub status: u16,
    pub waited_ms: f64,
    pub body: T,
}

impl<T> Answer<T> {
    pub fn ok(body: T, waited_ms: f64) -> Self {
        Self { status: 200, waited_ms, body }
    }
}

const PEOPLE: [&str; 5] =
    ["amy@gmail.com", "li.wei@gmail.com", "jason", "noor@example.org", "kim@example.com"];

impl<'a> Mesh<'a> {
    pub fn new(world: &'a World, counters: &'a Counters, random: &'a mut Random, at_s: i64) -> Self {
        Self { world, counters, random, at_s }
    }

    /// Calls a service; `app` is what the pod that gets it does.
    pub fn call<T>(
        &mut self,
        from: &Caller,
        call: &Call<'_>,
        app: impl FnOnce(&mut Self, &Arc<Endpoint>) -> Answer<T>,
    ) -> (Hop, Option<T>) {
        let request = Request {
            authority: call.authority,
            port: call.port,
            method: call.method,
            path: call.path,
            query: &[],
            headers: call.headers,
        };
        let routed = router::route(self.world, from, &request, self.random);
        self.finish(from, routed, app)
    }

    /// Opens a connection, for services that do not speak HTTP.
    pub fn connect(&mut self, from: &Caller, authority: &str, port: u16) -> Hop {
        let routed = router::connect(self.world, from, authority, port, self.random);
        self.finish(from, routed, |_, _| Answer::ok((), 0.0)).0
    }

    fn finish<T>(
        &mut self,
        from: &Caller,
        routed: Routed,
        app: impl FnOnce(&mut Self, &Arc<Endpoint>) -> Answer<T>,
    ) -> (Hop, Option<T>) {
        let name = |name: &Option<Arc<str>>| name.clone().unwrap_or_else(|| "unknown".into());
        let mut hop = Hop {
            namespace: name(&routed.namespace),
            service: name(&routed.service),
            by: None,
            status: 0,
            flag: "-",
            route: routed.by.as_ref().and_then(|taken| taken.name.clone()),
            ms: 0.5 * self.random.around_one(0.4),
            copies: routed.mirrors,
        };
        let mut body = None;
        match routed.end {
            End::Proxy { status, flag } => (hop.status, hop.flag) = (status, flag),
            End::Pod(endpoint) => {
                let behaviour = behaviour::of(&hop.service, &endpoint.version);
                let own_ms = behaviour.median_ms * self.random.around_one(behaviour.spread);
                if self.random.percent(behaviour.errors_percent) {
                    hop.status = 500;
                    hop.ms += own_ms;
                } else {
                    let answer = app(self, &endpoint);
                    hop.status = answer.status;
                    hop.ms += own_ms + answer.waited_ms;
                    body = Some(answer.body);
                }
                hop.by = Some(endpoint);
            }
        }
        // A caller without a proxy is not counted.
        if from.proxy != Proxy::Absent {
            self.count(&hop);
            if let Some(taken) = &routed.by {
                self.counters.hit(self.at_s, taken);
            }
        }
        (hop, body)
    }

    fn count(&self, hop: &Hop) {
        let unknown = || Arc::<str>::from("unknown");
        let who = Who {
            namespace: hop.namespace.clone(),
            service: hop.service.clone(),
            workload: hop.by.as_ref().map_or_else(unknown, |endpoint| endpoint.workload.clone()),
            version: hop.by.as_ref().map_or_else(unknown, |endpoint| endpoint.version.clone()),
        };
        self.counters.record(self.at_s, who, Counted { failed: hop.status >= 500, ms: hop.ms });
    }

    /// A number of requests around `rate`.
    pub fn about(&mut self, rate: f64) -> u32 {
        let wanted = rate * (0.85 + 0.3 * self.random.part());
        let extra = u32::from(self.random.part() < wanted.fract());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
        let whole = wanted.trunc() as u32;
        whole + extra
    }

    /// True when there is such a service.
    pub fn knows(&self, namespace: &str, name: &str) -> bool {
        self.world.services.contains_key(&ServiceRef::new(namespace, name))
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: f64) -> bool {
        self.random.percent(percent)
    }

    /// Who makes the next request; most people are guests.
    pub fn someone(&mut self) -> &'static str {
        if self.random.percent(70.0) { "" } else { self.random.choose(&PEOPLE).copied().unwrap_or_default() }
    }
}

/// The headers of a request by a person; empty = a guest. The applications pass them on.
pub fn headers_of(user: &str) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::from([("user-agent".to_owned(), "Mozilla/5.0 (demo)".to_owned())]);
    if !user.is_empty() {
        headers.insert("end-user".to_owned(), user.to_owned());
        headers.insert("cookie".to_owned(), format!("user={user}"));
    }
    headers
}
