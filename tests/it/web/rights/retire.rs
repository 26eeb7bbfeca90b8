//! Who may retire a version whose route lives in another namespace.

use serde_json::json;
use sluice::demo::api::Right;

use super::{ELSEWHERE, FAR, LOOKS, NOBODY, OWNER, PORTAL, ROUTES_ONLY, town, written};

/// A version goes by the right to delete its workload and to write each object that names it.
#[tokio::test]
async fn a_version_is_retired_by_whoever_may_delete_all_of_it() {
    let app = town().await;
    let body = json!({"version": "v3", "confirm": "reviews v3", "reason": "r", "ack": ["no_metrics"]});
    for (token, status) in
        [(NOBODY, 404), (ELSEWHERE, 404), (PORTAL, 404), (LOOKS, 403), (ROUTES_ONLY, 403), (OWNER, 200)]
    {
        for query in ["?dry_run=true", ""] {
            let before = written(&app);
            let answer =
                app.ask("POST", &format!("{FAR}/retire{query}")).token(token).json(&body).send().await;
            assert_eq!(answer.status, status, "{token} {query}: {}", answer.body);
            assert_eq!(written(&app) != before, status == 200 && query.is_empty(), "{token} {query}");
        }
    }
    assert!(app.demo.api.get("Deployment", "bookinfo", "reviews-v3").is_none());
    // Who may delete the workload, and not write the route in the other namespace.
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    app.demo.api.grant(Right {
        subject: "rut".into(),
        namespace: Some("bookinfo".into()),
        verbs: words(&["delete"]),
        groups: words(&["apps"]),
        resources: words(&["deployments"]),
        names: Vec::new(),
    });
    let body = json!({"version": "v2", "confirm": "reviews v2", "reason": "r", "ack": ["no_metrics"]});
    let before = written(&app);
    let answer = app.ask("POST", &format!("{FAR}/retire")).token(ROUTES_ONLY).json(&body).send().await;
    assert_eq!(answer.problem(), (403, "forbidden".into()), "the route is not theirs");
    assert!(written(&app) == before, "nothing is begun that cannot be finished");
}
