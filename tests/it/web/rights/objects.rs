//! Who may read the live YAML of a routing object: whoever may get exactly that object.

use serde_json::json;

use super::{ELSEWHERE, FAR, LOOKS, NOBODY, OWNER, PORTAL, ROUTES_ONLY, SECOND, SECRET, town};

const SERVICE: &str = "/services/bookinfo/reviews";

#[tokio::test]
async fn a_routing_object_is_shown_and_named_to_whoever_may_get_it() {
    let app = town().await;
    let far = "/objects/VirtualService/platform/reviews";
    let near = "/objects/DestinationRule/bookinfo/reviews";
    for (token, of_far, of_near) in [
        (OWNER, 200, 200),
        (SECOND, 200, 200),
        (ROUTES_ONLY, 404, 200),
        (LOOKS, 404, 200),
        (ELSEWHERE, 404, 404),
        (PORTAL, 404, 404),
        (NOBODY, 404, 404),
    ] {
        let cookie = app.sign_in(token).await;
        for (object, wanted) in [(far, of_far), (near, of_near)] {
            let answer = app.ask("GET", &format!("/api/v1{SERVICE}{object}")).token(token).send().await;
            let page = app.ask("GET", &format!("{SERVICE}{object}")).header("cookie", &cookie).send().await;
            for (answer, what) in [(answer, "api"), (page, "page")] {
                assert_eq!(answer.status, wanted, "{what} {object} by {token}: {}", answer.body);
                assert_eq!(
                    answer.body.contains(SECRET),
                    object == far && wanted == 200,
                    "{what} {object} by {token}: {}",
                    answer.body
                );
            }
        }
        if of_near == 200 {
            let page = app.ask("GET", SERVICE).header("cookie", &cookie).send().await;
            let named = page.body.contains("VirtualService <code>platform/reviews");
            assert_eq!(named, of_far == 200, "its name: {token}");
            assert!(
                named || page.body.contains("VirtualService <code>hidden #1"),
                "that it is there: {token}"
            );
            for (object, wanted) in [(far, of_far), (near, of_near)] {
                assert_eq!(
                    page.body.contains(&format!("{SERVICE}{object}")),
                    wanted == 200,
                    "{object} {token}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_routing_object_comes_as_it_is_with_what_sluice_did_to_it() {
    let app = town().await;
    let path = format!("/api/v1{SERVICE}/objects/VirtualService/platform/reviews");
    let read = async || app.ask("GET", &path).token(OWNER).send().await.json();
    let before = read().await;
    assert_eq!(
        before["object"]["spec"],
        app.demo.api.get("VirtualService", "platform", "reviews").unwrap()["spec"]
    );
    assert!(before["object"]["metadata"]["resourceVersion"].is_string());
    assert_eq!(before["object"]["metadata"]["managedFields"], json!(null));
    let marks = |of: &serde_json::Value| {
        ["created_by_sluice", "created_at_revision", "changed_by_sluice", "changed_at_revision"]
            .map(|key| of[key].clone())
    };
    assert_eq!(marks(&before), [json!(false), json!(null), json!(false), json!(null)]);
    let body = json!({"weights": {"v1": 80, "v2": 20}, "reason": "r", "ack": ["big_jump", "no_metrics"]});
    let made = app.ask("PUT", FAR).token(OWNER).header("if-match", "\"0\"").json(&body).send().await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(marks(&read().await), [json!(false), json!(null), json!(true), json!(1)]);
    // What Sluice creates says so, and when.
    let details = "/api/v1/services/bookinfo/details";
    let made = app.ask("POST", &format!("{details}/traffic/takeover")).token(OWNER);
    let made = made.json(&json!({"version": "v1", "reason": "r", "ack": ["no_metrics"]})).send().await;
    assert_eq!(made.status, 200, "{}", made.body);
    let object = app.ask("GET", &format!("{details}/objects/VirtualService/bookinfo/details"));
    let object = object.token(OWNER).send().await;
    assert_eq!(marks(&object.json())[..2], [json!(true), json!(1)], "{}", object.body);
    for unknown in [
        "VirtualService/platform/details",
        "Secret/platform/reviews",
        "VirtualService/platform/re%2F..%2Fviews",
    ] {
        let none = app.ask("GET", &format!("/api/v1{SERVICE}/objects/{unknown}")).token(OWNER).send().await;
        assert_eq!(none.problem(), (404, "object_not_found".into()), "{unknown}");
    }
}
