//! What a plan says before a release is started: every object that it will write, and whether its steps can be judged.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, json};
use sluice::domain::ids::{Namespace, VersionName};
use sluice::domain::observed::Sample;
use sluice::domain::overview::{DiffLine, Sign};
use sluice::domain::release::templates::FEWEST;
use sluice::domain::release::{Candidate, Strategy, Template};
use sluice::metrics::{MetricsError, Source};
use sluice::routing::diff;
use sluice::services::Settings;
use sluice::services::releases::ReleasePlan;

use super::releases::{by_pods, wish};
use crate::support::house::{House, anna, at, weights};

/// 300 requests of `reviews` v1 in each minute.
struct Steady;

impl Source for Steady {
    fn namespace<'a>(
        &'a self,
        _namespace: &'a Namespace,
        window_s: u32,
    ) -> BoxFuture<'a, Result<Vec<Sample>, MetricsError>> {
        let sample = Sample {
            service: "reviews".into(),
            workload: "reviews-v1".into(),
            version: "v1".into(),
            requests: f64::from(window_s) * 5.0,
            errors: 0.0,
            p95_ms: Some(10.0),
        };
        Box::pin(async move { Ok(vec![sample]) })
    }
}

fn codes(plan: &ReleasePlan) -> Vec<&str> {
    plan.checks.iter().map(|check| check.code.as_str()).collect()
}

#[tokio::test]
async fn a_step_that_cannot_be_judged_is_said_beforehand_with_numbers() {
    let house = House::alive(Some(Arc::new(Steady)), Settings::default()).await;
    let plan = async |least: u32, deadline: u32| {
        let spec = wish(|w| {
            w["steps"] = json!([{"kind": "weight", "percent": 10}, {"kind": "hold", "seconds": 60},
                {"kind": "weight", "percent": 100}]);
            w["policies"] = json!({"step_deadline_s": deadline});
            w["analysis"] = json!({"interval_s": 15, "window_s": 60, "min_requests": least, "failures": 2,
                "metrics": [{"metric": "success_rate", "limit": {"absolute": 99.0}}]});
        });
        house.services.plan_release(&anna(), &spec).await.unwrap()
    };
    assert!(!codes(&plan(25, 600).await).iter().any(|code| ["low_rate", "never_enough"].contains(code)));
    let late = plan(50, 600).await;
    let check = late.checks.iter().find(|check| check.code.as_str() == "low_rate").unwrap();
    let arg = |name: &str| check.args.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!((arg("n"), arg("least"), arg("better")), (Some("30"), Some("50"), Some("2")));
    // A window that there is and that is long enough.
    assert_eq!(arg("advice"), Some("window_300"));
    assert!(codes(&plan(500, 60).await).contains(&"never_enough"));
}

#[tokio::test]
async fn the_requests_that_templates_ask_for_come_within_the_window_of_every_strategy() {
    let house = House::alive(Some(Arc::new(Steady)), Settings::default()).await;
    let mut fitting = Vec::new();
    for (strategy, template) in
        Strategy::ALL.into_iter().flat_map(|one| Template::ALL.map(|template| (one, template)))
    {
        let analysis = template.analysis_at(strategy, 1, Some(5.0));
        let few = analysis.min_requests == FEWEST;
        let spec = wish(|w| {
            w["strategy"] = json!(strategy);
            w["steps"] = json!(template.steps(strategy, 1));
            w["analysis"] = json!(analysis);
            if strategy == Strategy::AbTest {
                w["steps"][0]["when"] =
                    json!([[{"on": {"in": "header", "name": "end-user"}, "op": "exact", "value": "jason"}]]);
            }
        });
        let plan = house.services.plan_release(&anna(), &spec).await.unwrap();
        let late = codes(&plan).iter().any(|code| ["low_rate", "never_enough"].contains(code));
        assert!(!late || few, "{template:?} {strategy:?}: {analysis:?} {:?}", plan.checks);
        fitting.extend((!late).then_some((strategy, template)));
    }
    for strategy in Strategy::ALL {
        assert!(fitting.iter().any(|(fits, _)| *fits == strategy), "{strategy:?}: {fitting:?}");
    }
    // All of a slow service's requests, in five minutes, less a fifth.
    assert_eq!(Template::Careful.analysis_at(Strategy::BlueGreen, 3, Some(0.55)).min_requests, 132);
    assert_eq!(Template::Careful.analysis_at(Strategy::BlueGreen, 3, Some(40.0)).min_requests, 200);
}

