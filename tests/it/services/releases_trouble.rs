//! Releases to which something happens: bad versions, edits by others, processes that die, requests that cannot be,
//! and webhook receivers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use sluice::domain::ids::Namespace;
use sluice::domain::observed::Sample;
use sluice::domain::overview::{ListAsk, Sign};
use sluice::domain::release::{Command, Happened, PauseReason, Phase, Verdict};
use sluice::metrics::{Latency, MetricsError, Source};
use sluice::services::Settings;
use sluice::services::releases::{ReleaseAsk, ReleaseShow, Webhook, signature};
use sqlx::{Connection, SqliteConnection};

use super::releases::wish;
use crate::support::house::{House, anna, at};

/// What a test says that was counted.
pub struct Said {
    errors_percent: AtomicU32,
    down: std::sync::atomic::AtomicBool,
    /// The 99th percentile of v9's durations, milliseconds; v1 has 40.
    p99: AtomicU32,
}

impl Source for Said {
    fn namespace<'a>(&'a self, _: &'a Namespace, _: u32) -> BoxFuture<'a, Result<Vec<Sample>, MetricsError>> {
        let bad = f64::from(self.errors_percent.load(Ordering::SeqCst));
        let down = self.down.load(Ordering::SeqCst);
        Box::pin(async move {
            if down {
                return Err(MetricsError::Unreachable);
            }
            let of = |version: &str, errors: f64| Sample {
                service: "reviews".into(),
                workload: format!("reviews-{version}").into(),
                version: version.into(),
                requests: 1_000.0,
                errors,
                p95_ms: Some(20.0),
            };
            Ok(vec![of("v1", 0.0), of("v9", bad * 10.0)])
        })
    }

    fn latency<'a>(&'a self, asked: &'a Latency) -> BoxFuture<'a, Result<Option<f64>, MetricsError>> {
        assert_eq!((asked.quantile, asked.window_s), (99, 60));
        let v9 = f64::from(self.p99.load(Ordering::SeqCst));
        let ms = if *asked.workloads == ["reviews-v9".into()] { v9 } else { 40.0 };
        Box::pin(async move { Ok(Some(ms)) })
    }

    fn number<'a>(&'a self, query: &'a str) -> BoxFuture<'a, Result<Option<f64>, MetricsError>> {
        Box::pin(async move {
            match query {
                "many" => Err(MetricsError::Many(7)),
                "slow" => Err(MetricsError::Timeout),
                "wrong(" => Err(MetricsError::Status(400)),
                _ => Ok(Some(1.0)),
            }
        })
    }
}

pub fn said(errors_percent: u32) -> Arc<Said> {
    Arc::new(Said { errors_percent: AtomicU32::new(errors_percent), down: false.into(), p99: 44.into() })
}

pub fn analysis() -> Value {
    json!({"interval_s": 5, "window_s": 60, "min_requests": 100, "failures": 1,
        "metrics": [{"metric": "success_rate", "limit": {"absolute": 99.0, "relative": 1.0}}]})
}

#[tokio::test]
async fn a_version_that_answers_errors_is_stopped_and_traffic_goes_back() {
    let house = House::alive(Some(said(5)), Settings::default()).await;
    let spec = wish(|w| {
        w["analysis"] = analysis();
        w["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "hold", "seconds": 600},
            {"kind": "weight", "percent": 100}]);
    });
    let id = house.start(spec).await.id;
    let ended = house.until_final(id, Phase::RolledBack).await;
    assert_eq!(house.weight_of("v9"), 0);
    let looks = house.services.judgements(&anna(), id, 10).await.unwrap();
    assert_eq!(looks[0].verdict, Verdict::Fail);
    assert!((looks[0].seen.candidate.unwrap().errors - 50.0).abs() < 0.001);
    let back_ms = ended.ended_ms.unwrap() - looks[0].at_ms;
    assert!(back_ms <= 5_000, "back on the good one {back_ms} ms after the verdict");
}

