//! The troubles that tests can order from the API server in memory do what they say, and so do its helpers.

use std::time::Duration;

use kube::Client;
use serde_json::json;
use sluice::clock::Clock;
use sluice::demo::api::{ApiServer, Change, Cut, On, Times, Trouble, Verb};

use super::behaviours::{Answer, Watch, send, service, try_send, virtual_service};

const PATH: &str = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";

fn server() -> (ApiServer, Client) {
    let server = ApiServer::new(Clock::System);
    let client = Client::new(server.service(), "default");
    (server, client)
}

async fn create(client: &Client, name: &str) -> Answer {
    send(client, "POST", PATH, Some(virtual_service(name, &[100]))).await
}

fn exists(server: &ApiServer, name: &str) -> bool {
    server.get("VirtualService", "default", name).is_some()
}

#[tokio::test]
async fn an_answer_instead_of_the_write_leaves_nothing() {
    let (server, client) = server();
    for (code, reason) in
        [(429, "TooManyRequests"), (500, "InternalError"), (503, "ServiceUnavailable"), (504, "Timeout")]
    {
        server.trouble(On::verb(Verb::Create).of("virtualservices"), Trouble::Answer(code), Times::Next(1));
        let answer = create(&client, "reviews").await;
        assert_eq!((answer.code, &answer.body["reason"]), (code, &json!(reason)));
        assert_eq!(answer.retry_after.is_some(), matches!(code, 429 | 503), "{code}");
        assert!(!exists(&server, "reviews"));
    }
    assert_eq!(create(&client, "reviews").await.code, 201);
    assert_eq!(server.count("POST", "virtualservices"), 5);
}

#[tokio::test]
async fn an_answer_after_the_write_hides_that_it_was_done() {
    let (server, client) = server();
    server.trouble(On::verb(Verb::Create), Trouble::AnswerAfterApplying(504), Times::Next(1));
    assert_eq!(create(&client, "reviews").await.code, 504);
    assert!(exists(&server, "reviews"));
}

#[tokio::test]
async fn a_dropped_connection_is_an_error_before_or_after_the_write() {
    let (server, client) = server();
    for (trouble, done) in [(Trouble::Drop, false), (Trouble::DropAfterApplying, true)] {
        server.trouble(On::verb(Verb::Create), trouble, Times::Next(1));
        let answer = try_send(&client, "POST", PATH, Some(virtual_service("reviews", &[100]))).await;
        assert!(answer.is_err(), "{answer:?}");
        assert_eq!(exists(&server, "reviews"), done);
    }
}

#[tokio::test]
async fn troubles_meet_only_what_they_are_ordered_for() {
    let (server, client) = server();
    for name in ["reviews", "ratings"] {
        create(&client, name).await;
    }
    server.trouble(On::any().of("virtualservices").named("reviews"), Trouble::Answer(500), Times::Always);
    assert_eq!(send(&client, "GET", &format!("{PATH}/reviews"), None).await.code, 500);
    assert_eq!(send(&client, "GET", &format!("{PATH}/ratings"), None).await.code, 200);
    assert_eq!(send(&client, "GET", "/api/v1/services", None).await.code, 200);
    server.heal();
    assert_eq!(send(&client, "GET", &format!("{PATH}/reviews"), None).await.code, 200);
    server.trouble(On::verb(Verb::Create).real_writes(), Trouble::Answer(500), Times::Next(1));
    server.trouble(On::verb(Verb::Create).dry_runs(), Trouble::Answer(503), Times::Next(1));
    let body = || Some(virtual_service("new", &[100]));
    assert_eq!(send(&client, "POST", &format!("{PATH}?dryRun=All"), body()).await.code, 503);
    assert_eq!(send(&client, "POST", PATH, body()).await.code, 500);
    assert_eq!(send(&client, "POST", PATH, body()).await.code, 201);
}