#[tokio::test]
async fn a_hold_before_the_first_share_is_forecast_by_the_share_that_the_version_has_already() {
    let house = House::alive(Some(Arc::new(Steady)), Settings::default()).await;
    let plan = async |stable: &str, candidate: &str| {
        let spec = wish(|w| {
            (w["stable"], w["strategy"]) = (json!(stable), json!("blue_green"));
            w["candidate"] = json!({"from": "adopt", "version": candidate});
            w["steps"] = json!([{"kind": "hold", "seconds": 60}, {"kind": "weight", "percent": 100}]);
            w["analysis"] = json!({"interval_s": 15, "window_s": 60, "min_requests": 301, "failures": 2,
                "metrics": [{"metric": "success_rate", "limit": {"absolute": 99.0}}]});
        });
        let plan = house.services.plan_release(&anna(), &spec).await.unwrap();
        let late = plan.checks.into_iter().find(|check| check.code.as_str() == "low_rate")?;
        late.args.iter().find(|(name, _)| name == "percent").map(|(_, percent)| percent.clone())
    };
    // One that has requests is looked at from the first hold on, one without any is not.
    assert_eq!(plan("v2", "v1").await.as_deref(), Some("100"));
    assert_eq!(plan("v1", "v2").await, None);
}

#[tokio::test]
async fn a_plan_says_when_its_analysis_never_looks_or_not_at_the_end() {
    let house = House::alive(Some(Arc::new(Steady)), Settings::default()).await;
    let plan = async |steps: Value, analysis: bool| {
        let spec = wish(|w| {
            w["steps"] = steps;
            if analysis {
                w["analysis"] = json!({"interval_s": 15, "window_s": 60, "min_requests": 5, "failures": 2,
                    "metrics": [{"metric": "success_rate", "limit": {"absolute": 99.0}}]});
            }
        });
        let plan = house.services.plan_release(&anna(), &spec).await.unwrap();
        let all = codes(&plan);
        (all.contains(&"never_analysed"), all.contains(&"end_not_analysed"))
    };
    let weight = |percent: u8| json!({"kind": "weight", "percent": percent});
    let hold = || json!({"kind": "hold", "seconds": 60});
    assert_eq!(plan(json!([weight(100)]), true).await, (true, false));
    // A hold before the new version gets anything looks at nothing.
    assert_eq!(plan(json!([hold(), weight(50), weight(100)]), true).await, (true, false));
    assert_eq!(plan(json!([weight(50), hold(), weight(100)]), true).await, (false, true));
    assert_eq!(plan(json!([weight(50), hold(), weight(100), hold()]), true).await, (false, false));
    assert_eq!(plan(json!([weight(100), {"kind": "analysis", "passes": 1}]), true).await, (false, false));
    assert_eq!(plan(json!([weight(100)]), false).await, (false, false));
}

#[tokio::test]
async fn what_a_service_asks_is_asked_before_the_new_version_has_a_name() {
    let house = House::alive(None, Settings::default()).await;
    let asked = async |name: &str, version: &str| -> Vec<String> {
        let mut spec = wish(|w| {
            w["service"] = json!({"namespace": "shop", "name": name});
            w["candidate"] = json!({"from": "image", "version": "v9", "image": "shop/x:2"});
        });
        // As the wizard asks: a wish without a name is planned, and not read.
        if let Candidate::Image { version: named, .. } = &mut spec.candidate {
            *named = VersionName::trusted(version);
        }
        let plan = house.services.plan_release(&anna(), &spec).await.unwrap();
        let said = format!("{:?} {:?}", plan.accepts, plan.checks);
        assert!(!said.contains("unnamed"), "{said}");
        let codes = plan.accepts.iter().map(|check| check.code.as_str().to_owned());
        codes.collect::<BTreeSet<_>>().into_iter().collect()
    };
    for name in ["cart", "catalog", "gift-cards"] {
        // Who reaches the new version early is only known of one that has a name.
        let (before, after) = (asked(name, "").await, asked(name, "v9").await);
        assert!(before.iter().all(|code| after.contains(code)), "{name}: {before:?} {after:?}");
    }
    assert!(asked("cart", "").await.contains(&"gitops".to_owned()));
}

