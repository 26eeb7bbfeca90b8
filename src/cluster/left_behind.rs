//! What stays behind when a workload is deleted although it is only about that: `HorizontalPodAutoscalers` and
//! `PodDisruptionBudgets`. Read when it is asked for, never watched: Sluice works without the right to.

use serde::Deserialize;

use crate::domain::ids::Namespace;
use crate::domain::labels::LabelSet;
use crate::domain::service::WorkloadKind;

use super::error::ClusterError;
use super::watch::PageMeta;
use super::wire::{self, Call, query};
use super::{Ask, Cluster, within};

/// More than these of a kind in one namespace are not looked through.
const MOST: &str = "1000";

/// The kinds that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    HorizontalPodAutoscaler,
    PodDisruptionBudget,
}

impl About {
    /// Both.
    pub const ALL: [Self; 2] = [Self::HorizontalPodAutoscaler, Self::PodDisruptionBudget];

    /// The kind as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
        }
    }

    fn place(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::HorizontalPodAutoscaler => ("autoscaling", "v2", "horizontalpodautoscalers"),
            Self::PodDisruptionBudget => ("policy", "v1", "poddisruptionbudgets"),
        }
    }

    /// The right to know their names.
    pub fn ask(self, namespace: Namespace) -> Ask {
        let (group, _, resource) = self.place();
        Ask { verb: "list", group, resource, namespace: Some(namespace), name: None }
    }
}

/// What is deleted, and the pods that stay.
#[derive(Debug)]
pub struct Leaving<'a> {
    pub workloads: Vec<(WorkloadKind, &'a str)>,
    /// The labels of the pods that go.
    pub pods: Vec<&'a LabelSet>,
    /// The labels of the service's other pods.
    pub others: Vec<&'a LabelSet>,
}

impl Cluster {
    /// The names of the objects of a kind that are only about what is deleted; `None` = they cannot be read.
    pub async fn left_behind(
        &self,
        about: About,
        namespace: &Namespace,
        leaving: &Leaving<'_>,
    ) -> Option<Vec<String>> {
        let (group, version, resource) = about.place();
        let path = format!("/apis/{group}/{version}/namespaces/{namespace}/{resource}");
        let call = Call::get(path + &query(&[("limit", MOST)]));
        let answer = match wire::read(&self.inner.clients.read, &call, within(self.limits().read)).await {
            Ok(answer) => answer,
            // The cluster does not serve the kind.
            Err(ClusterError::NotFound(_)) => return Some(Vec::new()),
            Err(error) => {
                tracing::debug!(%error, kind = about.as_str(), "what stays behind was not looked at");
                return None;
            }
        };
        let list: List = serde_json::from_slice(&answer.body).ok()?;
        if !list.metadata.next.is_empty() {
            return None;
        }
        let mine = list.items.into_iter().filter(|item| match about {
            About::HorizontalPodAutoscaler => item.spec.scales(leaving),
            About::PodDisruptionBudget => item.spec.guards(leaving),
        });
        Some(mine.map(|item| item.metadata.name).collect())
    }
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Named,
    #[serde(default)]
    spec: Spec,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    scale_target_ref: Target,
    selector: Option<Selector>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Target {
    api_version: String,
    kind: String,
    name: String,
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements>.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Selector {
    match_labels: std::collections::BTreeMap<String, String>,
    match_expressions: Vec<Requirement>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Requirement {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl Spec {
    fn scales(&self, leaving: &Leaving<'_>) -> bool {
        let target = &self.scale_target_ref;
        let ours = target.api_version.is_empty() || target.api_version.starts_with("apps/");
        ours && leaving
            .workloads
            .iter()
            .any(|(kind, name)| target.kind == kind.as_str() && target.name == *name)
    }

    /// It selects pods that go, and none of the service's others.
    fn guards(&self, leaving: &Leaving<'_>) -> bool {
        let Some(selector) = &self.selector else { return false };
        leaving.pods.iter().any(|labels| selector.selects(labels))
            && !leaving.others.iter().any(|labels| selector.selects(labels))
    }
}

impl Selector {
    fn selects(&self, labels: &LabelSet) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.has(key, value))
            && self.match_expressions.iter().all(|one| one.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &LabelSet) -> bool {
        let value = labels.get(&self.key);
        let among = || value.is_some_and(|value| self.values.iter().any(|one| **one == **value));
        match self.operator.as_str() {
            "In" => among(),
            "NotIn" => !among(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}
