//! The troubles that tests can order from the API server in memory do what they say.

use std::time::Duration;

use kube::Client;
use sluice::clock::Clock;
use sluice::demo::api::{ApiServer, On, Times, Trouble, Verb};

use super::behaviours::{send, virtual_service};

const PATH: &str = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";

fn server() -> (ApiServer, Client) {
    let server = ApiServer::new(Clock::System);
    let client = Client::new(server.service(), "default");
    (server, client)
}

#[tokio::test]
async fn an_answer_instead_of_the_write_leaves_nothing() {
    let (server, client) = server();
    server.trouble(On::verb(Verb::Create).of("virtualservices"), Trouble::Answer(503), Times::Next(1));
    let first = send(&client, "POST", PATH, Some(virtual_service("reviews", &[100]))).await;
    assert_eq!((first.code, server.get("VirtualService", "default", "reviews")), (503, None));
    let second = send(&client, "POST", PATH, Some(virtual_service("reviews", &[100]))).await;
    assert_eq!((second.code, server.count("POST", "virtualservices")), (201, 2));
}

#[tokio::test]
async fn an_answer_after_the_write_hides_that_it_was_done() {
    let (server, client) = server();
    server.trouble(On::verb(Verb::Create), Trouble::AnswerAfterApplying(504), Times::Next(1));
    let answer = send(&client, "POST", PATH, Some(virtual_service("reviews", &[100]))).await;
    assert_eq!(answer.code, 504);
    assert!(server.get("VirtualService", "default", "reviews").is_some());
}

#[tokio::test]
async fn a_frozen_server_says_nothing_until_it_thaws() {
    let (server, client) = server();
    server.freeze();
    let asked = tokio::spawn(async move { send(&client, "GET", PATH, None).await.code });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!asked.is_finished());
    server.thaw();
    assert_eq!(asked.await.unwrap(), 200);
}
