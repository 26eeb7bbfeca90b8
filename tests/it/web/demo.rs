//! The demo's own pages: what a visitor can do there besides looking.

use std::sync::Arc;

use sluice::config::Web;
use sluice::demo::Demo;
use sluice::views::demo::Next;
use sluice::web::demo_pages::{BookinfoVisit, DemoVisits, Spread, WeatherVisit};
use sluice::web::{App, router};
use tokio_util::sync::CancellationToken;

use crate::support::app::TestApp;

/// Deploys and removes; sees nothing.
struct Deploys(Demo);

impl DemoVisits for Deploys {
    fn bookinfo(&self, _user: &str) -> BookinfoVisit {
        BookinfoVisit { details: false, reviews: None, hops: Vec::new() }
    }

    fn weather(&self, _user: &str) -> WeatherVisit {
        WeatherVisit { advertisement: false, forecast: None, hops: Vec::new() }
    }

    fn bookinfo_tally(&self, _user: &str, _times: u32) -> Spread {
        Spread::default()
    }

    fn weather_tally(&self, _user: &str, _times: u32) -> Spread {
        Spread::default()
    }

    fn next_forecast(&self) -> Next {
        if self.0.has_forecast_v2() { Next::Deployed } else { Next::Absent }
    }

    fn set_next_forecast(&self, next: Next) {
        match next {
            Next::Deployed => self.0.deploy_forecast_v2().unwrap(),
            Next::Absent => self.0.remove_forecast_v2().unwrap(),
        }
    }
}

#[tokio::test]
async fn a_visitor_deploys_the_next_forecast_and_takes_it_away_again() {
    let mut app = TestApp::open().await;
    let visits: Arc<dyn DemoVisits> = Arc::new(Deploys(app.demo.clone()));
    let site = App::new(
        app.services.clone(),
        Web::open(),
        app.clock.clone(),
        Some(visits),
        CancellationToken::new(),
    );
    app.router = router(site);
    let page = app.get("/demo/weather").await;
    let csrf = page.between("<meta name=\"csrf\" content=\"", "\"").to_owned();
    assert!(page.body.contains("value=\"deploy\""), "{}", page.body);

    let forged = app.ask("POST", "/demo/weather").form(&[("next", "deploy")]).send().await;
    assert_eq!(forged.status, 403);
    let odd = app.ask("POST", "/demo/weather").form(&[("csrf", &csrf), ("next", "explode")]).send().await;
    assert_eq!(odd.status, 422);
    assert!(!app.demo.has_forecast_v2());

    for (next, there, offered) in [("deploy", true, "remove"), ("remove", false, "deploy")] {
        let done = app.ask("POST", "/demo/weather").form(&[("csrf", &csrf), ("next", next)]).send().await;
        assert_eq!((done.status, done.header("location")), (303, "/demo/weather"));
        assert_eq!(app.demo.has_forecast_v2(), there);
        assert!(app.get("/demo/weather").await.body.contains(&format!("value=\"{offered}\"")));
    }
}

#[tokio::test]
async fn outside_the_demo_there_is_nothing_to_deploy() {
    let app = TestApp::open().await;
    let page = app.get("/services").await;
    let csrf = page.between("<meta name=\"csrf\" content=\"", "\"").to_owned();
    let answer = app.ask("POST", "/demo/weather").form(&[("csrf", &csrf), ("next", "deploy")]).send().await;
    assert_eq!((answer.status, app.get("/demo/weather").await.status), (404, 404));
    assert!(!app.demo.has_forecast_v2());
}
