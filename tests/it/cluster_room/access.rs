//! Authentication and authorisation: asked of the API server, believed for a minute, never by the wrong person.

use sluice::cluster::{Ask, Options, Visible};
use sluice::demo::api::{ApiServer, On, Person, Right, Times, Trouble};
use sluice::domain::actor::Identity;
use sluice::domain::ids::{Kind, Namespace};
use sluice::domain::refusal::Code;

use super::scene::{Scene, reviews, service, shift};

fn right(subject: &str, namespace: Option<&str>, verbs: &[&str], resources: &[&str]) -> Right {
    let all = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Right {
        subject: subject.to_owned(),
        namespace: namespace.map(Into::into),
        verbs: all(verbs),
        groups: vec!["*".to_owned()],
        resources: all(resources),
        ..Right::default()
    }
}

fn people(api: &ApiServer) {
    reviews(api);
    let mut elsewhere = service("accounts");
    elsewhere["metadata"]["namespace"] = "bank".into();
    api.put(elsewhere).unwrap();
    let person = |name: &str, groups: &[&str]| Person {
        token: format!("{name}-token"),
        name: name.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..Person::default()
    };
    api.add_person(person("amy", &["shop-team"]));
    api.add_person(person("bob", &[]));
    api.add_person(Person { audiences: vec!["sluice".into()], ..person("robot", &[]) });
    // Sluice itself, which sends no token here.
    api.grant(right("system:anonymous", None, &["*"], &["*"]));
    api.grant(right("group:shop-team", Some("shop"), &["list"], &["services"]));
    api.grant(right("group:shop-team", Some("shop"), &["update"], &["virtualservices", "destinationrules"]));
    api.grant(right("bob", None, &["list"], &["services"]));
}

async fn identity(scene: &Scene, name: &str) -> Identity {
    scene.cluster.review_token(&format!("{name}-token")).await.unwrap().unwrap()
}

fn reviews_sent(scene: &Scene) -> usize {
    scene.api.count("POST", "reviews")
}

