//! Requests that were not made before: the cost of an answer that is not cached yet.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Asks for each address once, one after the other; milliseconds each.
pub async fn once_each(urls: impl Iterator<Item = String>) -> Vec<f64> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut times = Vec::new();
    for url in urls {
        let from = Instant::now();
        let answer = client.get(url.parse().unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{url}: {}", answer.status());
        answer.into_body().collect().await.unwrap();
        times.push(from.elapsed().as_secs_f64() * 1e3);
    }
    times
}