#[tokio::test]
async fn the_plan_names_every_object_that_a_release_then_writes() {
    let house = House::alive(None, Settings::default()).await;
    // Nothing routes to it yet.
    let spec = wish(|w| w["service"]["name"] = json!("details"));
    let plan = house.services.plan_release(&anna(), &spec).await.unwrap();
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    let has = |list: &[String], start: &str| list.iter().any(|name| name.starts_with(start));
    for kind in ["Deployment bookinfo/details-v9", "VirtualService bookinfo/", "DestinationRule bookinfo/"] {
        assert!(has(&plan.creates, kind), "{kind}: {:?}", plan.creates);
    }
    assert!(!plan.objects.diffs.is_empty());
    // Where routing objects are there already, what the first step writes is shown, too.
    let reviews = house.services.plan_release(&anna(), &wish(|_| {})).await.unwrap();
    let lines = reviews.objects.diffs.iter().flat_map(|(_, lines)| lines);
    assert!(lines.filter(|line| line.text.contains("v9")).count() > 0, "{:?}", reviews.objects.diffs);
    let steps: Vec<Option<usize>> = plan.objects.steps.iter().map(|step| step.step).collect();
    assert_eq!(steps, [None, Some(0), Some(2)]);
    // By pods: both workloads are scaled.
    let spec = wish(|w| {
        w["service"] = json!({"namespace": "shop", "name": "search"});
        w["strategy"] = json!("replicas");
        w["stable"] = json!("stable");
        w["candidate"] = json!({"from": "adopt", "version": "canary"});
        w["steps"] = json!([{"kind": "replicas", "candidate": 3, "stable": 0}]);
    });
    let plan = house.services.plan_release(&anna(), &spec).await.unwrap();
    assert_eq!(plan.changes, ["Deployment shop/search-canary", "Deployment shop/search-stable"]);
}

#[tokio::test]
async fn a_canary_by_hand_is_taken_over_where_it_is_and_a_third_version_is_refused_with_its_own_sentence() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    house.change(weights(&[("v1", 60), ("v2", 40)]), &reviews, &["big_jump", "few_pods"]).await.unwrap();
    let refused = async |change: &dyn Fn(&mut serde_json::Value)| -> Vec<String> {
        let plan = house.services.plan_release(&anna(), &wish(|w| change(w))).await.unwrap();
        plan.refusals.iter().map(|refusal| refusal.code.as_str().to_owned()).collect()
    };
    assert_eq!(refused(&|_| {}).await, ["third_version"]);
    let adopt = |w: &mut serde_json::Value| w["candidate"] = json!({"from": "adopt", "version": "v2"});
    assert_eq!(refused(&adopt).await, ["step_below_now"]);
    let rising = |w: &mut serde_json::Value| {
        adopt(w);
        w["steps"] = json!([{"kind": "weight", "percent": 50}, {"kind": "weight", "percent": 100}]);
    };
    assert!(refused(&rising).await.is_empty());
    let dots = |w: &mut serde_json::Value| w["candidate"]["version"] = json!("7.5");
    assert_eq!(refused(&dots).await, ["third_version"]);
}

#[tokio::test]
async fn by_pods_an_analysis_that_cannot_look_before_the_old_version_is_gone_has_to_be_accepted() {
    let house = House::alive(Some(Arc::new(Steady)), Settings::default()).await;
    let plan = async |steps: Value, accept: Value, analysis: bool| {
        let spec = wish(|w| {
            by_pods(w, steps);
            w["policies"] = json!({"accept": accept});
            if analysis {
                w["analysis"] = json!({"interval_s": 15, "window_s": 60, "min_requests": 5, "failures": 2,
                    "metrics": [{"metric": "success_rate", "limit": {"absolute": 99.0}}]});
            }
        });
        let plan = house.services.plan_release(&anna(), &spec).await.unwrap();
        let of = |all: &[&str]| all.contains(&"analysis_blind");
        let refused: Vec<&str> = plan.refusals.iter().map(|no| no.code.as_str()).collect();
        let asked: Vec<&str> = plan.accepts.iter().map(|check| check.code.as_str()).collect();
        (of(&asked), of(&refused))
    };
    let pods =
        |candidate: u32, stable: u32| json!({"kind": "replicas", "candidate": candidate, "stable": stable});
    let hold = || json!({"kind": "hold", "seconds": 60});
    let none = || json!([]);
    // All at once; with an approval and a hold, but each at a time when only one version has pods.
    assert_eq!(plan(json!([pods(3, 0)]), none(), true).await, (true, true));
    let late = json!([{"kind": "approval"}, pods(3, 0), hold()]);
    assert_eq!(plan(late.clone(), none(), true).await, (true, true));
    let unheld = json!([pods(1, 2), pods(2, 1), pods(3, 0)]);
    assert_eq!(plan(unheld, none(), true).await, (true, true));
    // Accepted by name, or without an analysis, it can start.
    assert_eq!(plan(late.clone(), json!(["analysis_blind"]), true).await, (true, false));
    assert_eq!(plan(late, none(), false).await, (false, false));
    // A hold while both run is enough, also side by side with as many.
    assert_eq!(plan(json!([pods(1, 2), hold(), pods(3, 0)]), none(), true).await, (false, false));
    assert_eq!(plan(json!([pods(3, 3), hold(), pods(3, 0)]), none(), true).await, (false, false));
    // The templates hold in time, however few pods there are.
    for template in Template::ALL {
        for count in [1, 2, 3, 10] {
            let steps = serde_json::to_value(template.steps(Strategy::Replicas, count)).unwrap();
            assert_eq!(plan(steps.clone(), none(), true).await, (false, false), "{steps}");
        }
    }
}

