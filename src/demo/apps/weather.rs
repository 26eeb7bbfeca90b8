//! The weather: the frontend asks advertisement and forecast; forecast, from v2 on, asks recommendation.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::demo::router::Caller;
use crate::demo::traffic::mesh::{Answer, Call, Hop, Mesh, headers_of};

/// What a visitor gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Weather {
    /// Every call in the order in which it was made, the page's own first.
    pub hops: Vec<Hop>,
    /// `None` = the page itself failed.
    pub body: Option<Body>,
}

/// What stands on the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// Whether `advertisement` answered.
    pub advertisement: bool,
    /// `None` = `forecast` did not answer.
    pub forecast: Option<Forecast>,
}

/// The answer of `forecast`.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    pub version: Arc<str>,
    /// Whether it says what to do in such weather: v1 never does.
    pub recommendation: bool,
}

/// One view of the weather by `user` (empty = a guest).
pub fn weather(mesh: &mut Mesh<'_>, user: &str) -> Weather {
    let headers = headers_of(user);
    let get = |authority, port, path| Call { authority, port, method: "GET", path, headers: &headers };
    let outside = Caller::outside("weather/weather-gateway");
    let mut hops = Vec::new();
    let (hop, body) = mesh.call(&outside, &get("weather.example.com", 80, "/"), |mesh, frontend| {
        let frontend = Caller::pod(frontend);
        let (advertisement, _) =
            mesh.call(&frontend, &get("advertisement:3003", 3003, "/ad"), |_, _| Answer::ok((), 0.0));
        let (forecast, said) = forecast(mesh, &frontend, &headers, &mut hops);
        let waited_ms = advertisement.ms + forecast.ms;
        let body = Body { advertisement: advertisement.is_ok(), forecast: said.filter(|_| forecast.is_ok()) };
        hops.insert(0, forecast);
        hops.insert(0, advertisement);
        Answer::ok(body, waited_ms)
    });
    let body = body.filter(|_| hop.is_ok());
    hops.insert(0, hop);
    Weather { hops, body }
}

fn forecast(
    mesh: &mut Mesh<'_>,
    frontend: &Caller,
    headers: &BTreeMap<String, String>,
    hops: &mut Vec<Hop>,
) -> (Hop, Option<Forecast>) {
    let call = |authority, port, path| Call { authority, port, method: "GET", path, headers };
    mesh.call(frontend, &call("forecast:3002", 3002, "/weather"), |mesh, pod| {
        let version = pod.version.clone();
        if &*version == "v1" {
            return Answer::ok(Forecast { version, recommendation: false }, 0.0);
        }
        let (hop, _) =
            mesh.call(&Caller::pod(pod), &call("recommendation:3005", 3005, "/activity"), |_, _| {
                Answer::ok((), 0.0)
            });
        let (recommendation, waited_ms) = (hop.is_ok(), hop.ms);
        hops.push(hop);
        Answer::ok(Forecast { version, recommendation }, waited_ms)
    })
}
