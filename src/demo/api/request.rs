//! Reads a URL: which resource, which namespace, which name, which options.
//!
//! Pure. Called by `wire` once a request; the rest of the folder works on what this returns.

use std::time::Duration;

use super::failure::{Failure, FieldError};
use super::kinds::Kind;
use super::selector::Filter;
use super::storage::Scope;

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Path<'a> {
    /// `/healthz`, `/readyz`, `/livez` and what is below them.
    Health,
    /// `/version`.
    Version,
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/{group}`.
    Group(&'a str),
    /// `/api/v1` or `/apis/{group}/{version}`.
    Resources { group: &'a str, version: &'a str },
    /// A resource or an object of it.
    Resource(Target<'a>),
    /// Nothing that an API server serves.
    Unknown,
}

/// A resource path, not yet known to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub plural: &'a str,
    pub namespace: Option<&'a str>,
    pub name: Option<&'a str>,
    pub subresource: Option<&'a str>,
}

/// Takes a path apart.
pub(super) fn parse_path(path: &str) -> Path<'_> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    match parts.as_slice() {
        ["healthz" | "readyz" | "livez", ..] => Path::Health,
        ["version"] => Path::Version,
        ["api"] => Path::CoreVersions,
        ["apis"] => Path::Groups,
        ["api", version] => Path::Resources { group: "", version },
        ["apis", group] => Path::Group(group),
        ["apis", group, version] => Path::Resources { group, version },
        ["api", version, rest @ ..] => parse_resource("", version, rest),
        ["apis", group, version, rest @ ..] => parse_resource(group, version, rest),
        _ => Path::Unknown,
    }
}

fn parse_resource<'a>(group: &'a str, version: &'a str, rest: &[&'a str]) -> Path<'a> {
    let at = |namespace, plural, name, subresource| {
        Path::Resource(Target { group, version, plural, namespace, name, subresource })
    };
    match *rest {
        // `/namespaces/x/status` is the status of the namespace, not a resource called status.
        ["namespaces", name, sub @ ("status" | "finalize")] => at(None, "namespaces", Some(name), Some(sub)),
        ["namespaces", namespace, plural] => at(Some(namespace), plural, None, None),
        ["namespaces", namespace, plural, name] => at(Some(namespace), plural, Some(name), None),
        ["namespaces", namespace, plural, name, sub] => at(Some(namespace), plural, Some(name), Some(sub)),
        [plural] => at(None, plural, None, None),
        [plural, name] => at(None, plural, Some(name), None),
        [plural, name, sub] => at(None, plural, Some(name), Some(sub)),
        _ => Path::Unknown,
    }
}

/// The query of a request, decoded; the last value of a repeated name counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The value of a parameter; empty when it is absent.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().rev().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
    }

    /// A parameter that says yes or no; `None` when it is absent.
    pub fn flag(&self, name: &str) -> Option<bool> {
        let given = self.0.iter().rev().find(|(n, _)| n == name)?;
        // As Go's conversion does: everything but these two words is yes.
        Some(!matches!(given.1.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Failure::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))
            }),
        }
    }

    /// `?dryRun=All`; any other value is refused.
    pub fn dry_run(&self, kind: &Kind) -> Result<bool, Failure> {
        match self.text("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => Err(Failure::invalid(
                kind,
                "PatchOptions",
                "",
                &[FieldError {
                    field: "dryRun".into(),
                    reason: "FieldValueNotSupported",
                    message: format!("Unsupported value: [\"{other}\"]: supported values: \"All\""),
                }],
            )),
        }
    }
}

/// What a LIST asks for.
#[derive(Debug)]
pub(super) struct ListOptions {
    pub scope: Scope,
    pub filter: Filter,
    pub limit: usize,
    pub proceed: String,
    pub version: Wanted,
}

/// Which moment a LIST wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The newest.
    Newest,
    /// Anything that the server has at hand; the limit does not count then.
    Any,
    /// Not older than this.
    NotOlderThan(u64),
    /// Exactly this.
    Exactly(u64),
}

/// What a WATCH asks for.
#[derive(Debug)]
pub(super) struct WatchOptions {
    pub scope: Scope,
    pub filter: Filter,
    /// Only for streaming lists: the wanted freshness of the first objects.
    pub version: u64,
    pub from: super::storage::From,
    /// Whether a bookmark closes the first objects.
    pub announce_end: bool,
    pub bookmarks: bool,
    pub timeout: Option<Duration>,
}

fn scope_of(target: &Target<'_>) -> Scope {
    target.namespace.map_or(Scope::All, |namespace| Scope::Namespace(namespace.into()))
}

/// The version of the query, or what is wrong with it: LIST and WATCH answer that with different codes.
fn version_of(query: &Query) -> Result<u64, String> {
    let text = query.text("resourceVersion");
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        format!("resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax")
    })
}

impl ListOptions {
    pub fn parse(kind: &Kind, target: &Target<'_>, query: &Query) -> Result<Self, Failure> {
        let forbid = |field: &str, text: &str| Failure::invalid_options(FieldError::forbidden(field, text));
        let (given, matching) = (query.text("resourceVersion"), query.text("resourceVersionMatch"));
        if !matching.is_empty() {
            if given.is_empty() {
                return Err(forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            if !query.text("continue").is_empty() {
                return Err(forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            if matching == "Exact" && given == "0" {
                return Err(forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        if query.flag("sendInitialEvents").is_some() {
            return Err(forbid("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        if !matches!(matching, "" | "Exact" | "NotOlderThan") {
            return Err(Failure::invalid_options(FieldError {
                field: "resourceVersionMatch".into(),
                reason: "FieldValueNotSupported",
                message: format!(
                    "Unsupported value: \"{matching}\": supported values: \"\", \"Exact\", \"NotOlderThan\""
                ),
            }));
        }
        let version = match (version_of(query).map_err(Failure::bad_request)?, matching) {
            (_, _) if given.is_empty() => Wanted::Newest,
            (0, _) => Wanted::Any,
            (n, "Exact") => Wanted::Exactly(n),
            (n, _) => Wanted::NotOlderThan(n),
        };
        let limit = query.number("limit")?.map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
        Ok(Self {
            scope: scope_of(target),
            filter: Filter::parse(kind, query.text("labelSelector"), query.text("fieldSelector"))?,
            limit,
            proceed: query.text("continue").to_owned(),
            version,
        })
    }
}

impl WatchOptions {
    pub fn parse(kind: &Kind, target: &Target<'_>, query: &Query) -> Result<Self, Failure> {
        let forbid =
            |text: &str| Failure::invalid_options(FieldError::forbidden("resourceVersionMatch", text));
        let (initial, matching) = (query.flag("sendInitialEvents"), query.text("resourceVersionMatch"));
        if initial.is_some() && matching != "NotOlderThan" {
            return Err(forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
        }
        if initial.is_none() && !matching.is_empty() {
            return Err(forbid(
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        let version = version_of(query).map_err(Failure::unknown)?;
        let from = match (initial, version) {
            (Some(true), _) | (None, 0) => super::storage::From::Now,
            (Some(false), 0) => super::storage::From::NowWithoutObjects,
            (_, after) => super::storage::From::After(after),
        };
        let bookmarks = query.flag("allowWatchBookmarks").unwrap_or(false);
        Ok(Self {
            scope: scope_of(target),
            filter: Filter::parse(kind, query.text("labelSelector"), query.text("fieldSelector"))?,
            version,
            from,
            announce_end: initial == Some(true) && bookmarks,
            bookmarks,
            timeout: query.number("timeoutSeconds")?.filter(|s| *s > 0).map(Duration::from_secs),
        })
    }
}
