//! Five hundred people with a page open cost Prometheus what one of them costs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::bookinfo;
use super::seen::Between;
use crate::support::cluster::RealCluster;
use crate::support::mesh::{Load, Town, weights};
use crate::support::served::Served;
use crate::support::wait_for;

const PEOPLE: usize = 500;
/// How long questions are counted, with one and with all of them.
const COUNTED: Duration = Duration::from_secs(20);

/// A page that stays open: fetched, then its stream.
struct Open(tokio::task::JoinHandle<()>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn open(sluice: &Served, client: &reqwest::Client, cookie: &str, place: usize) -> Open {
    // Half of them look at the list, half at the service.
    let path = match place % 2 {
        0 => "/services/crowd/reviews".to_owned(),
        _ => "/services?ns=crowd".to_owned(),
    };
    let page = client.get(format!("{}{path}", sluice.url)).header("cookie", cookie).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let text = page.text().await.unwrap();
    let topic = text.split_once("data-topic=\"").unwrap().1.split_once('"').unwrap().0;
    let topic = topic.replace("&#38;", "&").replace("&amp;", "&");
    let url = reqwest::Url::parse_with_params(&format!("{}/events", sluice.url), [("topic", topic)]).unwrap();
    let mut stream = client.get(url).header("cookie", cookie).send().await.unwrap();
    assert_eq!(stream.status(), 200, "stream {place}");
    Open(tokio::spawn(async move { while stream.chunk().await.is_ok_and(|part| part.is_some()) {} }))
}

/// What reaches Prometheus about the namespace while one of them also loads a page each second.
async fn count(town: &Town<'_>, sluice: &Served, between: &Between) -> Vec<String> {
    between.about("crowd");
    let end = Instant::now() + COUNTED;
    while Instant::now() < end {
        town.seen(sluice, "reviews").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    between.about("crowd")
}

#[tokio::test]
async fn five_hundred_open_pages_ask_prometheus_as_often_as_one() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let (town, load) = bookinfo(cluster, "crowd", &[("v1", 1), ("v2", 1)]).await;
    let (between, url) = Between::start(cluster.prometheus()).await;
    let everybody = (PEOPLE + 100).to_string();
    let options = [
        "--prometheus-url",
        &url,
        "--max-streams",
        &everybody,
        "--max-streams-per-session",
        "0",
        "--max-streams-per-person",
        "0",
    ];
    let more =
        ["--max-connections", "2000", "--max-connections-per-address", "0", "--max-changes-per-minute", "0"];
    let sluice = Served::on(cluster, &[&options[..], &more[..]].concat()).await;
    town.known(&sluice, "reviews", &[("v1", 1), ("v2", 1)]).await;
    town.changed(&sluice, "reviews", weights(&[("v1", 30), ("v2", 70)])).await;
    let steady = town.begin(&Load { rate: 50.0, ..load }).await;
    wait_for("it is seen", async || {
        (town.seen(&sluice, "reviews").await.body["progress"]["state"] == "seen").then_some(())
    })
    .await;

    let client = reqwest::Client::new();
    let cookie = sluice.sign_in(cluster.token("admin")).await;
    let mut pages = vec![open(&sluice, &client, &cookie, 0).await];
    let one = count(&town, &sluice, &between).await;
    while pages.len() < PEOPLE {
        pages.push(open(&sluice, &client, &cookie, pages.len()).await);
    }
    let all = count(&town, &sluice, &between).await;
    assert!(pages.iter().all(|page| !page.0.is_finished()), "every stream is still open");
    steady.stop().await.assert_no_failure();

    let round = one.iter().collect::<BTreeSet<_>>().len();
    eprintln!("questions in {COUNTED:?}: {} with one page open, {} with {PEOPLE}", one.len(), all.len());
    assert!(!one.is_empty() && round <= 3, "{round}: {one:?}");
    // The rounds of a few seconds may fall so that one more begins.
    assert!(all.len() <= one.len() + round, "{} with one, {} with {PEOPLE}", one.len(), all.len());
}
