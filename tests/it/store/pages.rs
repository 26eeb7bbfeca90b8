//! Pages, counts and exports against a model that goes through every entry: every combination of filters,
//! times that run backwards, open changes, cursors.

use futures::TryStreamExt;
use proptest::prelude::*;
use sluice::domain::audit::{Action, Details, Ending, Entry, Filter, Intent, Outcome};
use sluice::domain::ids::{Namespace, ServiceRef};
use sluice::store::{Count, Revise, StoreError};

use super::{Home, START, change, intent, outcome};

const SERVICES: [Option<(&str, &str)>; 5] = [
    Some(("shop", "reviews")),
    Some(("shop", "ratings")),
    Some(("pay", "reviews")),
    Some(("weather", "front")),
    None,
];
const ACTORS: [&str; 4] = ["ann", "Ann", "system:serviceaccount:ci:deployer", "王芳"];
const REASONS: [&str; 6] = [
    "",
    "v2 looks good",
    "回滚到稳定版本 v1",
    "Error rate > 5%, see INC-4711 \"now\"",
    "canary 42 🚀 done",
    "a_b-c:d.e/f OR NOT (g) NEAR h* ^i",
];
const TEXTS: [&str; 22] = [
    "v2",
    "look",
    "OOK",
    "回滚",
    "稳定",
    "滚",
    "🚀",
    "inc-4711",
    "4711",
    "> 5%",
    "\"now\"",
    "reviews",
    "shop/r",
    "req-3",
    "req",
    "42",
    "r2",
    "2",
    "王",
    "OR",
    "near h*",
    "v2 shop looks",
];

/// One entry to be made.
#[derive(Clone, Debug)]
struct Make {
    how: How,
    service: usize,
    actor: usize,
    action: usize,
    ending: usize,
    at: i64,
    reason: usize,
    revise: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Single,
    Pair,
    /// The outcome comes after everything else.
    Late,
    Open,
}

fn makes() -> impl Strategy<Value = Vec<Make>> {
    let how =
        prop_oneof![6 => Just(How::Single), 2 => Just(How::Pair), 1 => Just(How::Late), 1 => Just(How::Open)];
    let one =
        (how, 0..5_usize, 0..4_usize, 0..7_usize, 0..6_usize, -2000..2000_i64, 0..6_usize, any::<bool>());
    let one = one.prop_map(|(how, service, actor, action, ending, at, reason, revise)| Make {
        how,
        service,
        actor,
        action,
        ending,
        at,
        reason,
        revise,
    });
    prop::collection::vec(one, 0..60)
}

fn filters() -> impl Strategy<Value = Filter> {
    let maybe = |range: std::ops::Range<usize>| prop::option::weighted(0.35, range);
    let time = || prop::option::weighted(0.3, -2200..2200_i64);
    let namespaces = prop::option::weighted(0.3, prop::collection::vec(0..4_usize, 0..4));
    let parts = (
        maybe(0..4),
        maybe(0..4),
        maybe(0..7),
        maybe(0..6),
        time(),
        time(),
        maybe(0..TEXTS.len()),
        namespaces,
        maybe(0..4),
    );
    parts.prop_map(|(service, actor, action, ending, from, to, text, namespaces, own)| Filter {
        service: service
            .and_then(|at| SERVICES[at])
            .map(|(namespace, name)| ServiceRef::new(namespace, name)),
        actor: actor.map(|at| ACTORS[at].to_owned()),
        action: action.map(|at| Action::ALL[at]),
        ending: ending.map(|at| Ending::ALL[at]),
        from_ms: from.map(|at| START + at),
        to_ms: to.map(|at| START + at),
        text: text.map(|at| TEXTS[at].to_owned()),
        changes_only: false,
        own: namespaces.as_ref().and(own).map(|at| ACTORS[at].to_owned()),
        namespaces: namespaces.map(|all| {
            all.into_iter().map(|at| Namespace::from(["shop", "pay", "weather", "none"][at])).collect()
        }),
    })
}

fn intent_of(number: usize, make: &Make) -> Intent {
    Intent {
        change: format!("change-{number}"),
        at_ms: START + make.at,
        service: SERVICES[make.service].map(|(namespace, name)| ServiceRef::new(namespace, name)),
        actor: ACTORS[make.actor].to_owned(),
        action: Action::ALL[make.action],
        reason: REASONS[make.reason].to_owned(),
        request_id: format!("REQ-{number}"),
        ..intent(0)
    }
}

fn outcome_of(make: &Make) -> (Outcome, Revise) {
    let revise = if make.revise { Revise::Next { fingerprint: "f".into() } } else { Revise::Keep };
    let ending = Ending::ALL[make.ending];
    let details = Details { error: make.revise.then(|| "words".to_owned()), ..Details::default() };
    (Outcome { at_ms: START + make.at, ending, revision: None, details }, revise)
}