#[tokio::test]
async fn a_version_whose_slowest_answers_are_too_slow_is_stopped_and_a_quick_one_passes() {
    let slow = said(0);
    let house = House::alive(Some(slow.clone()), Settings::default()).await;
    let spec = wish(|w| {
        w["analysis"] = analysis();
        w["analysis"]["metrics"] = json!([{"metric": "latency", "quantile": 99, "limit": {"absolute": 100.0, "relative": 1.5, "floor_ms": 0.0}}]);
        w["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "analysis", "passes": 1},
            {"kind": "hold", "seconds": 600}, {"kind": "weight", "percent": 100}]);
    });
    let id = house.start(spec).await.id;
    let look = house
        .until("a look passed", async |house| {
            let looks = house.services.judgements(&anna(), id, 10).await.unwrap();
            looks.into_iter().find(|look| look.verdict == Verdict::Pass)
        })
        .await;
    assert_eq!((look.metrics[0].value, look.metrics[0].beside), (Some(44.0), Some(40.0)));
    slow.p99.store(61, Ordering::SeqCst);
    house.until_final(id, Phase::RolledBack).await;
    assert_eq!(house.weight_of("v9"), 0);
}

#[tokio::test]
async fn without_figures_it_holds_and_an_abort_still_works() {
    let source = said(0);
    let house = House::alive(Some(source.clone()), Settings::default()).await;
    let spec = wish(|w| {
        w["analysis"] = analysis();
        w["policies"] = json!({"step_deadline_s": 30});
        w["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "analysis", "passes": 1},
            {"kind": "weight", "percent": 100}]);
    });
    source.down.store(true, Ordering::SeqCst);
    let id = house.start(spec).await.id;
    house
        .until("a look failed", async |house| {
            let looks = house.services.judgements(&anna(), id, 10).await.unwrap();
            looks.first().map(|look| assert_eq!(look.verdict, Verdict::Error))
        })
        .await;
    let held = house.phase(id).await;
    assert_eq!((held.state.phase, held.share()), (Phase::Running, 30));
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    assert_eq!(house.weight_of("v9"), 0);
}

#[tokio::test]
async fn an_outside_edit_pauses_it_and_resuming_writes_the_aim_again() {
    let house = House::alive(None, Settings::default()).await;
    let id = house
        .start(wish(|w| {
            w["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "hold", "seconds": 600},
                {"kind": "weight", "percent": 100}]);
        }))
        .await
        .id;
    house
        .until("it holds", async |house| {
            let state = house.phase(id).await.state;
            (state.step == 1 && state.due_ms.is_some()).then_some(())
        })
        .await;
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        for entry in object["spec"]["http"][0]["route"].as_array_mut().unwrap() {
            let v9 = entry["destination"]["subset"] == "v9";
            let v1 = entry["destination"]["subset"] == "v1";
            entry["weight"] = json!(if v9 {
                80
            } else if v1 {
                20
            } else {
                0
            });
        }
    });
    let paused = house.until_paused(id, PauseReason::Drift).await;
    assert!(paused.state.paused.unwrap().left_ms.is_some_and(|left| left > 500_000));
    assert_eq!(house.weight_of("v9"), 80, "nobody is fought");
    let seen = house.services.release(&anna(), id).await.unwrap().outside.expect("what differs is known");
    let marked = |sign: Sign| -> Vec<&str> {
        let lines = seen.diffs.iter().flat_map(|(_, lines)| lines).filter(|line| line.sign == sign);
        lines.map(|line| line.text.trim()).collect()
    };
    assert!(
        marked(Sign::Del).contains(&"weight: 30") && marked(Sign::Add).contains(&"weight: 80"),
        "{seen:?}"
    );
    let waiting = house.services.list(&anna(), &ListAsk::default()).await.unwrap().waiting.clone();
    assert_eq!(waiting.iter().map(|release| release.id).collect::<Vec<_>>(), [id], "somebody is waited for");
    house.say(id, Command::Resume).await.unwrap();
    house.until("the aim is written again", async |house| (house.weight_of("v9") == 30).then_some(())).await;
    assert_eq!(house.services.release(&anna(), id).await.unwrap().outside, None);
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
}

#[tokio::test]
async fn a_process_that_dies_goes_on_where_it_was() {
    let mut house = House::alive(None, Settings::default()).await;
    let id = house.start(wish(|_| ())).await.id;
    for _ in 0..4 {
        tokio::time::sleep(std::time::Duration::from_millis(170)).await;
        house = house.crash_and_restart().await;
    }
    house.until_paused(id, PauseReason::Gate).await;
    house = house.crash_and_restart().await;
    house
        .until("it owns its service again", async |house| {
            house.services.release_of(&at("bookinfo", "reviews")).map(|_| ())
        })
        .await;
    house.say(id, Command::Promote).await.unwrap();
    house = house.crash_and_restart().await;
    house.until_final(id, Phase::Succeeded).await;
    assert_eq!((house.weight_of("v1"), house.weight_of("v9")), (0, 100));
    let report = sluice::store::verify::verify(&house.history_file(), None).await.unwrap();
    assert!(report.is_good(), "{report}");
}