/// Lines that a difference adds or takes away, without what marks the change itself and without their place in the text.
fn changed(lines: &[DiffLine]) -> Vec<(bool, String)> {
    let own = lines.iter().filter(|line| matches!(line.sign, Sign::Add | Sign::Del));
    let of_spec = own.filter(|line| !line.text.contains("sluice.io/") && !line.text.contains("annotations:"));
    // A release has its number, and its rule the name, only once it is stored.
    let text = |line: &DiffLine| line.text.trim().replace("name: r-1", "name: r-0");
    of_spec.map(|line| (line.sign == Sign::Add, text(line))).collect()
}

#[tokio::test]
async fn the_first_write_of_a_plan_is_what_the_release_writes_where_the_new_version_has_a_share() {
    let weight = |percent: u8| json!({"kind": "weight", "percent": percent});
    let approval = || json!({"kind": "approval"});
    let when = json!([[{"on": {"in": "header", "name": "x-user"}, "op": "exact", "value": "tester"}]]);
    let steps_of = |strategy: Strategy| match strategy {
        Strategy::Canary => json!([weight(10), approval(), weight(50), approval(), weight(100)]),
        Strategy::Replicas => json!([{"kind": "replicas", "candidate": 1, "stable": 1}, approval(),
            {"kind": "replicas", "candidate": 1, "stable": 0}]),
        Strategy::BlueGreen => json!([weight(100)]),
        Strategy::Mirror => json!([{"kind": "mirror", "percent": 10}, approval(),
            {"kind": "mirror", "percent": 0}, weight(100)]),
        Strategy::AbTest => {
            json!([{"kind": "rules", "when": when}, approval(), {"kind": "rules", "when": []},
            weight(100)])
        }
    };
    for strategy in Strategy::ALL {
        let house = House::alive(None, Settings::default()).await;
        let reviews = at("bookinfo", "reviews");
        house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[]).await.unwrap();
        let mut steps = steps_of(strategy);
        if strategy == Strategy::Canary {
            // The first step is where it stands already: the first write is that of the next one.
            steps.as_array_mut().unwrap().remove(1);
        }
        let spec = wish(|w| {
            w["strategy"] = json!(strategy);
            w["candidate"] = json!({"from": "adopt", "version": "v2"});
            w["steps"] = steps;
            w["policies"] = json!({"accept": ["mirror_writes"]});
        });
        let get =
            |house: &House, kind: &str| house.api.get(kind, "bookinfo", "reviews").unwrap()["spec"].clone();
        let kinds = ["VirtualService", "DestinationRule"];
        let before = kinds.map(|kind| get(&house, kind));
        let plan = house.services.plan_release(&anna(), &spec).await.unwrap();
        assert!(plan.refusals.is_empty(), "{strategy:?}: {:?}", plan.refusals);
        if strategy == Strategy::Replicas {
            assert!(plan.objects.diffs.is_empty(), "it writes no routing");
            continue;
        }
        house.start(spec).await;
        let after = house
            .until("it wrote", async |house| {
                let after = kinds.map(|kind| get(house, kind));
                (after != before).then_some(after)
            })
            .await;
        for (at, kind) in kinds.iter().enumerate() {
            let wrote = diff::specs(Some(&before[at]), Some(&after[at]));
            let planned = plan.objects.diffs.iter().find(|(object, _)| object.to_string().starts_with(kind));
            let planned = planned.map(|(_, lines)| changed(lines)).unwrap_or_default();
            assert_eq!(planned, changed(&wrote), "{strategy:?} {kind}");
        }
    }
}
