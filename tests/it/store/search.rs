//! Text search: parts of words, Chinese, emoji, operators that are just text, ids and revisions as a whole.

use sluice::domain::audit::{Ending, Filter};
use sluice::domain::ids::ServiceRef;
use sluice::store::Revise;

use super::{Home, START, change, intent, outcome};

async fn found(home: &Home, text: &str) -> bool {
    let filter = Filter { text: Some(text.to_owned()), ..Filter::default() };
    let page = home.store.entries(&filter, None, 99).await.unwrap();
    let count = home.store.count(&filter).await.unwrap();
    assert_eq!(count, sluice::store::Count::Exactly(page.items.len() as u64), "{text}");
    !page.items.is_empty()
}

#[tokio::test]
async fn words_are_found_wherever_they_stand() {
    // Reason, question, found?
    let cases = [
        ("latency is fine", "latency", true),
        ("latency is fine", "LATEN", true),
        ("latency is fine", "tency fine", true),
        ("latency is fine", "fine latency", true),
        ("latency is fine", "latency bad", false),
        ("latency is fine", "is", true),
        ("latency is fine", "in", false),
        ("latency is fine", "  ", true),
        ("go to v2", "v2", true),
        ("go to v22", "v2", false),
        ("go to (v2)", "v2", true),
        ("go to v2.1", "v2.1", true),
        ("go to v2.1", "2.1", true),
        ("5% more", "5%", false),
        ("5% more", "5", true),
        ("回滚到稳定版本", "回滚", true),
        ("回滚到稳定版本", "稳定", true),
        ("回滚到稳定版本", "稳", true),
        ("回滚到稳定版本", "滚稳", false),
        ("回滚到稳定版本", "滚到稳定版", true),
        ("切到v2版本", "v2版", true),
        ("切到v2版本", "到v2", true),
        ("切到v2版本", "v2", true),
        ("ship it 🚀🚀", "🚀", true),
        ("ship it 🚀🚀", "🚀🚀🚀", false),
        ("👩‍👩‍👧 family", "👩‍👩‍👧", true),
        ("Größe geändert", "GRÖSSE", false),
        ("Größe geändert", "größe", true),
        ("Größe geändert", "ÄND", true),
        ("ΜΕΓΑΛΟΣ ΔΡΟΜΟΣ", "μεγαλοσ", true),
        ("İstanbul", "istanbul", false),
        ("say \"yes\"", "\"yes\"", true),
        ("it's; DROP TABLE audit; --", "';", false),
        ("it's; DROP TABLE audit; --", "it's;", true),
        ("it's; DROP TABLE audit; --", "table audit; --", false),
        ("100% of a*b", "a*b", true),
        ("100% of a*b", "100%", true),
        ("a AND b OR NOT c NEAR(d)", "NEAR(d)", true),
        ("plain", "NEAR(d", false),
        ("plain", "NOT", false),
        ("plain", "plain*", false),
        ("plain", "grams:plain", false),
        ("plain", "^plain", false),
        ("plain", "{plain}", false),
        ("plain", "pla_n", false),
        ("plain", "pl%", false),
        ("tab\tand\nnew line", "tab and new", true),
        ("nul\0byte", "byte", true),
        ("private \u{e02f} letter", "/", false),
        ("aaaaaaaa", "aaaaaaaaa", false),
        ("abcabcabc", "cabca", true),
        ("abcd bcde", "abcde", false),
    ];
    for (reason, text, expected) in cases {
        let home = Home::new().await;
        let mut intent = intent(1);
        intent.reason = reason.into();
        home.store.single(&intent, &outcome(1, Ending::Refused), Revise::Keep).await.unwrap();
        assert_eq!(found(&home, text).await, expected, "`{text}` in `{reason}`");
        let home = Home::new().await;
        home.store.intent(&intent).await.unwrap();
        assert_eq!(found(&home, text).await, expected, "`{text}` in `{reason}`, still open");
    }
}

#[tokio::test]
async fn service_actor_ids_and_revision_are_searched_too() {
    let home = Home::new().await;
    for number in 0..12 {
        change(&home.store, number).await;
    }
    for (text, expected) in [
        ("reviews", true),
        ("shop/rev", true),
        ("ann", true),
        ("req-11", true),
        ("REQ-11", true),
        ("req-1", true),
        ("eq-1", false),
        ("0198c0de-0000-7000-8000-000000000011", true),
        ("0198C0DE-0000-7000-8000-000000000011", true),
        ("000000000011", false),
        ("12", true),
        ("r12", true),
        ("13", false),
        ("r1 reviews ann req-0", true),
        ("r1 req-1", false),
    ] {
        assert_eq!(found(&home, text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn text_combines_with_every_other_filter() {
    let home = Home::new().await;
    for number in 0..40_u32 {
        let mut intent = intent(number);
        intent.reason = format!("turn {}", if number % 2 == 0 { "even" } else { "odd" });
        intent.actor = if number % 3 == 0 { "ann".into() } else { "bob".into() };
        intent.service = Some(ServiceRef::new(["a", "b", "c", "d"][number as usize % 4], "front"));
        home.store.single(&intent, &outcome(number, Ending::Refused), Revise::Keep).await.unwrap();
    }
    let text = Filter { text: Some("even".into()), ..Filter::default() };
    let ids = async |filter: &Filter| {
        let page = home.store.entries(filter, None, 99).await.unwrap();
        page.items.into_iter().map(|entry| entry.id - 1).collect::<Vec<_>>()
    };
    let ann = Filter { actor: Some("ann".into()), ..text.clone() };
    assert_eq!(ids(&ann).await, [36, 30, 24, 18, 12, 6, 0]);
    let service = Filter { service: Some(ServiceRef::new("c", "front")), ..ann.clone() };
    assert_eq!(ids(&service).await, [30, 18, 6]);
    let seen =
        Filter { namespaces: Some(vec!["a".into(), "b".into(), "a".into()]), own: Some("x".into()), ..ann };
    assert_eq!(ids(&seen).await, [36, 24, 12, 0]);
    let nothing = Filter { namespaces: Some(Vec::new()), own: None, ..text.clone() };
    assert_eq!(ids(&nothing).await, Vec::<i64>::new());
    let early = Filter { to_ms: Some(START + 5 + 4), ..text.clone() };
    assert_eq!(ids(&early).await, [2, 0]);
    let applied = Filter { ending: Some(Ending::Applied), ..text };
    assert_eq!(ids(&applied).await, Vec::<i64>::new());
}
