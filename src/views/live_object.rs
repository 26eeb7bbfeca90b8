//! The live YAML of a routing object: a dialog on the service page and, at the same address, a page of its own.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::live_object::{ByUs, LiveObject};

use super::chrome::Chrome;
use super::lang::Lang;

/// The object with a button that copies it.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/object.html")]
pub struct ObjectCard {
    pub lang: Lang,
    /// The service's page: where *Close* leads.
    pub path: String,
    /// `VirtualService bookinfo/reviews`.
    pub title: String,
    /// What Sluice had to do with it, one sentence each.
    pub origin: Vec<String>,
    pub yaml: String,
}

impl HtmlSafe for ObjectCard {}

/// The same as a page.
#[derive(Debug, Template)]
#[template(path = "object.html")]
pub struct ObjectPage {
    pub chrome: Chrome,
    pub namespace: String,
    pub service: String,
    pub card: ObjectCard,
}

impl ObjectCard {
    /// `path` is the service's page.
    pub fn of(lang: Lang, live: &LiveObject, path: String) -> Self {
        let said = |key: &str, by: ByUs| match by {
            ByUs::No => None,
            ByUs::Yes => Some(lang.t(&format!("object.{key}")).to_string()),
            ByUs::At(n) => Some(lang.t(&format!("object.{key}_at")).with("n", n).to_string()),
        };
        let created = said("created", live.created);
        // What was created and not written since is shown once.
        let changed = said("changed", live.changed)
            .filter(|_| live.created == ByUs::No || live.created != live.changed);
        Self {
            lang,
            path,
            title: format!("{} {}/{}", live.object.kind.as_str(), live.object.namespace, live.object.name),
            origin: created.into_iter().chain(changed).collect(),
            yaml: live.yaml.clone(),
        }
    }
}
