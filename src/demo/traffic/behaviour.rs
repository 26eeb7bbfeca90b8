//! How fast and how well each version of the sample applications works. Data only.

/// What a version does with a request, apart from what it waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behaviour {
    /// Half of the requests take less, milliseconds.
    pub median_ms: f64,
    /// How far durations spread, see [`super::super::random::Random::around_one`].
    pub spread: f64,
    /// Of 100 requests, how many it answers with 500.
    pub errors_percent: f64,
}

const USUAL: Behaviour = Behaviour { median_ms: 7.0, spread: 0.45, errors_percent: 0.02 };

/// The behaviour of a version of a service.
pub fn of(service: &str, version: &str) -> Behaviour {
    let slow = |median_ms| Behaviour { median_ms, ..USUAL };
    match (service, version) {
        ("productpage", _) => slow(14.0),
        ("reviews", "v1") => slow(9.0),
        ("reviews", _) => slow(11.0),
        ("ratings", "v2") => Behaviour { median_ms: 26.0, spread: 0.6, errors_percent: 0.1 },
        ("ratings", _) => slow(4.0),
        ("mongodb" | "sessions", _) => slow(1.5),
        ("forecast", "v2") => slow(15.0),
        ("forecast", _) => slow(10.0),
        ("frontend" | "storefront", _) => slow(12.0),
        ("advertisement", _) => slow(3.0),
        ("checkout", "v2") => Behaviour { median_ms: 31.0, spread: 0.5, errors_percent: 4.0 },
        ("checkout", _) => slow(24.0),
        ("search", _) => slow(35.0),
        // The bad version of the demo's releases.
        ("newsletter", "v2") => Behaviour { median_ms: 12.0, spread: 0.5, errors_percent: 9.0 },
        ("legacy-invoices", _) => slow(60.0),
        _ => USUAL,
    }
}
