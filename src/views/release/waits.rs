//! Pods that are not ready and why, in the words of the cluster, while the release is in progress. Of each version
//! the snapshot keeps a few by name; the others are counted.

use askama::Template;
use askama::filters::HtmlSafe;

use super::Given;
use crate::domain::service::{Version, WaitingPod};
use crate::views::bars::short;
use crate::views::chrome::Tone;
use crate::views::lang::Lang;

/// The versions with such pods; empty = the part is hidden.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/waits.html")]
pub struct Waits {
    pub tone: Tone,
    pub versions: Vec<Lacking>,
}

impl HtmlSafe for Waits {}

/// One version with pods that are not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// *v2: 0 of 1 pods ready*.
    pub title: String,
    pub pods: Vec<Pod>,
    /// How many more there are.
    pub more: Option<String>,
}

/// One pod and why it is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    pub reason: String,
    pub message: String,
    /// How its container ended the last time.
    pub last: Option<String>,
}

impl Waits {
    pub fn of(lang: Lang, given: Given<'_>) -> Self {
        let versions = given.overview.map_or(&[][..], |item| &item.snapshot.versions);
        let lacking = given.release.lacking(versions);
        let trouble = |pod: &WaitingPod| pod.cause.as_ref().is_some_and(|cause| !cause.is_starting());
        let bad = lacking.iter().any(|version| version.waiting.iter().any(trouble));
        Self {
            tone: if bad { Tone::Bad } else { Tone::Info },
            versions: lacking.into_iter().map(|version| Lacking::of(lang, version)).collect(),
        }
    }

    /// The icon beside it.
    pub fn icon(&self) -> &'static str {
        if self.tone == Tone::Bad { "bad" } else { "wait" }
    }
}

impl Lacking {
    fn of(lang: Lang, version: &Version) -> Self {
        let shown = u32::try_from(version.waiting.len()).unwrap_or(u32::MAX);
        let more = version.total.saturating_sub(version.ready).saturating_sub(shown);
        Self {
            title: lang
                .t("release.waits.title")
                .with("v", short(version.name.as_str()))
                .with("n", version.ready)
                .with("of", version.total)
                .into(),
            pods: version.waiting.iter().map(|pod| Pod::of(lang, pod)).collect(),
            more: (more > 0).then(|| lang.count("release.waits.more", more).into()),
        }
    }
}

impl Pod {
    fn of(lang: Lang, pod: &WaitingPod) -> Self {
        let cause = pod.cause.as_deref();
        Self {
            name: pod.name.to_string(),
            reason: match cause {
                Some(cause) => cause.reason.to_string(),
                None => lang.t("release.waits.unknown").into(),
            },
            message: cause.map_or_else(String::new, |cause| cause.message.to_string()),
            last: cause.and_then(|cause| cause.last_exit.as_ref()).map(|(reason, code)| {
                lang.t("release.waits.last").with("reason", reason).with("code", code).into()
            }),
        }
    }
}
