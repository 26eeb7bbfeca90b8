//! The program is killed, or ended in order, at random moments while releases of every strategy run: each goes on, no
//! step is lost or done twice, and the history holds together. 85 times; `SLUICE_TEST_KILLS=500` for more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, DynamicObject, WatchEvent, WatchParams};
use serde_json::{Value, json};
use sluice::demo::random::Random;

use crate::support::cluster::RealCluster;
use crate::support::manager::{Manager, STRATEGIES, by_image, wish};
use crate::support::mesh::Town;
use crate::support::number;
use crate::support::served::{Served, verify};

const NAMESPACE: &str = "killed";
const KILLS: usize = 85;
/// A StatefulSet whose pods are replaced in place.
const BATCHES: &str = "batches";

/// Releases of one service, one after the other.
struct Course {
    name: String,
    strategy: &'static str,
    /// Which release comes next, or runs.
    n: usize,
    id: Option<String>,
    ended: Vec<String>,
}

impl Course {
    fn wish(&self) -> Value {
        if self.strategy != BATCHES {
            return wish(NAMESPACE, &self.name, self.strategy, self.n);
        }
        let (stable, next) = (format!("v{}", self.n + 1), format!("v{}", self.n + 2));
        json!({"service": {"namespace": NAMESPACE, "name": self.name}, "strategy": "replicas", "stable": stable,
            "candidate": {"from": "image", "version": next, "image": format!("tests/{}:{next}", self.name),
                "in_place": true},
            "steps": [{"kind": "replicas", "candidate": 1}, {"kind": "hold", "seconds": 1},
                {"kind": "replicas", "candidate": 3}]})
    }

    /// Looks how the release is, and goes on where it has ended.
    async fn tend(&mut self, people: &Manager<'_>, more: bool) {
        let Some(id) = &self.id else {
            if more {
                self.id = Some(people.start(&self.wish()).await);
            }
            return;
        };
        let release = people.get(id).await;
        assert!(release["paused"].is_null() && release["needs"].is_null(), "{release}");
        let commands = release["commands"].as_array().unwrap();
        // Before the last action is answered it accepts no command.
        if release["ended"] == json!(false) || commands.is_empty() {
            return;
        }
        assert_eq!(release["phase"], json!("succeeded"), "{release}");
        if by_image(self.strategy) && commands.contains(&json!("retire")) {
            let confirm = format!("{} {}", self.name, release["spec"]["stable"].as_str().unwrap());
            people.say(id, json!({"command": "retire", "confirm": confirm})).await;
            return;
        }
        self.ended.extend(self.id.take());
        self.n += 1;
    }
}

/// What became of the objects, as the API server tells it: by what is watched, every number that it ever had.
type Told = Arc<Mutex<BTreeMap<String, Vec<i64>>>>;

fn note(told: &Told, key: String, number: i64) {
    let mut told = told.lock().unwrap();
    let all = told.entry(key).or_default();
    if all.last() != Some(&number) {
        all.push(number);
    }
}

fn hear(told: &Told, kind: &str, object: &DynamicObject, is_new: bool) {
    let name = object.metadata.name.clone().unwrap_or_default();
    let (labels, spec) = (object.metadata.labels.clone().unwrap_or_default(), &object.data["spec"]);
    match kind {
        "VirtualService" => {
            // The default route: the last one.
            let route = spec["http"].as_array().unwrap().last().unwrap()["route"].as_array().unwrap();
            let mut seen = BTreeMap::new();
            for to in route {
                let subset = to["destination"]["subset"].as_str().unwrap_or_default();
                seen.insert(subset.to_owned(), to["weight"].as_i64().unwrap_or(100));
            }
            assert_eq!(seen.values().sum::<i64>(), 100, "{route:?}");
            for version in seen.keys().cloned().chain(["v1".to_owned(), "v2".to_owned()]) {
                note(told, format!("{name} {version}"), seen.get(&version).copied().unwrap_or(0));
            }
        }
        "Deployment" => {
            let key = format!("{} {}", labels["app"], labels["version"]);
            note(told, format!("pods of {key}"), spec["replicas"].as_i64().unwrap());
            if is_new {
                let mut told = told.lock().unwrap();
                told.entry(format!("made {key}")).or_default().push(1);
            }
        }
        _ => {
            let partition = spec.pointer("/updateStrategy/rollingUpdate/partition");
            note(told, format!("partition of {name}"), partition.and_then(Value::as_i64).unwrap_or(0));
        }
    }
}

