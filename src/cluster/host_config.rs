//! Lists `ServiceEntries` and Sidecars. Called by `services::host_config` every ten seconds; reads only.

use serde::de::DeserializeOwned;

use crate::domain::host_config::{EntrySpec, HostConfig, Seen, ServiceEntry, Sidecar, SidecarSpec};

use super::error::ClusterError;
use super::served::VERSIONS;
use super::watch::Page;
use super::wire::{self, Call, query};
use super::{Cluster, within};

impl Cluster {
    /// All of them in the namespaces that Sluice looks at. A kind that it may not list, or that is not served, is one
    /// that was not looked at; any other trouble is an error.
    pub async fn host_config(&self) -> Result<HostConfig, ClusterError> {
        let entries = self.seen("serviceentries", |namespace, name, spec: EntrySpec| ServiceEntry {
            namespace,
            name,
            spec,
        });
        let sidecars =
            self.seen("sidecars", |namespace, name, spec: SidecarSpec| Sidecar { namespace, name, spec });
        let (entries, sidecars) = futures::try_join!(entries, sidecars)?;
        Ok(HostConfig { entries, sidecars })
    }

    async fn seen<S: Default + DeserializeOwned, T>(
        &self,
        plural: &str,
        row: impl Fn(String, String, S) -> T,
    ) -> Result<Seen<T>, ClusterError> {
        for version in VERSIONS {
            let items = match self.items_of(version, plural).await {
                Ok(items) => items,
                Err(ClusterError::NotFound(_)) => continue,
                Err(ClusterError::Forbidden(_)) => return Ok(Seen::NotLookedAt),
                Err(error) => return Err(error),
            };
            let read = |mut item: serde_json::Value| {
                let text = |key: &str| item["metadata"][key].as_str().unwrap_or_default().to_owned();
                let (namespace, name) = (text("namespace"), text("name"));
                // One of another shape than documented must not hide the others.
                row(namespace, name, serde_json::from_value(item["spec"].take()).unwrap_or_default())
            };
            return Ok(Seen::All(items.into_iter().map(read).collect()));
        }
        Ok(Seen::NotLookedAt)
    }

    async fn items_of(&self, version: &str, plural: &str) -> Result<Vec<serde_json::Value>, ClusterError> {
        let group = format!("/apis/networking.istio.io/{version}");
        let paths = match &self.inner.options.namespaces {
            None => vec![format!("{group}/{plural}")],
            Some(some) => some.iter().map(|at| format!("{group}/namespaces/{at}/{plural}")).collect(),
        };
        let limit = self.limits().page.to_string();
        let mut items = Vec::new();
        for path in paths {
            let mut token = String::new();
            loop {
                let mut pairs = vec![("limit", limit.as_str())];
                pairs.extend((!token.is_empty()).then_some(("continue", token.as_str())));
                let call = Call::get(path.clone() + &query(&pairs));
                let answer = wire::read(&self.inner.clients.read, &call, within(self.limits().read)).await?;
                let invalid = |error: serde_json::Error| ClusterError::Invalid(error.to_string());
                let page: Page<'_> = serde_json::from_slice(&answer.body).map_err(invalid)?;
                for item in page.items() {
                    items.push(serde_json::from_str(item.get()).map_err(invalid)?);
                }
                token = page.metadata.next;
                if token.is_empty() {
                    break;
                }
            }
        }
        Ok(items)
    }
}
