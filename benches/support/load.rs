//! A bounded load over loopback, and what it measured.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// What some requests took.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Requests a second.
    pub rate: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// Of one answer.
    pub bytes: usize,
}

/// Asks for one address from `at_once` kept connections until the time is over.
pub async fn storm(url: &str, at_once: usize, time: Duration) -> Taken {
    let uri: Uri = url.parse().unwrap();
    let start = Instant::now();
    let asking = (0..at_once).map(|_| {
        let uri = uri.clone();
        tokio::spawn(async move {
            let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
            let mut times = Vec::new();
            let mut bytes = 0;
            while start.elapsed() < time {
                let from = Instant::now();
                let answer = client.get(uri.clone()).await.unwrap();
                assert!(answer.status().is_success(), "{uri}: {}", answer.status());
                bytes = answer.into_body().collect().await.unwrap().to_bytes().len();
                times.push(from.elapsed().as_secs_f64() * 1e3);
            }
            (times, bytes)
        })
    });
    let mut times = Vec::new();
    let mut bytes = 0;
    for one in futures::future::join_all(asking).await {
        let (some, size) = one.unwrap();
        times.extend(some);
        bytes = size;
    }
    let rate = as_f64(times.len()) / start.elapsed().as_secs_f64();
    Taken { rate, p50: quantile(&mut times, 0.5), p99: quantile(&mut times, 0.99), bytes }
}

/// The value below which that share of all lies; sorts them.
pub fn quantile(all: &mut [f64], share: f64) -> f64 {
    all.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    let at = ((as_f64(all.len()) * share) as usize).min(all.len() - 1);
    all[at]
}

pub fn as_f64(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap())
}