#[tokio::test(start_paused = true)]
async fn a_token_is_reviewed_once_a_minute() {
    let scene = Scene::on(people).await;
    let amy = identity(&scene, "amy").await;
    assert_eq!(amy.user, "amy");
    assert!(amy.groups.contains(&"shop-team".to_owned()) && !amy.unrestricted);
    assert_eq!(identity(&scene, "amy").await, amy);
    assert_eq!(reviews_sent(&scene), 1);
    scene.clock.advance_ms(60_001);
    identity(&scene, "amy").await;
    assert_eq!(reviews_sent(&scene), 2);
    assert_eq!(scene.cluster.review_token("nonsense").await, Ok(None));
    scene.api.add_person(Person { token: "nonsense".into(), name: "new".into(), ..Person::default() });
    // A token that was none may become one soon.
    scene.clock.advance_ms(15_001);
    assert!(scene.cluster.review_token("nonsense").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_token_must_be_meant_for_us() {
    let for_us = |options: &mut Options| options.audiences = vec!["us".to_owned()];
    let scene = Scene::with(for_us, people).await;
    assert_eq!(scene.cluster.review_token("robot-token").await, Ok(None));
    let for_sluice = |options: &mut Options| options.audiences = vec!["sluice".to_owned()];
    let scene = Scene::with(for_sluice, people).await;
    assert_eq!(identity(&scene, "robot").await.user, "robot");
}

#[tokio::test(start_paused = true)]
async fn rights_are_each_persons_own() {
    let scene = Scene::on(people).await;
    let (amy, bob) = (identity(&scene, "amy").await, identity(&scene, "bob").await);
    let shop = Namespace::from("shop");
    let seen = async |who: &Identity| scene.cluster.visible_namespaces(who, &scene.cache).await.unwrap();
    assert_eq!(seen(&amy).await, Visible::Some([shop.clone()].into()));
    assert_eq!(seen(&bob).await, Visible::All);
    assert_eq!(seen(&Identity::local("me")).await, Visible::All);
    let lacking = async |who: &Identity, place: &str| {
        let lacking = scene.cluster.may_change(who, [&Namespace::from(place)]).await.unwrap();
        lacking.map(|ask| ask.to_string())
    };
    assert_eq!(lacking(&amy, "shop").await, None);
    assert_eq!(
        lacking(&amy, "bank").await.as_deref(),
        Some("update virtualservices.networking.istio.io in bank")
    );
    assert_eq!(
        lacking(&bob, "shop").await.as_deref(),
        Some("update virtualservices.networking.istio.io in shop")
    );
    let plan = shift(&scene.fresh("reviews").await.unwrap(), [30, 70]);
    assert_eq!(scene.cluster.may_write(&amy, &plan).await, Ok(None));
    let lacks = scene.cluster.may_write(&bob, &plan).await.unwrap().unwrap();
    assert_eq!(lacks, Ask::write("update", Kind::VirtualService, shop).named("reviews"));
}

#[tokio::test(start_paused = true)]
async fn an_allowance_is_believed_for_a_minute_and_a_denial_for_fifteen_seconds() {
    let scene = Scene::on(people).await;
    let amy = identity(&scene, "amy").await;
    let ask = || Ask::see(Some(Namespace::from("shop")));
    assert_eq!(scene.cluster.allowed(&amy, ask()).await, Ok(true));
    scene.api.revoke("group:shop-team");
    assert_eq!(scene.cluster.allowed(&amy, ask()).await, Ok(true));
    scene.clock.advance_ms(60_000);
    assert_eq!(scene.cluster.allowed(&amy, ask()).await, Ok(false));
    scene.api.grant(right("amy", None, &["list"], &["services"]));
    assert_eq!(scene.cluster.allowed(&amy, ask()).await, Ok(false));
    scene.clock.advance_ms(15_000);
    assert_eq!(scene.cluster.allowed(&amy, ask()).await, Ok(true));
}

#[tokio::test(start_paused = true)]
async fn a_right_to_write_that_was_taken_away_is_believed_for_three_seconds() {
    let scene = Scene::on(people).await;
    let amy = identity(&scene, "amy").await;
    let plan = shift(&scene.fresh("reviews").await.unwrap(), [30, 70]);
    assert_eq!(scene.cluster.may_write(&amy, &plan).await, Ok(None));
    let asked = reviews_sent(&scene);
    assert_eq!(scene.cluster.may_write(&amy, &plan).await, Ok(None));
    assert_eq!(reviews_sent(&scene), asked, "one press asks once");
    scene.api.revoke("group:shop-team");
    scene.clock.advance_ms(3_000);
    assert!(scene.cluster.may_write(&amy, &plan).await.unwrap().is_some());
    // A denial is not asked for again by every press.
    let asked = reviews_sent(&scene);
    assert!(scene.cluster.may_write(&amy, &plan).await.unwrap().is_some());
    assert_eq!(reviews_sent(&scene), asked);
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_no_allowance_and_is_not_remembered() {
    let scene = Scene::on(people).await;
    let amy = identity(&scene, "amy").await;
    scene.api.freeze();
    let error = scene.cluster.allowed(&amy, Ask::see(Some(Namespace::from("shop")))).await.unwrap_err();
    assert_eq!(error.refusal().code, Code::ClusterTimeout);
    let error = scene.cluster.review_token("bob-token").await.unwrap_err();
    assert_eq!(error.refusal().code, Code::ClusterTimeout);
    scene.api.thaw();
    scene.api.trouble(On::any().of("subjectaccessreviews"), Trouble::Answer(503), Times::Next(1));
    assert_eq!(scene.cluster.allowed(&amy, Ask::see(Some(Namespace::from("shop")))).await, Ok(true));
    identity(&scene, "bob").await;
}