#[tokio::test]
async fn a_forbidden_request_is_refused_in_the_words_of_rbac() {
    let (server, client) = server();
    server.trouble(On::verb(Verb::List).of("services"), Trouble::Forbid, Times::Always);
    let answer = send(&client, "GET", "/api/v1/services", None).await;
    assert_eq!(
        answer.body["message"],
        "services is forbidden: User \"system:anonymous\" cannot list resource \"services\" in API group \"\" at the \
         cluster scope"
    );
}

#[tokio::test]
async fn something_else_can_answer_in_its_place() {
    let (server, client) = server();
    server.trouble(On::any(), Trouble::Page(502), Times::Next(1));
    let answer = send(&client, "GET", PATH, None).await;
    assert_eq!((answer.code, &answer.body), (502, &json!(null)));
    assert!(answer.text.starts_with("<html>"));
    server.trouble(On::verb(Verb::Watch), Trouble::Gone, Times::Next(1));
    assert_eq!(send(&client, "GET", &format!("{PATH}?watch=true"), None).await.code, 410);
}

#[tokio::test(start_paused = true)]
async fn delays_wait_before_or_after_the_write() {
    let (server, client) = server();
    let minute = Duration::from_mins(1);
    for (trouble, done) in [(Trouble::Delay(minute), false), (Trouble::DelayAnswer(minute), true)] {
        server.trouble(On::verb(Verb::Create), trouble, Times::Next(1));
        let asking = client.clone();
        let name = if done { "after" } else { "before" };
        let answer = tokio::spawn(async move { create(&asking, name).await.code });
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(!answer.is_finished());
        assert_eq!(exists(&server, name), done);
        assert_eq!(answer.await.unwrap(), 201);
        assert!(exists(&server, name));
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_server_says_nothing_until_it_thaws() {
    let (server, client) = server();
    let mut watch = Watch::open(&client, &format!("{PATH}?watch=true")).await;
    server.freeze();
    server.put(in_default(virtual_service("reviews", &[100]))).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(5), watch.next()).await.is_err());
    let asked = tokio::spawn(async move { send(&client, "GET", PATH, None).await.code });
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(!asked.is_finished());
    server.thaw();
    assert_eq!(asked.await.unwrap(), 200);
    assert_eq!(watch.change().await, ("ADDED".to_owned(), "reviews".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn watches_can_be_ended_and_broken() {
    let (server, client) = server();
    let path = format!("{PATH}?watch=true");
    let mut watch = Watch::open(&client, &path).await;
    server.end_watches(Cut::Cleanly);
    assert_eq!(watch.next().await, None);
    let mut watch = Watch::open(&client, &path).await;
    server.end_watches(Cut::Broken);
    assert!(watch.broken().await);
    // A new one is not affected.
    let mut watch = Watch::open(&client, &path).await;
    create(&client, "reviews").await;
    assert_eq!(watch.change().await.0, "ADDED");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_as_often_as_wished() {
    let (server, client) = server();
    server.set_bookmark_every(Duration::from_secs(5));
    let mut watch = Watch::open(&client, &format!("{PATH}?watch=true&allowWatchBookmarks=true")).await;
    for _ in 0..3 {
        assert_eq!(watch.next().await.unwrap()["type"], "BOOKMARK");
    }
}

#[tokio::test]
async fn a_kind_that_is_not_installed_is_a_page_not_found() {
    let (server, client) = server();
    create(&client, "reviews").await;
    for kind in ["VirtualService", "DestinationRule", "Gateway", "ServiceEntry", "Sidecar"] {
        server.uninstall(kind);
    }
    let answer = send(&client, "GET", PATH, None).await;
    assert_eq!((answer.code, answer.text.as_str()), (404, "404 page not found\n"));
    assert_eq!(send(&client, "GET", "/apis/networking.istio.io/v1", None).await.code, 404);
    let groups = send(&client, "GET", "/apis", None).await.text;
    assert!(!groups.contains("istio"), "{groups}");
    assert!(server.put(in_default(virtual_service("reviews", &[100]))).is_err());
    let kind = sluice::demo::api::KINDS.iter().find(|k| k.kind == "VirtualService").unwrap();
    server.install(kind);
    assert_eq!(send(&client, "GET", PATH, None).await.body["items"], json!([]));
}

#[tokio::test]
async fn the_log_tells_what_was_asked() {
    let (server, client) = server();
    let mut made = create(&client, "reviews").await.body;
    made["spec"]["hosts"] = json!(["other"]);
    server.clear_log();
    send(&client, "PUT", &format!("{PATH}/reviews?dryRun=All"), Some(made.clone())).await;
    send(&client, "GET", &format!("{PATH}?resourceVersion=7"), None).await;
    let log = server.log();
    let version = made["metadata"]["resourceVersion"].as_str();
    assert_eq!((log[0].method.as_str(), log[0].query.as_str()), ("PUT", "dryRun=All"));
    assert_eq!((log[0].resource_version.as_deref(), log[0].agent.as_str()), (version, "behaviours/1.0"));
    assert_eq!((log[1].path.as_str(), log[1].resource_version.as_deref()), (PATH, Some("7")));
    assert_eq!(server.count("PUT", "virtualservices"), 1);
}

#[tokio::test]
async fn objects_can_be_put_read_and_deleted_without_a_client() {
    let clock = Clock::manual(1_700_000_000_123);
    let server = ApiServer::new(clock.clone());
    let mut events = server.subscribe();
    let mut body = virtual_service("reviews", &[100]);
    body["metadata"]["namespace"] = "shop".into();
    body["status"] = json!({"conditions": []});
    let made = server.put_as(body.clone(), "argocd-controller").unwrap().value();
    assert_eq!(made["metadata"]["creationTimestamp"], "2023-11-14T22:13:20Z");
    assert_eq!((&made["metadata"]["generation"], &made["status"]), (&json!(1), &json!({"conditions": []})));
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "argocd-controller");
    // The namespace came with it.
    assert!(server.get("Namespace", "", "shop").is_some());
    clock.advance_ms(5000);
    body["spec"]["hosts"] = json!(["other"]);
    let changed = server.put(body.clone()).unwrap();
    assert_eq!(changed.value()["metadata"]["generation"], 2);
    // The same again is no new version.
    assert_eq!(server.put(body).unwrap().revision, changed.revision);
    assert_eq!(server.list("VirtualService", Some("shop")).len(), 1);
    assert_eq!(server.list("VirtualService", Some("default")).len(), 0);
    server.delete("VirtualService", "shop", "reviews").unwrap();
    assert!(server.delete("VirtualService", "shop", "reviews").is_err());
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        told.push((event.kind.kind, event.change));
    }
    assert_eq!(
        told,
        [
            ("Namespace", Change::Added),
            ("VirtualService", Change::Added),
            ("VirtualService", Change::Modified),
            ("VirtualService", Change::Deleted),
        ]
    );
    // A namespace takes its objects along.
    let mut inside = service("reviews", json!({}));
    inside["metadata"]["namespace"] = "shop".into();
    server.put(inside).unwrap();
    server.delete("Namespace", "", "shop").unwrap();
    assert!(server.get("Service", "shop", "reviews").is_none());
}

#[tokio::test]
async fn the_same_server_answers_over_tcp_and_drops_connections_there() {
    let (server, _) = server();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = server.clone();
    let task = tokio::spawn(async move { serving.serve(listener).await });
    let url = format!("http://{address}");
    let client = Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
    assert_eq!(create(&client, "reviews").await.code, 201);
    let mut watch = Watch::open(&client, &format!("{PATH}?watch=true")).await;
    assert_eq!(watch.change().await, ("ADDED".to_owned(), "reviews".to_owned()));
    server.trouble(On::verb(Verb::Get), Trouble::Drop, Times::Next(1));
    assert!(try_send(&client, "GET", &format!("{PATH}/reviews"), None).await.is_err());
    assert_eq!(send(&client, "GET", &format!("{PATH}/reviews"), None).await.code, 200);
    server.end_watches(Cut::Broken);
    assert!(watch.broken().await);
    task.abort();
    drop(task.await);
    assert!(try_send(&client, "GET", PATH, None).await.is_err());
}

fn in_default(mut body: serde_json::Value) -> serde_json::Value {
    body["metadata"]["namespace"] = "default".into();
    body
}
