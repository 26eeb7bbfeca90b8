//! Who else writes an object: GitOps tools (their next sync undoes what we write) and other
//! progressive-delivery controllers (they and we would fight).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Another writer of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub tool: Tool,
    /// The application, release or rollout that owns the object, as the tool names it.
    pub name: Arc<str>,
}

/// The tools that Sluice knows by their marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    ArgoCd,
    Flux,
    Helm,
    ArgoRollouts,
    Flagger,
}

impl Tool {
    /// The product's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ArgoCd => "Argo CD",
            Self::Flux => "Flux",
            Self::Helm => "Helm",
            Self::ArgoRollouts => "Argo Rollouts",
            Self::Flagger => "Flagger",
        }
    }

    /// True for tools that move traffic themselves: two hands on one lever are refused outright.
    pub fn moves_traffic(self) -> bool {
        matches!(self, Self::ArgoRollouts | Self::Flagger)
    }

    /// True for tools that put back what is in Git by themselves, within minutes.
    pub fn reverts(self) -> bool {
        matches!(self, Self::ArgoCd | Self::Flux)
    }
}

/// Finds the owner by labels, annotations, owner references (kind, name) and field managers.
/// A controller that moves traffic wins over a GitOps tool: it is the stricter answer.
pub fn detect<'a>(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    owners: impl Iterator<Item = (&'a str, &'a str)>,
    managers: impl Iterator<Item = &'a str>,
) -> Option<Owner> {
    let found = |tool, name: &str| Some(Owner { tool, name: name.into() });
    for (kind, name) in owners {
        match kind {
            "Rollout" => return found(Tool::ArgoRollouts, name),
            "Canary" => return found(Tool::Flagger, name),
            _ => {}
        }
    }
    let either = |key: &str| annotations.get(key).or_else(|| labels.get(key));
    if let Some(name) = either("argo-rollouts.argoproj.io/managed-by-rollouts") {
        return found(Tool::ArgoRollouts, name);
    }
    if labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by == "flagger") {
        return found(Tool::Flagger, "flagger");
    }
    if let Some(id) = either("argocd.argoproj.io/tracking-id") {
        return found(Tool::ArgoCd, id.split(':').next().unwrap_or(id));
    }
    if let Some(name) = either("argocd.argoproj.io/instance") {
        return found(Tool::ArgoCd, name);
    }
    for key in ["kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"] {
        if let Some(name) = either(key) {
            return found(Tool::Flux, name);
        }
    }
    for manager in managers {
        match manager {
            "argocd-controller" | "argocd-application-controller" => {
                let name = labels.get("app.kubernetes.io/instance").map_or(manager, String::as_str);
                return found(Tool::ArgoCd, name);
            }
            "kustomize-controller" | "helm-controller" => return found(Tool::Flux, manager),
            _ => {}
        }
    }
    if labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by == "Helm") {
        let name = annotations.get("meta.helm.sh/release-name").map_or("helm", String::as_str);
        return found(Tool::Helm, name);
    }
    None
}
