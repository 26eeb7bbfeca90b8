//! `ServiceEntries` and Sidecars, read every ten seconds: what they do to a service is among its findings. Where they
//! cannot be read, the pages say that nobody has looked.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cluster::Visible;
use crate::domain::host_config::HostConfig;
use crate::domain::ids::Namespace;
use crate::domain::overview::Happening;
use crate::domain::refusal::{Check, Code, Finding, Severity};
use crate::domain::routing::HIDDEN;

use super::Services;

const EVERY: Duration = Duration::from_secs(10);

/// What was read last.
#[derive(Default)]
pub(super) struct Known(RwLock<Arc<HostConfig>>);

impl Known {
    pub fn now(&self) -> Arc<HostConfig> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True when it is another one than before.
    fn set(&self, new: HostConfig) -> bool {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let changed = **held != new;
        *held = Arc::new(new);
        changed
    }
}

/// Reads them until `stop`. What cannot be asked stays as it was.
pub(super) async fn follow(services: Services, stop: CancellationToken) {
    loop {
        match services.inner.cluster.host_config().await {
            Ok(new) => {
                if services.inner.host_config.set(new) {
                    services.announce(Happening::Resync);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "ServiceEntries and Sidecars cannot be read; asked again later");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

impl Services {
    /// That nobody has looked at a kind.
    pub(super) fn kinds_not_read(&self) -> Option<Check> {
        let unseen = self.inner.host_config.now().unseen();
        (!unseen.is_empty())
            .then(|| Check::new(Severity::Info, Code::KindsNotRead).arg("list", unseen.join(", ")))
    }
}

/// True when a finding names objects of namespaces that the reader does not see.
pub(super) fn names_unseen(finding: &Finding, visible: &Visible) -> bool {
    lists(finding).any(|list| matches!(shown(list, visible), Cow::Owned(_)))
}

/// The finding with the names that the reader may have.
pub(super) fn hide(finding: &mut Finding, visible: &Visible) {
    if !is_of_objects(finding) {
        return;
    }
    for (_, list) in finding.args.iter_mut().filter(|(name, _)| name == "list") {
        if let Cow::Owned(shown) = shown(list, visible) {
            *list = shown;
        }
    }
}

fn is_of_objects(finding: &Finding) -> bool {
    matches!(finding.code, Code::HostElsewhere | Code::SidecarHides)
}

fn lists(finding: &Finding) -> impl Iterator<Item = &str> {
    let of = is_of_objects(finding);
    finding.args.iter().filter(move |(name, _)| of && name == "list").map(|(_, value)| value.as_str())
}

fn shown<'a>(list: &'a str, visible: &Visible) -> Cow<'a, str> {
    let may = |item: &str| {
        let namespace = item.split_once(' ').and_then(|(_, rest)| rest.split_once('/'));
        namespace.is_none_or(|(namespace, _)| visible.contains(&Namespace::from(namespace)))
    };
    if list.split(", ").all(may) {
        return Cow::Borrowed(list);
    }
    let one = |item: &str| match item.split_once(' ') {
        Some((kind, _)) if !may(item) => format!("{kind} {HIDDEN}/{HIDDEN}"),
        _ => item.to_owned(),
    };
    let mut items: Vec<String> = list.split(", ").map(one).collect();
    items.dedup();
    Cow::Owned(items.join(", "))
}
