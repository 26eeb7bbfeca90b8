//! Connects the demo with the modules that do not know it: its counters are a source of figures like
//! Prometheus, its applications can be visited by a browser.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::demo::pages::{Hop as DemoHop, Stars as DemoStars, Tally};
use crate::demo::seed::RELEASED;
use crate::demo::{Demo, pages};
use crate::domain::actor::{Actor, Channel, Identity};
use crate::domain::ids::{Namespace, ServiceRef, VersionName};
use crate::domain::observed::{RouteHits, Sample};
use crate::domain::release::{Analysis, Candidate, OnFailure, Spec, Step, Strategy, Template};
use crate::metrics::{Latency, MetricsError, Source};
use crate::services::Services;
use crate::services::releases::ReleaseAsk;
use crate::views::demo::{Forecast, Hop, Next, Reviews, Stars};
use crate::web::demo_pages::{BookinfoVisit, DemoVisits, Spread, WeatherVisit};

/// The demo's mesh as a source of figures.
pub(super) struct Figures(pub Demo);

impl Source for Figures {
    fn namespace<'a>(
        &'a self,
        namespace: &'a Namespace,
        window_s: u32,
    ) -> BoxFuture<'a, Result<Vec<Sample>, MetricsError>> {
        Box::pin(async move { Ok(self.0.counters.window(namespace, window_s)) })
    }

    fn latency<'a>(&'a self, asked: &'a Latency) -> BoxFuture<'a, Result<Option<f64>, MetricsError>> {
        let Latency { service, siblings, workloads, quantile, window_s } = asked;
        let quantile = f64::from(*quantile) / 100.0;
        let services = [std::slice::from_ref(&service.name), siblings].concat();
        let namespace = &service.namespace;
        Box::pin(async move {
            Ok(self.0.counters.latency((namespace, &services), workloads, quantile, *window_s))
        })
    }

    fn hits(&self, namespace: &Namespace, window_s: u32) -> Vec<RouteHits> {
        self.0.counters.hits(namespace, window_s)
    }
}

/// The demo's applications, as the pages show them.
pub(super) struct Visits(pub Demo);

impl DemoVisits for Visits {
    fn bookinfo(&self, user: &str) -> BookinfoVisit {
        let page = self.0.product_page(user);
        let body = page.body;
        BookinfoVisit {
            details: body.as_ref().is_some_and(|body| body.details),
            reviews: body
                .and_then(|body| body.reviews)
                .map(|reviews| Reviews { version: reviews.version.to_string(), stars: stars(reviews.stars) }),
            hops: page.hops.iter().map(hop).collect(),
        }
    }

    fn weather(&self, user: &str) -> WeatherVisit {
        let page = self.0.weather(user);
        let body = page.body;
        WeatherVisit {
            advertisement: body.as_ref().is_some_and(|body| body.advertisement),
            forecast: body.and_then(|body| body.forecast).map(|forecast: pages::Forecast| Forecast {
                version: forecast.version.to_string(),
                recommendation: forecast.recommendation,
            }),
            hops: page.hops.iter().map(hop).collect(),
        }
    }

    fn bookinfo_tally(&self, user: &str, times: u32) -> Spread {
        spread(self.0.product_page_tally(user, times))
    }

    fn weather_tally(&self, user: &str, times: u32) -> Spread {
        spread(self.0.weather_tally(user, times))
    }

    fn next_forecast(&self) -> Next {
        if self.0.has_forecast_v2() { Next::Deployed } else { Next::Absent }
    }

    fn set_next_forecast(&self, next: Next) {
        let done = match (next, self.next_forecast()) {
            (Next::Deployed, Next::Absent) => self.0.deploy_forecast_v2(),
            (Next::Absent, Next::Deployed) => self.0.remove_forecast_v2(),
            _ => Ok(()),
        };
        if let Err(failure) = done {
            tracing::warn!(?failure, "the demo's forecast v2 stays as it is");
        }
    }
}

fn stars(stars: DemoStars) -> Stars {
    match stars {
        DemoStars::None => Stars::None,
        DemoStars::Black => Stars::Black,
        DemoStars::Red => Stars::Red,
        DemoStars::Missing => Stars::Missing,
    }
}

/// The colour slot of a version is the number in its name: pages of the demo know no other order.
fn hop(hop: &DemoHop) -> Hop {
    let version = hop.version().map(str::to_owned);
    let number = version.as_deref().and_then(|name| name.trim_start_matches('v').parse::<u8>().ok());
    Hop {
        namespace: hop.namespace.to_string(),
        service: hop.service.to_string(),
        version,
        slot: number.filter(|slot| (1..=4).contains(slot)).unwrap_or(0),
    }
}

fn spread(tally: Tally) -> Spread {
    let answered = tally.answered.into_iter().map(|(version, n)| (VersionName::trusted(version), n));
    Spread { answered: answered.collect(), failed: tally.failed }
}

/// Begins two releases: one to a version that works, and one that will pause itself because its version answers
/// errors. A history that knows releases already is left as it is.
pub(super) async fn begin_releases(services: Services) {
    let who =
        Actor { identity: Arc::new(Identity::local("demo")), channel: Channel::Automatic, address: None };
    while services.ready().is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let known = services.releases(&who, &ReleaseAsk::default()).await;
    if !known.is_ok_and(|page| page.items.is_empty()) {
        return;
    }
    for spec in releases() {
        let at = spec.service.clone();
        // Its pods need a moment before the first look finds them.
        for _ in 0..50 {
            match services.start_release(&who, spec.clone(), "Shown in the demo", "demo").await {
                Ok(_) => break,
                Err(refusals) => tracing::debug!(service = %at, ?refusals, "the demo's release waits"),
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

/// One to a version that works, and one to a version that answers errors. Each step can be judged in its time on the
/// demo's own traffic, so that a visitor sees the first one reach its approval after two minutes.
pub(super) fn releases() -> [Spec; 2] {
    [good(), bad()]
}

fn good() -> Spec {
    let step = |percent, seconds| [Step::Weight { percent }, Step::Hold { seconds }];
    let mut steps: Vec<Step> = [step(10, 60), step(25, 30), step(50, 30)].into_iter().flatten().collect();
    steps.push(Step::Approval);
    steps.push(Step::Weight { percent: 100 });
    release_of(RELEASED[0], steps)
}

fn bad() -> Spec {
    let steps =
        vec![Step::Weight { percent: 20 }, Step::Hold { seconds: 600 }, Step::Weight { percent: 100 }];
    let mut spec = release_of(RELEASED[1], steps);
    spec.policies.on_failure = OnFailure::Pause;
    spec
}

fn release_of(name: &str, steps: Vec<Step>) -> Spec {
    Spec {
        service: ServiceRef::new("shop", name),
        strategy: Strategy::Canary,
        stable: "v1".into(),
        candidate: Candidate::Image {
            version: "v2".into(),
            image: format!("shop/{name}:v2"),
            replicas: None,
            in_place: false,
        },
        steps,
        analysis: Some(Analysis { interval_s: 10, min_requests: 25, ..Template::Quick.analysis() }),
        policies: Template::Quick.policies(),
        name: String::new(),
    }
}
