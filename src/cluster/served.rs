//! In which version the cluster serves Istio's kinds. Addresses are written for `v1`; where a cluster (Istio before
//! 1.22, managed meshes) serves only an older one, requests go there: the fields that Sluice reads and writes are the
//! same in all three. Found out when `v1` is answered with 404; called by `wire`.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use serde_json::Value;

use bytes::Bytes;

/// Istio's networking group, and the versions that Sluice speaks, the preferred first.
const GROUP: &str = "networking.istio.io";
pub(super) const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha3"];
const KINDS: [&str; 2] = ["virtualservices", "destinationrules"];

/// The position in [`VERSIONS`] of the version in which each of [`KINDS`] is served.
#[derive(Default)]
pub(super) struct Served([AtomicUsize; KINDS.len()]);

#[derive(Deserialize)]
struct ResourcesJson {
    #[serde(default)]
    resources: Vec<ResourceJson>,
}

#[derive(Deserialize)]
struct ResourceJson {
    name: String,
}

impl Served {
    fn version(&self, kind: usize) -> &'static str {
        VERSIONS.get(self.0[kind].load(Ordering::Acquire)).copied().unwrap_or(VERSIONS[0])
    }

    /// The path as this cluster serves it; as it is for every other group.
    pub fn path(&self, path: &str) -> String {
        let Some((kind, before, after)) = parts(path) else { return path.to_owned() };
        format!("{before}{}{after}", self.version(kind))
    }

    /// A body for such a path, with the version of the path.
    pub fn body(&self, path: &str, body: &Bytes) -> Bytes {
        let Some((kind, ..)) = parts(path) else { return body.clone() };
        let version = format!("{GROUP}/{}", self.version(kind));
        let written = format!("\"apiVersion\":\"{version}\"");
        if body.windows(written.len()).any(|bytes| bytes == written.as_bytes()) {
            return body.clone();
        }
        let Ok(Value::Object(mut object)) = serde_json::from_slice(body) else { return body.clone() };
        // The options of a deletion are of another group.
        let of_group = |version: &Value| version.as_str().is_some_and(|text| text.starts_with(GROUP));
        if !object.get("apiVersion").is_some_and(of_group) {
            return body.clone();
        }
        object.insert("apiVersion".to_owned(), version.into());
        Bytes::from(Value::Object(object).to_string())
    }

    /// The addresses that list what each version has, for a path of Istio's; empty for any other.
    pub fn documents(path: &str) -> Vec<String> {
        if parts(path).is_none() {
            return Vec::new();
        }
        VERSIONS.iter().map(|version| format!("/apis/{GROUP}/{version}")).collect()
    }

    /// Takes note of these lists, in the order of [`VERSIONS`] (`None` = not served).
    pub fn learn(&self, documents: &[Option<Bytes>]) {
        let lists: Vec<Vec<String>> = documents.iter().map(|document| names(document.as_ref())).collect();
        for (kind, plural) in KINDS.iter().enumerate() {
            let found = lists.iter().position(|names| names.iter().any(|name| name == plural));
            if let Some(at) = found
                && self.0[kind].swap(at, Ordering::AcqRel) != at
            {
                let version = VERSIONS[at];
                tracing::info!(kind = plural, version, "the cluster serves Istio's API in this version");
            }
        }
    }
}

fn names(document: Option<&Bytes>) -> Vec<String> {
    let list: Option<ResourcesJson> = document.and_then(|document| serde_json::from_slice(document).ok());
    list.map(|list| list.resources.into_iter().map(|resource| resource.name).collect()).unwrap_or_default()
}

/// A path of Istio's networking group: its kind, what stands before the version, and what after it.
fn parts(path: &str) -> Option<(usize, &str, &str)> {
    let start = path.find(GROUP).filter(|at| path.get(..*at) == Some("/apis/"))? + GROUP.len() + 1;
    let rest = path.get(start..)?;
    let end = rest.find('/')?;
    let after = rest.get(end..)?;
    let address = after.split('?').next().unwrap_or(after);
    let kind = KINDS.iter().position(|plural| address.split('/').any(|part| part == *plural))?;
    Some((kind, path.get(..start)?, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Bytes {
        let resources: Vec<Value> = names.iter().map(|name| serde_json::json!({ "name": name })).collect();
        Bytes::from(serde_json::json!({ "resources": resources }).to_string())
    }

    #[test]
    fn requests_go_to_the_version_that_is_served() {
        let served = Served::default();
        let path = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/reviews?dryRun=All";
        assert_eq!(served.path(path), path);
        served.learn(&[None, None, None]);
        assert_eq!(served.path(path), path, "nothing is served: nothing changes");
        let both = Some(list(&["virtualservices", "destinationrules", "gateways"]));
        served.learn(&[None, both.clone(), both.clone()]);
        assert_eq!(
            served.path(path),
            "/apis/networking.istio.io/v1beta1/namespaces/shop/virtualservices/reviews?dryRun=All"
        );
        // Each kind by itself, the newest version first.
        let rules = "/apis/networking.istio.io/v1/destinationrules";
        served.learn(&[Some(list(&["virtualservices"])), None, Some(list(&["destinationrules"]))]);
        assert_eq!(served.path(path), path);
        assert_eq!(served.path(rules), "/apis/networking.istio.io/v1alpha3/destinationrules");
        for other in ["/api/v1/namespaces/virtualservices/services", "/apis/apps/v1/deployments", "/version"]
        {
            assert_eq!(served.path(other), other);
            assert_eq!(Served::documents(other), Vec::<String>::new());
        }
    }

    #[test]
    fn bodies_carry_the_version_of_their_path() {
        let served = Served::default();
        let path = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices";
        let body = Bytes::from(r#"{"apiVersion":"networking.istio.io/v1","spec":{}}"#);
        assert_eq!(served.body(path, &body), body);
        served.learn(&[None, Some(list(&["virtualservices"])), None]);
        let written: Value = serde_json::from_slice(&served.body(path, &body)).unwrap();
        assert_eq!(written["apiVersion"], "networking.istio.io/v1beta1");
        assert_eq!(written["spec"], serde_json::json!({}));
        assert_eq!(served.body("/apis/apps/v1/deployments", &body), body);
        let options = Bytes::from(r#"{"apiVersion":"v1","kind":"DeleteOptions"}"#);
        assert_eq!(served.body(path, &options), options);
    }
}
