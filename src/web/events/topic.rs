//! What a page listens to. The page's handler writes it into the page, the page sends it back with
//! `GET /events?topic=…`; it is read as strictly as any other foreign text.

use std::fmt;

use url::form_urlencoded;

use crate::domain::ids::{Revision, ServiceRef};
use crate::domain::release::ReleaseId;
use crate::views::query::Address;

/// One page's interest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Rows of the list. `query` is the page's own query: it decides which rows are on the page.
    Services { query: String, window_s: u32 },
    /// One service; `applied` = how far this revision has come is shown too.
    Service { at: ServiceRef, window_s: u32, applied: Option<Revision> },
    /// Rows of the list of releases. `query` is the page's own query.
    Releases { query: String },
    /// One release.
    Release { id: ReleaseId },
    /// Nothing but notices.
    Notices,
}

impl Topic {
    /// The topic as a page carries it. `stamp` says what the page was rendered from: what changed between
    /// rendering and listening is sent when the stream opens.
    pub fn stamped(&self, stamp: u64) -> String {
        let topic = self.to_string();
        let and = if topic.contains('?') { '&' } else { '?' };
        format!("{topic}{and}stamp={stamp:x}")
    }

    /// Reads what [`Self::stamped`] wrote; `None` for anything else.
    pub fn parse_stamped(text: &str) -> Option<(Self, Option<u64>)> {
        let (topic, stamp) = match text.rsplit_once("stamp=") {
            Some((topic, stamp)) => (topic.trim_end_matches(['?', '&']), u64::from_str_radix(stamp, 16).ok()),
            None => (text, None),
        };
        Some((Self::parse(topic)?, stamp))
    }

    /// Reads `services?…`, `service:ns/name?…`, `audit`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, query) = text.split_once('?').unwrap_or((text, ""));
        let of = |key: &str| {
            form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == key).map(|(_, value)| value)
        };
        let window_s = match of("win").as_deref() {
            None | Some("" | "60") => 60,
            Some("300") => 300,
            Some("3600") => 3600,
            Some(_) => return None,
        };
        match name {
            "services" if query.len() <= 2000 => Some(Self::Services { query: query.to_owned(), window_s }),
            "releases" if query.len() <= 2000 => Some(Self::Releases { query: query.to_owned() }),
            "audit" => Some(Self::Notices),
            other if other.starts_with("release:") => {
                let id = ReleaseId::parse(other.strip_prefix("release:")?).ok()?;
                query.is_empty().then_some(Self::Release { id })
            }
            other => {
                let at = ServiceRef::parse_path(other.strip_prefix("service:")?).ok()?;
                let applied = of("applied").map(|revision| revision.parse()).transpose().ok()?;
                Some(Self::Service { at, window_s, applied })
            }
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Services { query, .. } if query.is_empty() => f.write_str("services"),
            Self::Services { query, .. } => write!(f, "services?{query}"),
            Self::Service { at, window_s, applied } => {
                let window = if *window_s == 60 { String::new() } else { window_s.to_string() };
                let applied = applied.map(|revision| revision.to_string()).unwrap_or_default();
                Address::new(format!("service:{at}")).with("win", window).with("applied", applied).fmt(f)
            }
            Self::Releases { query } if query.is_empty() => f.write_str("releases"),
            Self::Releases { query } => write!(f, "releases?{query}"),
            Self::Release { id } => write!(f, "release:{id}"),
            Self::Notices => f.write_str("audit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_read_as_it_was_written() {
        let at = ServiceRef::new("bookinfo", "reviews");
        for topic in [
            Topic::Services { query: String::new(), window_s: 60 },
            Topic::Services { query: "ns=shop&win=300".into(), window_s: 300 },
            Topic::Service { at: at.clone(), window_s: 60, applied: None },
            Topic::Service { at, window_s: 3600, applied: Some(42) },
            Topic::Releases { query: String::new() },
            Topic::Releases { query: "show=active&q=x".into() },
            Topic::Release { id: ReleaseId(1042) },
            Topic::Notices,
        ] {
            assert_eq!(Topic::parse(&topic.to_string()).as_ref(), Some(&topic));
            let stamped = topic.stamped(0xfeed);
            assert_eq!(Topic::parse_stamped(&stamped), Some((topic, Some(0xfeed))), "{stamped}");
        }
    }

    #[test]
    fn nothing_else_is_a_topic() {
        for bad in [
            "",
            "services2",
            "service:",
            "release:",
            "release:x",
            "release:R-1?x=1",
            "service:a",
            "service:../x",
            "service:A/b",
            "service:a/b?win=7",
            "service:a/b?applied=-1",
        ] {
            assert_eq!(Topic::parse(bad), None, "{bad}");
        }
    }
}
