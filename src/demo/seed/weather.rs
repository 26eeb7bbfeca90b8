//! The weather application: the frontend asks advertisement and forecast; forecast v2 also asks
//! recommendation and shows what to do in such weather.

use serde_json::json;

use super::Seeded;
use super::kit::{destination_rule, gateway, service, version, virtual_service};

pub const NAMESPACE: &str = "weather";
const NS: &str = NAMESPACE;

pub fn objects() -> Vec<Seeded> {
    let mut all = Vec::new();
    for (app, port) in
        [("frontend", 3000), ("advertisement", 3003), ("forecast", 3002), ("recommendation", 3005)]
    {
        all.push(service(NS, app, ("http", port)));
        all.push(version(NS, app, "v1", &format!("istioweather/{app}:v1"), port, 1));
    }
    // Behind a gateway, by a host of its own, in the mesh too.
    all.push(gateway(NS, "weather-gateway", "weather.example.com"));
    all.push(destination_rule(NS, "frontend", "frontend", &["v1"]));
    all.push(virtual_service(
        NS,
        "frontend",
        json!({ "hosts": ["weather.example.com", "frontend"], "gateways": ["weather-gateway", "mesh"],
            "http": [{ "match": [{ "port": 80 }, { "port": 3000 }],
                "route": [{ "destination": { "host": "frontend", "subset": "v1", "port": { "number": 3000 } } }] }] }),
    ));
    // One destination alone, without a weight.
    all.push(destination_rule(NS, "forecast-dest", "forecast", &["v1"]));
    all.push(virtual_service(
        NS,
        "forecast-route",
        json!({ "hosts": ["forecast"], "http": [{
            "route": [{ "destination": { "host": "forecast", "subset": "v1" } }] }] }),
    ));
    all
}

/// The next version of forecast, as a person would deploy it.
pub fn forecast_v2() -> Seeded {
    version(NS, "forecast", "v2", "istioweather/forecast:v2", 3002, 1)
}
