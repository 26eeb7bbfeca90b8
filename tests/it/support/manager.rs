//! A release manager: starts releases by the REST API of the running program, gives them commands and reads
//! their timelines. Used by tests of real traffic and by those that kill the program.

use serde_json::{Value, json};

use super::served::{Answer, Served};
use super::wait_for;

/// Every strategy of the product.
pub const STRATEGIES: [&str; 5] = ["canary", "replicas", "blue_green", "mirror", "ab_test"];

/// The `n`th release (from 0) of a service: by turns to a new image (canary, blue-green) or to and fro between
/// v1 and v2, which are there. Steps are as short as they can be.
pub fn wish(namespace: &str, name: &str, strategy: &str, n: usize) -> Value {
    let image = by_image(strategy);
    let (stable, next) = match n {
        n if image => (format!("v{}", n + 1), format!("v{}", n + 2)),
        n if n % 2 == 0 => ("v1".to_owned(), "v2".to_owned()),
        _ => ("v2".to_owned(), "v1".to_owned()),
    };
    let candidate = if image {
        json!({"from": "image", "version": next, "image": format!("tests/{name}:{next}")})
    } else {
        json!({"from": "adopt", "version": next})
    };
    let beta = json!([[{"on": {"in": "header", "name": "x-user"}, "op": "exact", "value": "beta"}]]);
    let steps = match strategy {
        "replicas" => {
            json!([{"kind": "replicas", "candidate": 1, "stable": 1}, {"kind": "hold", "seconds": 1},
            {"kind": "replicas", "candidate": 2, "stable": 0}])
        }
        "blue_green" => json!([{"kind": "weight", "percent": 100}, {"kind": "hold", "seconds": 1}]),
        "mirror" => json!([{"kind": "mirror", "percent": 100}, {"kind": "hold", "seconds": 1},
            {"kind": "mirror", "percent": 0}, {"kind": "weight", "percent": 50}, {"kind": "weight", "percent": 100}]),
        "ab_test" => json!([{"kind": "rules", "when": beta}, {"kind": "hold", "seconds": 1},
            {"kind": "weight", "percent": 50}, {"kind": "weight", "percent": 100}]),
        _ => json!([{"kind": "weight", "percent": 20}, {"kind": "hold", "seconds": 1},
            {"kind": "weight", "percent": 60}, {"kind": "weight", "percent": 100}]),
    };
    json!({"service": {"namespace": namespace, "name": name}, "strategy": strategy, "stable": stable,
        "candidate": candidate, "steps": steps})
}

/// Whether its releases make a version, and retire the old one.
pub fn by_image(strategy: &str) -> bool {
    matches!(strategy, "canary" | "blue_green")
}

/// A person (or a portal) at the API.
pub struct Manager<'a> {
    pub sluice: &'a Served,
    pub token: &'a str,
}

impl Manager<'_> {
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let path = format!("/api/v1/releases{path}");
        self.sluice.call(method, &path, Some(self.token), body, &[]).await
    }

    /// Starts a release, and answers its id.
    pub async fn start(&self, spec: &Value) -> String {
        let answer = self.call("POST", "", Some(json!({"spec": spec, "reason": "a test"}))).await;
        assert_eq!(answer.status, 200, "{spec}: {:?}", answer.body);
        answer.body["id"].as_str().unwrap().to_owned()
    }

    /// What a wish would do.
    pub async fn plan(&self, spec: &Value) -> Value {
        let answer = self.call("POST", "/plan", Some(json!({"spec": spec}))).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.body
    }

    pub async fn say(&self, id: &str, mut command: Value) {
        command["reason"] = json!("a test");
        let answer = self.call("POST", &format!("/{id}/commands"), Some(command)).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }

    pub async fn get(&self, id: &str) -> Value {
        let answer = self.call("GET", &format!("/{id}"), None).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.body
    }

    /// Waits until it is so.
    pub async fn until(&self, id: &str, what: &str, there: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("{id}: {what}"), async || {
            let release = self.get(id).await;
            there(&release).then_some(release)
        })
        .await
    }

    /// Waits until it waits for its approval.
    pub async fn until_gate(&self, id: &str) -> Value {
        self.until(id, "it waits for approval", |release| {
            assert_eq!(release["ended"], json!(false), "{release}");
            release["paused"]["reason"] == "gate"
        })
        .await
    }

    /// Waits until it has ended, and nothing of it is under way; looks how.
    pub async fn until_ended(&self, id: &str, phase: &str) -> Value {
        let there = |release: &Value| {
            assert!(release["paused"].is_null(), "{release}");
            // Before the last action is answered it accepts no command.
            release["ended"] == json!(true) && !release["commands"].as_array().unwrap().is_empty()
        };
        let release = self.until(id, "it has ended", there).await;
        assert_eq!(release["phase"], json!(phase), "{release}");
        release
    }

    /// Everything that happened to it, oldest first.
    pub async fn timeline(&self, id: &str) -> Vec<Value> {
        let answer = self.call("GET", &format!("/{id}/timeline?limit=500"), None).await;
        let mut items = answer.body["items"].as_array().unwrap().clone();
        items.reverse();
        items
    }

    /// How it was judged, oldest first.
    pub async fn judgements(&self, id: &str) -> Vec<Value> {
        let answer = self.call("GET", &format!("/{id}/judgements?limit=500"), None).await;
        let mut items = answer.body["items"].as_array().unwrap().clone();
        items.reverse();
        items
    }

    /// Retires the old version, and waits until it is gone.
    pub async fn retire(&self, id: &str, service: &str, version: &str) {
        let confirm = format!("{service} {version}");
        self.say(id, json!({"command": "retire", "confirm": confirm, "ack": ["still_answers"]})).await;
        self.until(id, "the old version is retired", |release| {
            let commands = release["commands"].as_array().unwrap();
            assert!(release["needs"].is_null(), "{release}");
            commands.contains(&json!("rollback")) && !commands.contains(&json!("retire"))
        })
        .await;
    }
}

/// A moment as the API writes it, in milliseconds since 1970.
pub fn ms(moment: &Value) -> i64 {
    moment.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// When something happened first: `told(&timeline, "step_began", 1)`.
pub fn told(timeline: &[Value], what: &str, step: usize) -> i64 {
    let found = timeline.iter().find(|entry| {
        let all = entry["happened"].as_array().unwrap();
        all.iter().any(|one| one["what"] == json!(what) && one["step"] == json!(step))
    });
    ms(&found.unwrap_or_else(|| panic!("{what} {step}: {timeline:?}"))["at"])
}