/// Makes the entries; returns all of them as the history should show them, oldest first.
async fn fill(home: &Home, makes: &[Make]) -> Vec<Entry> {
    let store = &home.store;
    let (mut all, mut late) = (Vec::new(), Vec::new());
    for (number, make) in makes.iter().enumerate() {
        let intent = intent_of(number, make);
        let (outcome, revise) = outcome_of(make);
        if make.how == How::Single {
            all.push(store.single(&intent, &outcome, revise).await.unwrap());
            continue;
        }
        let id = store.intent(&intent).await.unwrap();
        match make.how {
            How::Pair => all.push(store.outcome(id, &intent, &outcome, revise).await.unwrap()),
            How::Open => all.push(Entry { id, intent, outcome: None }),
            _ => late.push((id, intent, outcome, revise)),
        }
    }
    for (id, intent, outcome, revise) in late {
        all.push(store.outcome(id, &intent, &outcome, revise).await.unwrap());
    }
    all
}

/// The meaning of the filter, as plainly as possible.
fn wanted(filter: &Filter, entry: &Entry) -> bool {
    let (intent, outcome) = (&entry.intent, entry.outcome.as_ref());
    let at = outcome.map_or(intent.at_ms, |outcome| outcome.at_ms);
    let may_see = match (&filter.namespaces, &intent.service) {
        (None, _) => true,
        (Some(namespaces), Some(service)) => namespaces.contains(&service.namespace),
        (Some(_), None) => filter.own.as_ref() == Some(&intent.actor),
    };
    may_see
        && (filter.service.is_none() || filter.service == intent.service)
        && filter.actor.as_ref().is_none_or(|actor| *actor == intent.actor)
        && filter.action.is_none_or(|action| action == intent.action)
        && filter.ending.is_none_or(|ending| outcome.is_some_and(|outcome| outcome.ending == ending))
        && filter.from_ms.is_none_or(|from| at >= from)
        && filter.to_ms.is_none_or(|to| at < to)
        && filter.text.as_ref().is_none_or(|text| text.split_whitespace().all(|word| has(entry, word)))
}

fn has(entry: &Entry, word: &str) -> bool {
    let word = word.to_lowercase();
    let service = entry.intent.service.as_ref().map(ToString::to_string).unwrap_or_default();
    let texts =
        [service, entry.intent.actor.clone(), entry.intent.reason.clone()].map(|text| text.to_lowercase());
    let mut ids = vec![entry.intent.request_id.to_lowercase(), entry.intent.change.to_lowercase()];
    if let Some(revision) = entry.outcome.as_ref().and_then(|outcome| outcome.revision) {
        ids.extend([revision.to_string(), format!("r{revision}")]);
    }
    let short = word.is_ascii() && word.len() < 3;
    let in_text = |text: &String| {
        if short {
            text.split(|c: char| !c.is_ascii_alphanumeric()).any(|piece| piece == word)
        } else {
            text.contains(&word)
        }
    };
    ids.contains(&word) || texts.iter().any(in_text)
}

async fn all_pages(home: &Home, filter: &Filter, limit: usize) -> Vec<Entry> {
    let (mut out, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = home.store.entries(filter, cursor.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit);
        assert!(page.next.is_none() || page.items.len() == limit, "only a full page has a next one");
        out.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return out,
        }
    }
}

