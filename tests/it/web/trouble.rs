//! A history that cannot be written, as programs and people see it: the probe, the API, the pages.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::wait_for;

#[tokio::test]
async fn a_file_that_vanishes_is_said_everywhere_and_nothing_is_changed_meanwhile() {
    let app = TestApp::open().await;
    app.set_reviews(0, 90, 10).await;
    let spec = json!({
        "service": {"namespace": "bookinfo", "name": "ratings"}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "adopt", "version": "v2"},
        "steps": [{"kind": "weight", "percent": 30}, {"kind": "hold", "seconds": 600}, {"kind": "weight", "percent": 100}],
    });
    let started =
        app.ask("POST", "/api/v1/releases").json(&json!({"spec": spec, "reason": "a test"})).send().await;
    assert_eq!(started.status, 200, "{}", started.body);
    let release = format!("/api/v1/releases/{}", started.json()["id"].as_str().unwrap());
    wait_for("it holds", async || (app.get(&release).await.json()["step"] == 1).then_some(())).await;
    let (file, away) = (app.history_file(), app.history_file().with_extension("away"));
    std::fs::rename(&file, &away).unwrap();
    let probe = wait_for("the probe knows it", async || {
        let answer = app.get("/readyz").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    let probe = probe.json();
    assert_eq!(probe["status"], "cannot_write");
    let mut notices = probe["notices"].as_array().unwrap().iter();
    assert!(notices.any(|notice| notice["code"] == "history_gone"), "{probe}");
    assert_eq!(app.get("/healthz").await.status, 200, "a restart would not mend it");
    for held in [app.get(&release).await.json(), app.get("/api/v1/releases").await.json()["items"][0].clone()]
    {
        assert_eq!(
            (&held["phase"], &held["waits"]["code"]),
            (&json!("running"), &json!("history_gone")),
            "{held}"
        );
    }
    let pause = || app.ask("POST", &format!("{release}/commands")).json(&json!({"command": "pause"}));
    assert_eq!(pause().send().await.problem(), (503, "history_gone".to_owned()));
    for (path, lang, words) in [
        ("/services", "en", "The file of the history has been missing since"),
        ("/services/bookinfo/reviews", "zh", "历史文件已不在原处"),
    ] {
        let page = app.ask("GET", path).header("cookie", &format!("lang={lang}")).send().await;
        assert!(page.status == 200 && page.body.contains(words), "{path}: {}", page.body);
    }

    let ask = || {
        let body = json!({"weights": {"v1": 50, "v2": 50, "v3": 0}, "reason": "a test", "ack": ["big_jump", "few_pods"]});
        app.ask("PUT", "/api/v1/services/bookinfo/reviews/traffic").header("if-match", "\"1\"").json(&body)
    };
    let refused = ask().send().await;
    assert_eq!(refused.problem(), (503, "history_gone".to_owned()));
    assert!(refused.json()["next"].is_string(), "what to do next");
    let keyed = ask().header("idempotency-key", "k-1").send().await;
    assert_eq!(keyed.problem(), (503, "history_gone".to_owned()));
    let now = app.get("/api/v1/services/bookinfo/reviews").await.json();
    assert_eq!(now["revision"], 1, "{now}");

    std::fs::rename(&away, &file).unwrap();
    wait_for("it is ready by itself", async || (app.get("/readyz").await.status == 200).then_some(())).await;
    let done = ask().header("idempotency-key", "k-1").send().await;
    assert_eq!(done.status, 200, "{}", done.body);
    let paused = pause().send().await;
    assert_eq!(paused.status, 200, "{}", paused.body);
    let paused = app.get(&release).await.json();
    assert_eq!((&paused["phase"], &paused["waits"]), (&json!("paused"), &json!(null)), "{paused}");
}

/// Another process has the file to itself: until it ends, or for as long as a copy takes.
#[tokio::test]
async fn a_file_that_another_process_holds_is_a_clear_refusal_in_time() {
    let app = TestApp::open().await;
    app.set_reviews(0, 90, 10).await;
    let before = app.get("/api/v1/audit").await.json()["items"].clone();
    let mut other = Holder::of(&app.history_file());
    let body = json!({"weights": {"v1": 50, "v2": 50, "v3": 0}, "reason": "a test", "ack": ["big_jump", "few_pods"]});
    let ask = || {
        let ask = app.ask("PUT", "/api/v1/services/bookinfo/reviews/traffic").header("if-match", "\"1\"");
        ask.header("idempotency-key", "k-2").json(&body)
    };
    let bound = std::time::Duration::from_secs(20);
    let refused = tokio::time::timeout(bound, ask().send()).await.expect("an answer in time");
    assert_eq!(refused.problem(), (503, "history_locked".to_owned()));
    assert_eq!(app.get("/api/v1/services/bookinfo/reviews").await.json()["revision"], 1, "reading goes on");
    assert_eq!(app.get("/api/v1/audit").await.json()["items"], before, "nothing is half written");
    let probe = app.get("/readyz").await;
    assert!(probe.status == 503 && probe.body.contains("history_locked"), "{}", probe.body);
    other.let_go();
    wait_for("it is ready by itself", async || (app.get("/readyz").await.status == 200).then_some(())).await;
    let done = ask().send().await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(app.get("/api/v1/services/bookinfo/reviews").await.json()["revision"], 2);
}

/// A process that holds SQLite's lock for writing.
struct Holder(std::process::Child);

impl Holder {
    fn of(file: &std::path::Path) -> Self {
        let program = "import sqlite3, sys\n\
            db = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
            db.execute('BEGIN EXCLUSIVE')\n\
            print('held', flush=True)\n\
            sys.stdin.read()\n\
            db.execute('ROLLBACK')\n\
            db.close()\n";
        let mut child = std::process::Command::new("python3")
            .args(["-c", program])
            .arg(file)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("python3, as for the API fuzzer");
        let mut said = String::new();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut said).unwrap();
        assert_eq!(said, "held\n");
        Self(child)
    }

    fn let_go(&mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