/// A page never comes out empty while more follow: what is not shown is left out before pages are cut.
#[tokio::test]
async fn those_in_need_of_attention_are_chosen_before_pages_are_cut() {
    let house = House::alive(None, Settings::default()).await;
    let on = |service: (&'static str, &'static str, &'static str)| {
        wish(move |w| {
            w["service"] = json!({"namespace": service.0, "name": service.1});
            w["candidate"] = json!({"from": "adopt", "version": service.2});
        })
    };
    let ratings = house.start(on(("bookinfo", "ratings", "v2"))).await.id;
    house.until_paused(ratings, PauseReason::Gate).await;
    house.edit_outside("VirtualService", "bookinfo", "ratings", |object| {
        object["spec"]["http"][0]["timeout"] = json!("7s");
        for entry in object["spec"]["http"][0]["route"].as_array_mut().unwrap() {
            entry["weight"] = json!(if entry["destination"]["subset"] == "v2" { 55 } else { 45 });
        }
    });
    house.until_paused(ratings, PauseReason::Drift).await;
    // Newer, and only waiting for its approval.
    let id = house.start(on(("bookinfo", "reviews", "v2"))).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    let ask = ReleaseAsk { show: ReleaseShow::Attention, limit: 1, ..ReleaseAsk::default() };
    let page = house.services.releases(&anna(), &ask).await.unwrap();
    assert_eq!(page.items.iter().map(|release| release.id).collect::<Vec<_>>(), [ratings]);
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn a_clock_that_is_set_an_hour_ahead_ends_no_hold() {
    let clock = sluice::clock::Clock::manual(1_800_000_000_000);
    let house = House::by_clock(clock.clone(), Some(said(0))).await;
    let id = house
        .start(wish(|w| {
            w["candidate"] = json!({"from": "adopt", "version": "v2"});
            w["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "hold", "seconds": 600},
                {"kind": "weight", "percent": 100}]);
        }))
        .await
        .id;
    let holds = async |house: &House| {
        let state = house.phase(id).await.state;
        state.due_ms.filter(|_| state.step == 1)
    };
    let due = house.until("it holds", holds).await;
    let left = due - clock.now_ms();
    clock.set_ahead_ms(3_600_000);
    let moved = async |house: &House| holds(house).await.filter(|moved| *moved != due);
    let due = house.until("its timer has moved with the clock", moved).await;
    assert_eq!(due - clock.now_ms(), left);
    let timeline = house.services.timeline(&anna(), id, None, 10).await.unwrap();
    let told = Happened::ClockMoved { by_ms: 3_600_000 };
    assert!(timeline.iter().any(|entry| entry.happened.contains(&told)), "{timeline:?}");
    clock.advance_ms(left - 1);
    // Looked at with one millisecond to go: a command is an observation too.
    house.say(id, Command::Pause).await.unwrap();
    let resumed = house.say(id, Command::Resume).await.unwrap();
    assert_eq!((resumed.state.phase, resumed.state.step), (Phase::Running, 1));
    clock.advance_ms(1);
    house.until_final(id, Phase::Succeeded).await;
}

#[tokio::test]
async fn drafts_are_kept_and_two_tabs_notice_each_other() {
    let house = House::new().await;
    let who = anna();
    let draft = house.services.new_draft(&who, json!({"steps": "1"})).await.unwrap();
    let saved = house.services.save_draft(&who, &draft.id, Some(1), json!({"steps": "2"})).await.unwrap();
    assert_eq!(saved.seq, 2);
    let stale = house.services.save_draft(&who, &draft.id, Some(1), json!({})).await.unwrap_err();
    assert_eq!(stale.code.as_str(), "draft_stale");
    assert_eq!(house.services.draft(&who, &draft.id).await.unwrap().fields, json!({"steps": "2"}));
    house.services.delete_draft(&who, &draft.id).await.unwrap();
    assert_eq!(house.services.draft(&who, &draft.id).await.unwrap_err().code.as_str(), "draft_not_found");
}

