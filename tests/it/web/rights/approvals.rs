//! Four eyes through the API: an approval names what was seen, and changed steps need one of their own.

use serde_json::{Value, json};

use super::{OWNER, RELEASES, SECOND, command, town, until, wish};
use crate::support::app::{Answer, TestApp};

async fn say(app: &TestApp, token: &str, id: &str, seq: u64, body: &Value) -> Answer {
    let ask = app.ask("POST", &format!("{RELEASES}/{id}/commands")).token(token);
    ask.header("if-match", &format!("\"{seq}\"")).json(body).send().await
}

fn seq(release: &Value) -> u64 {
    release["seq"].as_u64().unwrap()
}

#[tokio::test]
async fn four_eyes_are_kept_to_the_end() {
    let app = town().await;
    let mut spec = wish("reviews");
    spec["policies"] = json!({"second_person": true});
    let body = json!({"spec": spec, "reason": "REV-231"});
    let made = app.ask("POST", RELEASES).token(OWNER).json(&body).send().await.json();
    assert_eq!(made["phase"], "pending_approval", "{made}");
    let id = made["id"].as_str().unwrap().to_owned();
    let promote = json!({"command": "promote"});

    // The start: somebody else's, of what was seen.
    let own = say(&app, OWNER, &id, seq(&made), &promote).await;
    assert_eq!(own.problem(), (403, "second_person".into()));
    let blind = command(&app, SECOND, &id, &promote).await;
    assert_eq!(blind.problem(), (428, "precondition_required".into()));
    let steps =
        json!([{"kind": "weight", "percent": 40}, {"kind": "approval"}, {"kind": "weight", "percent": 100}]);
    let change = json!({"command": "change_steps", "reason": "r", "steps": steps});
    let changed = say(&app, OWNER, &id, seq(&made), &change).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let late = say(&app, SECOND, &id, seq(&made), &promote).await;
    assert_eq!(late.problem(), (412, "release_stale".into()), "it is not what was seen any more");
    let approved = say(&app, SECOND, &id, seq(&changed.json()), &promote).await;
    assert_eq!(approved.status, 200, "{}", approved.body);

    // On the way: the starter passes no gate, and steps that are changed wait for somebody else.
    let gate = until(&app, &id, "its approval step", |release| release["paused"]["reason"] == "gate").await;
    assert_eq!(gate["percent"], 40);
    for word in ["promote", "resume", "promote_all"] {
        let body = json!({"command": word, "reason": "r"});
        let own = say(&app, OWNER, &id, seq(&gate), &body).await;
        assert_eq!(own.problem(), (403, "second_person".into()), "{word}");
    }
    let change =
        json!({"command": "change_steps", "reason": "r", "steps": [{"kind": "weight", "percent": 100}]});
    let changed = say(&app, OWNER, &id, seq(&gate), &change).await.json();
    assert_eq!(changed["paused"]["reason"], "steps_changed", "{changed}");
    let own = say(&app, OWNER, &id, seq(&changed), &promote).await;
    assert_eq!(own.problem(), (403, "second_person".into()));
    let approved = say(&app, SECOND, &id, seq(&changed), &promote).await;
    assert_eq!(approved.status, 200, "{}", approved.body);
    let again =
        until(&app, &id, "the step of approval", |release| release["paused"]["reason"] == "gate").await;
    let passed = say(&app, SECOND, &id, seq(&again), &promote).await;
    assert_eq!(passed.status, 200, "{}", passed.body);
    until(&app, &id, "its end", |release| release["phase"] == "succeeded").await;
}
