//! Routing objects that nobody could have meant, in a real cluster whose webhook did not stop them: their
//! service is shown with a finding, every other service works, and no page hangs.

use serde_json::{Value, json};

use super::{subsets, to};
use crate::support::cluster::{Options, RealCluster};
use crate::support::mesh::{Town, weights};
use crate::support::served::Served;
use crate::support::wait_for;

/// Name of the service, the spec, and whether a finding has to tell of it.
fn nonsense() -> Vec<(&'static str, Value, bool)> {
    let host = |name: &str| json!([format!("{name}.nonsense.svc.cluster.local")]);
    let many = |n: usize, route: &dyn Fn(usize) -> Value| (0..n).map(route).collect::<Vec<_>>();
    let one = |n: usize| json!({"match": [{"uri": {"exact": format!("/{n}")}}], "route": [to("many-routes", "v1", 100)]});
    let matches = many(2_000, &|n| json!({"uri": {"exact": format!("/{n}")}}));
    let long = many(300, &|n| {
        json!({"match": [{"headers": {"x-long": {"exact": "x".repeat(3_000)}}, "uri": {"exact": format!("/{n}")}}],
            "route": [to("huge", "v1", 100)]})
    });
    vec![
        ("empty", json!({"hosts": host("empty")}), true),
        ("no-routes", json!({"hosts": host("no-routes"), "http": []}), true),
        ("no-destination", json!({"hosts": host("no-destination"), "http": [{"route": []}]}), true),
        (
            "no-weight",
            json!({"hosts": host("no-weight"), "http": [{"route": [to("no-weight", "v1", 0), to("no-weight", "v2", 0)]}]}),
            true,
        ),
        (
            "negative",
            json!({"hosts": host("negative"), "http": [{"route": [to("negative", "v1", -5), to("negative", "v2", 105)]}]}),
            true,
        ),
        ("nobody", json!({"hosts": host("nobody"), "http": [{"route": [to("nobody", "v9", 100)]}]}), true),
        (
            "no-target",
            json!({"hosts": host("no-target"), "http": [{"route": [{"destination": null, "weight": 100}]}]}),
            true,
        ),
        (
            "nowhere",
            json!({"hosts": host("nowhere"), "http": [{"route": [{"destination": {"host": ""}, "weight": 100}]}]}),
            true,
        ),
        (
            "gopher",
            json!({"hosts": host("gopher"), "http": [{"match": [{"scheme": {"exact": "gopher"}, "uri": {"regex": "(("}}],
                "route": [to("gopher", "v1", 100)]}]}),
            true,
        ),
        ("many-routes", json!({"hosts": host("many-routes"), "http": many(500, &one)}), true),
        (
            "many-matches",
            json!({"hosts": host("many-matches"), "http": [{"match": matches, "route": [to("many-matches", "v1", 100)]}]}),
            true,
        ),
        ("huge", json!({"hosts": host("huge"), "http": long}), true),
    ]
}

#[tokio::test]
async fn what_nobody_could_have_meant_is_shown_with_a_finding_and_harms_nobody() {
    let Some(cluster) = RealCluster::start(Options::default()) else { return };
    let town = Town::new(&cluster, "nonsense").await;
    town.app("good", 8080, &[("v1", 1), ("v2", 1)]).await;
    let mut stored = Vec::new();
    for (name, spec, told) in nonsense() {
        town.app(name, 8080, &[("v1", 1), ("v2", 1)]).await;
        // So that what is found is about the nonsense, not about what else is missing.
        subsets(&town, name, &["v1", "v2"]).await;
        let object = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": name}, "spec": spec});
        match town.create("VirtualService", object).await {
            Ok(_) => stored.push((name, told)),
            // What the definition of the kind refuses cannot be in a cluster.
            Err(kube::Error::Api(status)) if status.code == 422 => eprintln!("{name}: {}", status.message),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    // A protocol that nobody knows.
    let ports = json!([{"name": "gopher-x", "appProtocol": "gopher", "port": 8080, "targetPort": 8080}]);
    town.merge("Service", "gopher", json!({"spec": {"ports": ports}})).await;
    town.settled().await;
    let sluice = Served::on(&cluster, &["--max-changes-per-minute", "0"]).await;
    town.known(&sluice, "good", &[("v1", 1), ("v2", 1)]).await;
    assert!(stored.len() >= 8, "{stored:?}");
    let cookie = sluice.sign_in(cluster.token("admin")).await;
    let mut slowest = std::time::Duration::ZERO;
    for (name, told) in &stored {
        town.known(&sluice, name, &[("v1", 1), ("v2", 1)]).await;
        let seen = town.seen(&sluice, name).await;
        assert_eq!(seen.status, 200, "{name}: {:?}", seen.body);
        let findings = seen.body["findings"].as_array().unwrap();
        eprintln!(
            "{name}: {} {:?}",
            seen.body["state"],
            findings.iter().map(|f| &f["code"]).collect::<Vec<_>>()
        );
        assert_eq!(!findings.is_empty(), *told, "{name}: {findings:?}");
        slowest = slowest.max(page(&sluice, &cookie, &format!("/services/nonsense/{name}"), name).await);
        // A change is made or refused, never an accident.
        let (answer, _) = town.change(&sluice, name, weights(&[("v1", 50), ("v2", 50)])).await;
        assert!(answer.status == 200 || (400..500).contains(&answer.status), "{name}: {:?}", answer.body);
    }
    slowest = slowest.max(page(&sluice, &cookie, "/services?ns=nonsense", "good").await);
    eprintln!("the slowest of these pages took {slowest:?}");
    wait_for("the list is whole", async || {
        let path = "/api/v1/services?namespace=nonsense";
        let list = sluice.call("GET", path, Some(cluster.token("admin")), None, &[]).await;
        (list.body["items"].as_array()?.len() == nonsense().len() + 1).then_some(())
    })
    .await;
    town.changed(&sluice, "good", weights(&[("v1", 50), ("v2", 50)])).await;
}

/// The page comes, and says of whom it is; how long it took.
async fn page(sluice: &Served, cookie: &str, path: &str, says: &str) -> std::time::Duration {
    let asked = std::time::Instant::now();
    let page = sluice.call("GET", path, None, None, &[("cookie", cookie)]).await;
    let took = asked.elapsed();
    let text = page.body.as_str().unwrap_or_default();
    assert!(
        page.status == 200 && text.contains(says) && text.trim_end().ends_with("</html>"),
        "{path}: {} {}",
        page.status,
        &text[text.len().saturating_sub(300)..]
    );
    took
}
