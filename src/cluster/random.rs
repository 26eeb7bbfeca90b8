//! The property that the cache stands on: after any sequence of events, what is joined bit by bit, with memory of
//! earlier joins, equals what is joined from nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::domain::ids::ServiceRef;
use crate::domain::owner::Writers;
use crate::domain::versions::VersionKeys;

use super::kinds::Watched;
use super::parse;
use super::rows::Row;
use super::state::{Facts, State, Touched};
use super::words::Words;

const NAMESPACES: [&str; 3] = ["bank", "istio-system", "shop"];
/// Where things happen: mostly in one place, so that they meet.
const PLACES: [&str; 5] = ["bank", "istio-system", "shop", "shop", "shop"];
const SERVICES: [&str; 3] = ["details", "ratings", "reviews"];
const HOSTS: [&str; 9] = [
    "reviews",
    "ratings",
    "reviews.shop.svc.cluster.local",
    "details.bank.svc.cluster.local",
    "reviews.bank",
    "*.shop.svc.cluster.local",
    "*",
    "*.local",
    "www.example.com",
];

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Put(Watched, Value),
    Remove(Watched, &'static str, String),
    /// A new list of a kind that holds every second object of the old one, and one more.
    List(Watched, Option<&'static str>, Value),
    Installed(bool),
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(texts)
}

fn kinds() -> impl Strategy<Value = Watched> {
    prop::sample::select(Watched::ALL.to_vec())
}

fn labels() -> impl Strategy<Value = Value> {
    let app = prop::option::weighted(0.8, one_of(&["ratings", "reviews"]));
    let tier = prop::option::weighted(0.3, one_of(&["back", "front"]));
    let version = prop::option::of(one_of(&["v1", "v2"]));
    (app, tier, version).prop_map(|(app, tier, version)| {
        let mut out = json!({});
        for (key, value) in [("app", app), ("tier", tier), ("version", version)] {
            if let Some(value) = value {
                out[key] = json!(value);
            }
        }
        out
    })
}

fn spec_and_labels(kind: Watched) -> BoxedStrategy<Value> {
    let host = || one_of(&HOSTS);
    match kind {
        Watched::Namespace => any::<bool>()
            .prop_map(|on| json!({"labels": {"istio.io/dataplane-mode": if on { "ambient" } else { "none" }}}))
            .boxed(),
        Watched::Service => (labels(), one_of(&["", "None"]), one_of(&["ClusterIP", "ClusterIP", "ExternalName"]))
            .prop_map(|(selector, ip, r#type)| json!({"spec": {"selector": selector, "clusterIP": ip, "type": r#type}}))
            .boxed(),
        Watched::EndpointSlice => (one_of(&SERVICES), one_of(&["a", "b"]), any::<bool>())
            .prop_map(|(service, pod, ready)| {
                let endpoint = json!({"conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": pod}});
                json!({"labels": {"kubernetes.io/service-name": service}, "endpoints": [endpoint]})
            })
            .boxed(),
        Watched::Pod => (labels(), one_of(&["Running", "Failed"]), any::<bool>())
            .prop_map(|(labels, phase, sidecar)| {
                let name = if sidecar { "istio-proxy" } else { "app" };
                json!({"labels": labels, "spec": {"containers": [{"name": name}]}, "status": {"phase": phase}})
            })
            .boxed(),
        Watched::Deployment | Watched::StatefulSet => (labels(), 0..4_u32)
            .prop_map(|(labels, replicas)| {
                json!({"spec": {"replicas": replicas, "template": {"metadata": {"labels": labels}},
                    "selector": {"matchLabels": labels}}})
            })
            .boxed(),
        Watched::VirtualService => (host(), host(), prop::option::of((one_of(&["a", "b"]), one_of(&PLACES))))
            .prop_map(|(named, to, delegate)| {
                let mut http = vec![json!({"route": [{"destination": {"host": to}}]})];
                if let Some((name, namespace)) = delegate {
                    http.push(json!({"delegate": {"name": name, "namespace": namespace}}));
                }
                json!({"spec": {"hosts": [named], "http": http}})
            })
            .boxed(),
        Watched::DestinationRule => host().prop_map(|host| json!({"spec": {"host": host}})).boxed(),
    }
}

fn names(kind: Watched) -> &'static [&'static str] {
    match kind {
        Watched::Namespace => &NAMESPACES,
        Watched::Service => &SERVICES,
        _ => &["a", "b"],
    }
}

fn object(kind: Watched) -> impl Strategy<Value = Value> {
    (one_of(&PLACES), one_of(names(kind)), 0..3_u32, spec_and_labels(kind)).prop_map(
        move |(namespace, name, version, rest)| {
            let mut object = json!({"metadata": {"name": name, "resourceVersion": version.to_string()}});
            if kind != Watched::Namespace {
                object["metadata"]["namespace"] = json!(namespace);
            }
            for (key, value) in rest.as_object().into_iter().flatten() {
                match key.as_str() {
                    "labels" => object["metadata"]["labels"] = value.clone(),
                    _ => object[key] = value.clone(),
                }
            }
            object
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let put = kinds().prop_flat_map(|kind| object(kind).prop_map(move |object| Step::Put(kind, object)));
    let remove = kinds().prop_flat_map(|kind| {
        (one_of(&PLACES), one_of(names(kind))).prop_map(move |(namespace, name)| {
            let namespace = if kind == Watched::Namespace { name } else { namespace };
            Step::Remove(kind, namespace, name.to_owned())
        })
    });
    let list = kinds().prop_flat_map(|kind| {
        (prop::option::of(one_of(&NAMESPACES)), object(kind)).prop_map(move |(scope, one)| {
            let scope = scope.filter(|_| kind != Watched::Namespace);
            Step::List(kind, scope, one)
        })
    });
    prop_oneof![8 => put, 3 => remove, 1 => list, 1 => any::<bool>().prop_map(Step::Installed)]
}

fn facts() -> Facts {
    Facts {
        keys: VersionKeys::default(),
        domain: "cluster.local".into(),
        root_namespace: "istio-system".into(),
        words: Arc::new(Words::default()),
    }
}

fn read(kind: Watched, object: &Value, facts: &Facts) -> Row {
    parse::row(kind, &object.to_string(), &facts.words, &Writers::default()).unwrap()
}

/// Everything that readers can see, as text.
fn seen(state: &State) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for namespace in NAMESPACES {
        for name in SERVICES {
            let snapshot = state.snapshot(&ServiceRef::new(namespace, name));
            out.insert(format!("{namespace}/{name}"), format!("{snapshot:#?}"));
        }
    }
    out.insert("services".to_owned(), state.services().count().to_string());
    out
}

type Model = BTreeMap<(Watched, String, String), Value>;

fn key(kind: Watched, object: &Value) -> (Watched, String, String) {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    let namespace = if kind == Watched::Namespace { text("name") } else { text("namespace") };
    (kind, namespace, text("name"))
}

fn take(step: &Step, state: &mut State, model: &mut Model, installed: &mut bool) {
    let mut touched = Touched::default();
    match step {
        Step::Put(kind, object) => {
            model.insert(key(*kind, object), object.clone());
            let row = read(*kind, object, &state.facts);
            state.put(row, &mut touched);
        }
        Step::Remove(kind, namespace, name) => {
            model.remove(&(*kind, (*namespace).to_owned(), name.clone()));
            state.remove(*kind, &(*namespace).into(), &name.as_str().into(), &mut touched);
        }
        Step::List(kind, scope, one) => {
            let of =
                |key: &(Watched, String, String)| key.0 == *kind && scope.is_none_or(|scope| key.1 == scope);
            let mut at = 0;
            model.retain(|key, _| {
                at += usize::from(of(key));
                !of(key) || at % 2 == 0
            });
            if of(&key(*kind, one)) {
                model.insert(key(*kind, one), one.clone());
            }
            let rows =
                model.iter().filter(|(key, _)| of(key)).map(|(_, object)| read(*kind, object, &state.facts));
            let rows: Vec<Row> = rows.collect();
            state.replace(*kind, *scope, rows, &mut touched);
        }
        Step::Installed(now) => {
            *installed = *now;
            state.set_installed(*now, &mut touched);
        }
    }
    state.forget(&touched);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn joined_bit_by_bit_equals_joined_from_nothing(steps in prop::collection::vec(step(), 1..80)) {
        let (mut state, mut model, mut installed) = (State::new(facts()), Model::new(), true);
        for step in &steps {
            take(step, &mut state, &mut model, &mut installed);
            // Fills the memory, so that whatever the next step forgets to drop is seen.
            let now = seen(&state);
            let mut anew = State::new(facts());
            anew.installed = installed;
            for ((kind, ..), object) in &model {
                let row = read(*kind, object, &anew.facts);
                anew.put(row, &mut Touched::default());
            }
            prop_assert_eq!(now, seen(&anew), "after {:?}", step);
        }
        // Nothing is left of what is gone.
        for ((kind, namespace, name), _) in std::mem::take(&mut model) {
            take(&Step::Remove(kind, leak(&namespace), name), &mut state, &mut model, &mut installed);
        }
        prop_assert!(state.namespaces.is_empty());
    }
}

fn leak(text: &str) -> &'static str {
    NAMESPACES.into_iter().find(|namespace| *namespace == text).unwrap()
}