/// Follows a kind from its beginning, without a gap, until the test ends.
async fn follow(api: Api<DynamicObject>, kind: &'static str, told: Told) {
    let mut version = "0".to_owned();
    loop {
        let params = WatchParams::default().timeout(280);
        let mut events = api.watch(&params, &version).await.unwrap().boxed();
        while let Some(event) = events.try_next().await.unwrap() {
            let (object, is_new) = match event {
                WatchEvent::Added(object) => (object, true),
                WatchEvent::Modified(object) | WatchEvent::Deleted(object) => (object, false),
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(error) => panic!("{kind}: {error:?}"),
            };
            version = object.metadata.resource_version.clone().unwrap();
            hear(&told, kind, &object, is_new);
        }
    }
}

async fn prepare(town: &Town<'_>) -> Vec<Course> {
    let mut courses = Vec::new();
    for strategy in STRATEGIES.into_iter().chain([BATCHES, "canary", "blue_green"]) {
        let name = format!("{}-{}", strategy.replace('_', "-"), courses.len());
        town.service(&name, 8080).await;
        if strategy == BATCHES {
            let pod = json!({"metadata": {"labels": {"app": name, "version": "v1"}},
                "spec": {"containers": [{"name": "app", "image": format!("tests/{name}:v1")}]}});
            let spec = json!({"serviceName": name, "replicas": 3, "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": {"app": name}}, "template": pod});
            let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "spec": spec});
            town.create("StatefulSet", set).await.unwrap();
        } else {
            town.deploy(&name, "v1", 2, 8080, json!({})).await;
            if !by_image(strategy) {
                let pods = if strategy == "replicas" { 0 } else { 2 };
                town.deploy(&name, "v2", pods, 8080, json!({})).await;
            }
        }
        courses.push(Course { name, strategy, n: 0, id: None, ended: Vec::new() });
    }
    town.settled().await;
    courses
}

