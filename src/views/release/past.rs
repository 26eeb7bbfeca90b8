//! What the new version gets past its share: requests that are spread by pods, as long as it has ready ones beside
//! other versions. Shown where the share is shown, during a release and after it.

use crate::domain::by_pods::{self, Callers};
use crate::domain::overview::Overview;
use crate::domain::release::{Release, Strategy};
use crate::views::bars::short;
use crate::views::lang::Lang;

/// One sentence for each kind of callers and for each port.
pub fn share(lang: Lang, release: &Release, overview: Option<&Overview>) -> Vec<String> {
    let Some(item) = overview.filter(|_| release.spec.strategy != Strategy::Replicas) else {
        return Vec::new();
    };
    let versions = &item.snapshot.versions;
    let of_candidate =
        versions.iter().find(|one| one.name == *release.candidate()).map_or(0, |one| one.ready);
    let all: u32 = versions.iter().map(|one| one.ready).sum();
    if of_candidate == 0 || of_candidate == all {
        return Vec::new();
    }
    let n = u64::from(of_candidate) * 100 / u64::from(all);
    let v = short(release.candidate().as_str());
    let text = |key: &str| lang.t(&format!("release.now.past.{key}")).with("v", &v).with("n", n);
    let callers = by_pods::callers(&item.routing).map(|callers| match callers {
        Callers::Elsewhere(only) => text("elsewhere").with("list", only.join(", ")),
        Callers::ByHost(hosts) => text("by_host").with("list", hosts.join(", ")),
        Callers::InMesh(_) => text("in_mesh"),
    });
    let ports = by_pods::ports(&item.routing, &item.snapshot.service).into_iter();
    let ports = ports.map(|(protocol, port)| text("by_port").with("protocol", protocol).with("port", port));
    callers.into_iter().chain(ports).map(String::from).collect()
}