#[test]
fn messages_are_signed_as_rfc_2104_says() {
    // By another implementation (Python's hmac), over "1700000000.{}".
    let known = "e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e";
    let ours = signature(b"0123456789abcdef", 1_700_000_000, "{}");
    assert_eq!(ours, known);
    assert_ne!(ours, signature(b"0123456789abcdef", 1_700_000_001, "{}"));
    assert_ne!(ours, signature(b"0123456789abcdee", 1_700_000_000, "{}"));
}

/// A call that a receiver took: timestamp, signature, body.
type Heard = Arc<Mutex<Vec<(String, String, String)>>>;

/// A receiver that does not take its first calls, and what it took and how often it was called.
async fn receiver(refuses: u32) -> (url::Url, Heard, Arc<AtomicU32>) {
    let (heard, calls) = (Heard::default(), Arc::new(AtomicU32::new(0)));
    let (keep, count) = (heard.clone(), calls.clone());
    let app = axum::Router::new().route(
        "/hook",
        axum::routing::post(async move |headers: axum::http::HeaderMap, body: String| {
            let text = |name: &str| headers[name].to_str().unwrap().to_owned();
            if count.fetch_add(1, Ordering::SeqCst) < refuses {
                return axum::http::StatusCode::SERVICE_UNAVAILABLE;
            }
            keep.lock().unwrap().push((text("x-sluice-timestamp"), text("x-sluice-signature"), body));
            axum::http::StatusCode::OK
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url.parse().unwrap(), heard, calls)
}

#[tokio::test]
async fn every_transition_is_told_once_to_each_receiver_whatever_the_others_do() {
    let (url, heard, _) = receiver(2).await;
    let (deaf_url, deaf, calls) = receiver(u32::MAX).await;
    let secret: Arc<[u8]> = b"a secret of enough bytes".as_slice().into();
    // The one that takes nothing comes first.
    let webhooks =
        vec![Webhook { url: deaf_url, secret: secret.clone() }, Webhook { url, secret: secret.clone() }];
    let house = House::alive(None, Settings { webhooks, ..Settings::default() }).await;
    let id = house.start(wish(|_| ())).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    let last = house
        .until("the end is told", async |_| {
            let heard = heard.lock().unwrap();
            heard.iter().find(|(_, _, body)| body.contains("\"phase\":\"rolled_back\"")).cloned()
        })
        .await;
    let expected = format!("sha256={}", signature(&secret, last.0.parse().unwrap(), &last.2));
    assert_eq!(last.1, expected);
    let phases: Vec<(i64, String)> = heard
        .lock()
        .unwrap()
        .iter()
        .map(|(_, _, body)| {
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["release"], json!(id.to_string()));
            let seq = body["transition"]["seq"].as_i64().unwrap();
            (seq, body["phase"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(phases.first().map(|(_, phase)| phase.as_str()), Some("validated"));
    let order: Vec<i64> = phases.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(order, (1..=i64::try_from(order.len()).unwrap()).collect::<Vec<_>>(), "in order, each once");
    assert!(deaf.lock().unwrap().is_empty() && calls.load(Ordering::SeqCst) > 0, "it was asked");
}

#[tokio::test]
async fn what_an_earlier_version_left_to_be_told_reaches_every_receiver() {
    let ((one_url, one, _), (two_url, two, _)) = (receiver(0).await, receiver(0).await);
    let secret: Arc<[u8]> = b"a secret of enough bytes".as_slice().into();
    let webhooks = [one_url, two_url].map(|url| Webhook { url, secret: secret.clone() }).to_vec();
    let house = House::alive(None, Settings { webhooks, ..Settings::default() }).await;
    let id = house.start(wish(|_| ())).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    let mut file =
        SqliteConnection::connect(&format!("sqlite://{}", house.history_file().display())).await.unwrap();
    let old = "INSERT INTO webhook_outbox (release, body, due_ms) VALUES (?1, 'from before', 0)";
    sqlx::query(old).bind(id.0).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    let house = house.crash_and_restart().await;
    let times =
        |heard: &Heard| heard.lock().unwrap().iter().filter(|(_, _, body)| body == "from before").count();
    house.until("both have heard it", async |_| (times(&one) > 0 && times(&two) > 0).then_some(())).await;
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    let told =
        |heard: &Heard| heard.lock().unwrap().iter().any(|(_, _, body)| body.contains("\"rolled_back\""));
    house.until("and what came after", async |_| (told(&one) && told(&two)).then_some(())).await;
    assert_eq!((times(&one), times(&two)), (1, 1));
}
