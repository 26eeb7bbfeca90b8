//! Whether a Service of another namespace exists is for whoever sees that namespace. For all others a route that names
//! it leaves for a host of which nothing is known: no finding, no part of the split, no state says more.
//!
//! Called before anything that was read of a service leaves for a reader, and before a plan is made for one.

use std::sync::Arc;

use crate::cluster::Visible;
use crate::domain::actor::Identity;
use crate::domain::audit::{Details, Entry};
use crate::domain::ids::{Namespace, ServiceRef};
use crate::domain::overview::{LastChange, Overview, State};
use crate::domain::refusal::{Args, Code, Finding, Refusal};
use crate::domain::routing::Routing;
use crate::domain::snapshot::Snapshot;
use crate::routing;

use super::Services;
use super::change::Look;
use super::host_config;
use super::standing::{Seen, standing};

/// How a service stands for readers who do not see the namespaces of what its routes miss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beyond {
    pub namespaces: Vec<Namespace>,
    pub state: State,
}

impl Beyond {
    /// `None` where its routes miss nothing outside its own namespace.
    pub fn of(snapshot: &Snapshot, routing: &Routing, last: Option<&LastChange>) -> Option<Self> {
        if routing.beyond.is_empty() {
            return None;
        }
        let own = std::iter::once(snapshot.service.at.namespace.clone()).collect();
        let snapshot = known_to(snapshot, &Visible::Some(own))?;
        let (state, _) = standing(&routing::read(&snapshot), None, last);
        Some(Self { namespaces: routing.beyond.clone(), state })
    }

    /// True for a reader who does not see all of these namespaces.
    pub fn is_hidden_from(&self, visible: &Visible) -> bool {
        self.namespaces.iter().any(|namespace| !visible.contains(namespace))
    }
}

/// The snapshot as a reader may know it; `None` when nothing has to be left out.
fn known_to(snapshot: &Snapshot, visible: &Visible) -> Option<Snapshot> {
    let known = |at: &ServiceRef| visible.contains(&at.namespace);
    if snapshot.others.iter().all(|other| known(&other.at)) {
        return None;
    }
    let mut mine = snapshot.clone();
    mine.others.retain(|other| known(&other.at));
    Some(mine)
}

impl Services {
    /// What was read, as this person may know it.
    pub(super) async fn known_look(&self, who: &Identity, mut look: Look) -> Result<Look, Refusal> {
        if look.routing.beyond.is_empty() {
            return Ok(look);
        }
        if let Some(snapshot) = known_to(&look.snapshot, &self.visible(who).await?) {
            look.routing = routing::read(&snapshot);
            look.snapshot = snapshot;
        }
        Ok(look)
    }

    /// True when something of the service is not for this reader to know.
    pub(super) fn is_beyond(item: &Overview, visible: &Visible) -> bool {
        item.routing.beyond.iter().any(|namespace| !visible.contains(namespace))
            || item.findings.iter().any(|finding| host_config::names_unseen(finding, visible))
    }

    /// The service as a reader with this sight may know it.
    pub(super) fn known_overview(
        mut item: Overview,
        visible: &Visible,
        min_success_percent: f64,
    ) -> Overview {
        if Self::is_beyond(&item, visible)
            && let Some(snapshot) = known_to(&item.snapshot, visible)
        {
            let routing = routing::read(&snapshot);
            let seen = item.observed.as_ref().map(|observed| Seen {
                observed,
                versions: &snapshot.versions,
                min_success_percent,
                is_released: item.release.is_some(),
            });
            let (state, mut findings) = standing(&routing, seen, item.last.as_ref());
            let of_hosts =
                |finding: &&Finding| matches!(finding.code, Code::HostElsewhere | Code::SidecarHides);
            findings.extend(item.findings.iter().filter(of_hosts).cloned());
            item = Overview {
                snapshot: Arc::new(snapshot),
                routing: Arc::new(routing),
                state,
                findings,
                ..item
            };
        }
        item.findings.iter_mut().for_each(|finding| host_config::hide(finding, visible));
        item
    }

    /// What this person may see of all namespaces; nothing where that cannot be asked.
    pub(super) async fn sight(&self, who: &Identity) -> Visible {
        self.visible(who).await.unwrap_or_else(|_| Visible::Some(std::collections::BTreeSet::new()))
    }
}

/// The entry without what it says of Services in namespaces that the reader does not see.
pub(super) fn known_entry(entry: &mut Entry, visible: &Visible) {
    if matches!(visible, Visible::All) {
        return;
    }
    let late = entry.outcome.as_mut().map(|outcome| &mut outcome.details);
    for details in late.into_iter().chain([&mut entry.intent.details]) {
        known_details(details, visible);
    }
}

fn known_details(details: &mut Details, visible: &Visible) {
    details.checks.retain(|check| !says_of_another(check.code, &check.args, visible));
    if let Some(refusal) =
        details.refusal.as_mut().filter(|refusal| says_of_another(refusal.code, &refusal.args, visible))
    {
        // What the reader would have been refused with.
        refusal.code = Code::ForeignDestination;
    }
}

fn says_of_another(code: Code, args: &Args, visible: &Visible) -> bool {
    let value = |wanted: &str| args.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    matches!(code, Code::HostMissing | Code::PortMissing)
        && value("namespace").is_none_or(|namespace| !visible.contains(&Namespace::trusted(namespace)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::{Check, Severity};

    #[test]
    fn a_row_says_of_another_namespace_only_what_its_reader_may_know() {
        let missing = |namespace: &str| {
            let refusal = Refusal::new(Code::HostMissing).arg("host", "vault");
            if namespace.is_empty() { refusal } else { refusal.arg("namespace", namespace) }
        };
        let told = |namespace: &str, visible: &Visible| {
            let check =
                Check { code: Code::HostMissing, severity: Severity::Block, args: missing(namespace).args };
            let mut details = Details {
                checks: vec![check, Check::new(Severity::Ok, Code::DryRunPassed)],
                refusal: Some(missing(namespace)),
                ..Details::default()
            };
            known_details(&mut details, visible);
            (details.checks.len(), details.refusal.map(|refusal| refusal.code))
        };
        let sees = |names: &[&str]| Visible::Some(names.iter().map(|name| Namespace::from(*name)).collect());
        assert_eq!(told("platform", &sees(&["platform", "shop"])), (2, Some(Code::HostMissing)));
        assert_eq!(told("platform", &sees(&["shop"])), (1, Some(Code::ForeignDestination)));
        // Rows of before the namespace was kept with them.
        assert_eq!(told("", &sees(&["shop"])), (1, Some(Code::ForeignDestination)));
    }
}