fn light(mut entry: Entry) -> Entry {
    entry.intent.details.edits.clear();
    entry
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_counts_and_exports_are_what_the_filter_says(
        makes in makes(),
        filters in prop::collection::vec(filters(), 40),
        limit in 1..8_usize,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let home = Home::new().await;
            let mut all = fill(&home, &makes).await;
            all.sort_by_key(|entry| std::cmp::Reverse(entry.id));
            for filter in filters {
                let expected: Vec<Entry> = all.iter().filter(|entry| wanted(&filter, entry)).cloned().collect();
                let pages = all_pages(&home, &filter, limit).await;
                let shown: Vec<Entry> = expected.iter().cloned().map(light).collect();
                prop_assert_eq!(&pages, &shown, "{:?}", filter);
                let count = home.store.count(&filter).await.unwrap();
                prop_assert_eq!(count, Count::Exactly(expected.len() as u64), "{:?}", filter);
                let exported = exported(&home, filter.clone()).await;
                prop_assert_eq!(exported, expected, "{:?}", filter);
            }
            let report = sluice::store::verify::verify(&home.path(), None).await.unwrap();
            prop_assert!(report.is_good(), "{}", report);
            Ok(())
        })?;
    }

    #[test]
    fn no_text_breaks_the_search(text in "\\PC{0,40}|[\"'*()^:+-]{1,9}|(AND|OR|NOT|NEAR|[a-z一-十\u{1f680}\\s\0]){1,12}") {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let home = Home::new().await;
            let mut intent = intent(1);
            intent.reason.clone_from(&text);
            home.store.single(&intent, &outcome(1, Ending::Applied), Revise::Keep).await.unwrap();
            let open = home.store.intent(&intent).await.unwrap();
            let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
            // Whatever was written is found again by any of its words that is long enough.
            for word in words.into_iter().filter(|word| word.chars().nth(2).is_some()).chain([text.as_str()]) {
                let filter = Filter { text: Some(word.to_owned()), ..Filter::default() };
                let found = home.store.entries(&filter, None, 9).await.unwrap().items;
                if word != text {
                    prop_assert_eq!(found.len(), 2, "{:?}", word);
                }
            }
            prop_assert!(open > 0);
            Ok(())
        })?;
    }

    #[test]
    fn no_cursor_but_our_own_is_taken(cursor in "\\PC{0,40}|[0-9a-f]{24}|[0-9a-f]{16}") {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let home = Home::new().await;
            let refused = home.store.entries(&Filter::default(), Some(&cursor), 9).await;
            prop_assert!(matches!(refused, Err(StoreError::BadCursor)), "{:?}", refused);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_cursor_is_refused_when_one_digit_differs_and_says_so() {
    let home = Home::new().await;
    for number in 0..3 {
        change(&home.store, number).await;
    }
    let page = home.store.entries(&Filter::default(), None, 1).await.unwrap();
    let cursor = page.next.unwrap();
    for place in 0..cursor.len() {
        let mut other = cursor.clone().into_bytes();
        other[place] = if other[place] == b'0' { b'1' } else { b'0' };
        let other = String::from_utf8(other).unwrap();
        let refused = home.store.entries(&Filter::default(), Some(&other), 1).await.unwrap_err();
        assert_eq!(refused.cursor_refusal().unwrap().code.as_str(), "bad_cursor");
    }
    for bad in [
        "",
        "null",
        "'; DROP TABLE audit; --",
        "ffffffffffffffff00000000",
        &cursor.to_uppercase(),
        &cursor[..23],
    ] {
        let refused = home.store.entries(&Filter::default(), Some(bad), 1).await;
        let same = *bad == cursor;
        assert!(same || matches!(refused, Err(StoreError::BadCursor)), "{bad}");
    }
}

#[tokio::test]
async fn entries_that_come_while_somebody_reads_move_nothing() {
    let home = Home::new().await;
    for number in 0..6 {
        change(&home.store, number).await;
    }
    let first = home.store.entries(&Filter::default(), None, 2).await.unwrap();
    let mut export = Box::pin(home.store.export(Filter::default()));
    let newest = export.try_next().await.unwrap().unwrap().unwrap();
    // Newer ones, one of them with a clock that was set back by a day.
    change(&home.store, 7).await;
    let mut back = intent(8);
    back.at_ms -= 86_400_000;
    let mut ended = outcome(8, Ending::Applied);
    ended.at_ms -= 86_400_000;
    home.store.single(&back, &ended, Revise::Keep).await.unwrap();
    let second = home.store.entries(&Filter::default(), first.next.as_deref(), 2).await.unwrap();
    let ids: Vec<i64> = first.items.iter().chain(&second.items).map(|entry| entry.id).collect();
    assert_eq!(ids, [12, 10, 8, 6]);
    let rest: Vec<Entry> = export.map_ok(Result::unwrap).try_collect().await.unwrap();
    assert_eq!(newest.id, 12);
    assert_eq!(rest.iter().map(|entry| entry.id).collect::<Vec<_>>(), [10, 8, 6, 4, 2]);
    let day = Filter { to_ms: Some(START - 80_000_000), ..Filter::default() };
    let old = home.store.entries(&day, None, 9).await.unwrap();
    assert_eq!(old.items.len(), 1, "found by its own time");
}

#[tokio::test]
async fn long_histories_are_counted_up_to_a_bound_and_exported_whole() {
    let home = Home::new().await;
    let open = home.store.intent(&intent(0)).await.unwrap();
    for part in 0..21_u32 {
        let one = |number: u32| {
            let mut intent = intent(part * 500 + number);
            intent.service = Some(ServiceRef::new(["shop", "pay"][number as usize % 2], "reviews"));
            (intent, outcome(number, Ending::Refused), Revise::Keep)
        };
        home.store.singles((0..500).map(one).collect()).await.unwrap();
    }
    let all = Filter::default();
    assert_eq!(home.store.count(&all).await.unwrap(), Count::MoreThan(10_000));
    let refused = Filter { ending: Some(Ending::Refused), ..Filter::default() };
    assert_eq!(home.store.count(&refused).await.unwrap(), Count::MoreThan(10_000));
    let shop = Filter { namespaces: Some(vec!["shop".into()]), ..Filter::default() };
    assert_eq!(home.store.count(&shop).await.unwrap(), Count::Exactly(5251));
    let exported = exported(&home, shop).await;
    assert_eq!(exported.len(), 5251);
    assert!(exported.is_sorted_by(|a, b| a.id > b.id));
    assert_eq!((exported[5250].id, &exported[5250].outcome), (open, &None));
    assert!(!exported[0].intent.details.edits.is_empty(), "with everything");
    let hour = Filter { from_ms: Some(START + 5), to_ms: Some(START + 15), ..Filter::default() };
    assert_eq!(home.store.count(&hour).await.unwrap(), Count::Exactly(210));
    assert_eq!(home.store.actors().await.unwrap(), ["ann"]);
}

/// Everything that an export gives; each row can be read.
async fn exported(home: &Home, filter: Filter) -> Vec<Entry> {
    home.store.export(filter).map_ok(Result::unwrap).try_collect().await.unwrap()
}