#[tokio::test]
async fn killed_at_random_moments_every_release_goes_on_and_does_each_step_once() {
    let Some(cluster) = RealCluster::shared() else { return };
    let kills: usize = number("SLUICE_TEST_KILLS", KILLS);
    let town = Town::new(cluster, NAMESPACE).await;
    let told = Told::default();
    let mut following = tokio::task::JoinSet::new();
    for kind in ["VirtualService", "Deployment", "StatefulSet"] {
        following.spawn(follow(town.objects(kind), kind, told.clone()));
    }
    let mut courses = prepare(&town).await;
    let mut sluice = Served::on(cluster, &["--max-changes-per-minute", "0"]).await;
    for course in &courses {
        let known: &[(&str, u32)] = match course.strategy {
            BATCHES => &[("v1", 3)],
            "replicas" => &[("v1", 2), ("v2", 0)],
            strategy if by_image(strategy) => &[("v1", 2)],
            _ => &[("v1", 2), ("v2", 2)],
        };
        town.known(&sluice, &course.name, known).await;
    }
    let mut random = Random::new(20_261_121);
    for _ in 0..kills {
        // One in eight does not even get ready.
        if random.below(8) > 0 {
            sluice.is_ready().await;
            let people = Manager { sluice: &sluice, token: cluster.token("admin") };
            for course in &mut courses {
                course.tend(&people, true).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(random.below(600))).await;
        // One in four ends as a new version of Sluice is rolled out: in order, and in the middle just the same.
        if random.below(4) == 0 {
            sluice.end_and_start();
        } else {
            sluice.kill_and_start();
        }
        assert!(following.try_join_next().is_none(), "a watch has ended");
    }
    // From now on it lives: everything that was begun comes to its end.
    sluice.is_ready().await;
    let people = Manager { sluice: &sluice, token: cluster.token("admin") };
    let all_done = async {
        while courses.iter().any(|course| course.id.is_some()) {
            for course in &mut courses {
                course.tend(&people, false).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), all_done)
        .await
        .expect("everything that was begun has ended");

    let mut ended = 0;
    for course in &courses {
        assert!(!course.ended.is_empty(), "{} never ended a release", course.name);
        for id in &course.ended {
            each_step_once(&people, id).await;
            ended += 1;
        }
        as_it_should_have_been(course, &told.lock().unwrap());
    }
    eprintln!("{kills} kills, {ended} releases");
    assert!(sluice.end(), "an orderly end");
    let (report, good) = verify(&sluice.history());
    assert!(good, "{report}");
}

/// Its timeline has no gap, and every step began and ended once, in order.
async fn each_step_once(people: &Manager<'_>, id: &str) {
    let timeline = people.timeline(id).await;
    let steps = people.get(id).await["spec"]["steps"].as_array().unwrap().len();
    let numbers: Vec<u64> = timeline.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    let expected: Vec<u64> = (1..=u64::try_from(timeline.len()).unwrap()).collect();
    assert_eq!(numbers, expected, "{id}: {timeline:?}");
    let all = timeline.iter().flat_map(|entry| entry["happened"].as_array().unwrap());
    let seen: Vec<String> = all
        .filter(|one| one["what"] == "step_began" || one["what"] == "step_done")
        .map(|one| format!("{} {}", one["what"].as_str().unwrap(), one["step"]))
        .collect();
    let expected: Vec<String> =
        (0..steps).flat_map(|step| [format!("step_began {step}"), format!("step_done {step}")]).collect();
    assert_eq!(seen, expected, "{id}: {timeline:?}");
}

/// The writes of a service that the API server got are the steps of its releases, each once.
fn as_it_should_have_been(course: &Course, told: &BTreeMap<String, Vec<i64>>) {
    let of = |key: &str| told.get(key).cloned().unwrap_or_default();
    // What a cycle of two releases to and fro leaves, over and over.
    let cycles = |first: i64, cycle: &[i64]| -> Vec<i64> {
        let half = cycle.len() / 2 * course.ended.len();
        std::iter::once(first).chain(cycle.iter().copied().cycle().take(half)).collect()
    };
    let name = &course.name;
    match course.strategy {
        "replicas" => assert_eq!(of(&format!("pods of {name} v2")), cycles(0, &[1, 2, 1, 0]), "{name}"),
        BATCHES => assert_eq!(of(&format!("partition of {name}")), cycles(0, &[2, 0, 2, 0]), "{name}"),
        "mirror" | "ab_test" => assert_eq!(of(&format!("{name} v2")), cycles(0, &[50, 100, 50, 0]), "{name}"),
        strategy => {
            let up: &[i64] = if strategy == "canary" { &[20, 60, 100] } else { &[100] };
            let down: &[i64] = if strategy == "canary" { &[80, 40, 0] } else { &[0] };
            for n in 2..=course.ended.len() + 1 {
                let is_last = n == course.ended.len() + 1;
                let down = if is_last { &[][..] } else { down };
                let expected: Vec<i64> = up.iter().chain(down).copied().collect();
                let seen = of(&format!("{name} v{n}"));
                let seen: Vec<i64> = seen.into_iter().skip_while(|weight| *weight == 0).collect();
                assert_eq!(seen, expected, "{name} v{n}");
                assert_eq!(of(&format!("made {name} v{n}")), [1], "{name} v{n}");
            }
        }
    }
}
