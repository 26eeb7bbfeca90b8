//! What handlers take from a request: service, JSON body, query, conditions. Each refuses with a code.

use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::json::{self, Node};
use crate::domain::ids::{Kind, Namespace, ObjectRef, Revision, ServiceRef};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::{ReleaseId, Word};
use crate::domain::session::Owners;
use crate::web::error::Failure;
use crate::web::guard::BODY;

/// The service that the path names.
#[derive(Clone, Debug)]
pub struct At(pub ServiceRef);

impl<S: Send + Sync> FromRequestParts<S> for At {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let unreadable = || Failure::from(Refusal::new(Code::BadName).arg("name", ""));
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| unreadable())?;
        let of = |key| params.iter().find(|(name, _)| *name == key).map(|(_, value)| value);
        let (Some(namespace), Some(name)) = (of("namespace"), of("name")) else { return Err(unreadable()) };
        Ok(Self(ServiceRef::parse(namespace, name)?))
    }
}

/// The routing object that the path names.
#[derive(Clone, Debug)]
pub struct ObjectAt(pub ObjectRef);

impl<S: Send + Sync> FromRequestParts<S> for ObjectAt {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let kind = path_text(parts, state, "kind").await;
        let namespace = path_text(parts, state, "object_namespace").await;
        let name = path_text(parts, state, "object").await;
        let missing = || {
            let shown: String = format!("{kind} {namespace}/{name}").chars().take(80).collect();
            Failure::from(Refusal::new(Code::ObjectNotFound).arg("object", shown))
        };
        let known =
            [Kind::VirtualService, Kind::DestinationRule].into_iter().find(|one| one.as_str() == kind);
        let known = known.filter(|_| name.len() <= 253).ok_or_else(missing)?;
        let namespace = Namespace::parse(&namespace).map_err(|_| missing())?;
        Ok(Self(ObjectRef::new(known, namespace.as_str(), &name)))
    }
}

/// The number of an entry of the history.
#[derive(Clone, Copy, Debug)]
pub struct EntryId(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for EntryId {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let text = params.ok().and_then(|params| {
            params.iter().find(|(name, _)| *name == "id").map(|(_, value)| value.to_owned())
        });
        let text = text.unwrap_or_default();
        let id = text.parse::<i64>().ok().filter(|id| *id > 0 && text.bytes().all(|b| b.is_ascii_digit()));
        let shown: String = text.chars().take(80).collect();
        Ok(Self(id.ok_or_else(|| Refusal::new(Code::EntryNotFound).arg("id", shown))?))
    }
}

/// A parameter of the path, as text.
async fn path_text<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> String {
    let params = RawPathParams::from_request_parts(parts, state).await;
    let found =
        params.ok().and_then(|params| params.iter().find(|(key, _)| *key == name).map(|(_, v)| v.to_owned()));
    found.unwrap_or_default()
}

/// The release that the path names: `R-1042` or `1042`.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseAt(pub ReleaseId);

impl<S: Send + Sync> FromRequestParts<S> for ReleaseAt {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        Ok(Self(ReleaseId::parse(&path_text(parts, state, "id").await)?))
    }
}

/// The command to a release, from the route of a page: `promote-all`.
#[derive(Clone, Copy, Debug)]
pub struct Said(pub Word);

/// The draft that the path names.
#[derive(Clone, Debug)]
pub struct DraftId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for DraftId {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = path_text(parts, state, "draft").await;
        let good =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if good { Ok(Self(text)) } else { Err(Code::DraftNotFound.into()) }
    }
}

/// The session that the path names.
#[derive(Clone, Debug)]
pub struct SessionId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for SessionId {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = path_text(parts, state, "session").await;
        let good = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let shown: String = text.chars().take(80).collect();
        if good { Ok(Self(text)) } else { Err(Refusal::new(Code::SessionNotFound).arg("id", shown).into()) }
    }
}

/// Takes whose sessions are meant: `scope` and `user`.
pub fn owners(query: &mut Query) -> Result<Owners, Refusal> {
    let all = match query.take("scope").as_deref() {
        None | Some("own") => false,
        Some("all") => true,
        Some(_) => return Err(bad_query("scope", "own or all is expected")),
    };
    Ok(match query.take("user") {
        Some(user) => Owners::Person(user),
        None if all => Owners::Everybody,
        None => Owners::Own,
    })
}

/// The template that the path names.
#[derive(Clone, Debug)]
pub struct TemplateName(pub String);

impl<S: Send + Sync> FromRequestParts<S> for TemplateName {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let name = path_text(parts, state, "template").await;
        let shown: String = name.chars().take(80).collect();
        let good = !name.trim().is_empty() && name.chars().count() <= 64;
        if good {
            Ok(Self(name))
        } else {
            Err(Refusal::new(Code::TemplateNotFound).arg("name", shown).into())
        }
    }
}

/// A JSON body, and its bytes.
#[derive(Clone, Debug)]
pub struct JsonBody {
    pub node: Node,
    pub bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Failure;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Code::MediaType.into());
        }
        let bytes = axum::body::to_bytes(body, BODY).await.map_err(|_| Failure::from(Code::BodyTooLarge))?;
        let node = json::parse(&bytes).map_err(|why| Refusal::new(Code::BadJson).arg("why", why))?;
        Ok(Self { node, bytes })
    }
}

/// More parameters than any operation has.
const PARAMETERS: usize = 64;

/// The parameters of a query. Programs hear about every one that is unknown, doubled or malformed.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned().take(PARAMETERS + 1);
        let pairs: Vec<(String, String)> = pairs.collect();
        if pairs.len() > PARAMETERS {
            return Err(bad_query("", &format!("at most {PARAMETERS} parameters are expected")).into());
        }
        for (at, (name, _)) in pairs.iter().enumerate() {
            if pairs[..at].iter().any(|(other, _)| other == name) {
                return Err(bad_query(name, "it stands twice").into());
            }
        }
        Ok(Self(pairs))
    }
}

impl Query {
    /// Takes a parameter; an empty one counts as left out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.swap_remove(at).1).filter(|value| !value.is_empty())
    }

    /// Takes `limit`, 1..=500.
    pub fn limit(&mut self) -> Result<usize, Refusal> {
        let Some(text) = self.take("limit") else { return Ok(100) };
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        let limit = text.parse::<usize>().ok().filter(|limit| plain && (1..=500).contains(limit));
        limit.ok_or_else(|| bad_query("limit", "a number from 1 to 500 is expected"))
    }

    /// Takes a parameter that is `true` or `false` (left out).
    pub fn flag(&mut self, name: &str) -> Result<bool, Refusal> {
        match self.take(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(bad_query(name, "true or false is expected")),
        }
    }

    /// Refuses parameters that were not read.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(bad_query(name, "it is not known here")),
        }
    }
}

/// The refusal of a parameter of the query.
pub fn bad_query(name: &str, why: &str) -> Refusal {
    let name: String = name.chars().take(80).collect();
    Refusal::new(Code::BadQuery).arg("name", &name).arg("why", why).field(name)
}

/// The revision in `If-Match`: `"42"`. A proxy that compressed the answer may have made it weak (`W/"42"`).
pub fn if_match(headers: &HeaderMap) -> Result<Option<Revision>, Refusal> {
    let mut all = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let bad = || Refusal::new(Code::BadIfMatch).field("If-Match");
    let text = value.to_str().map_err(|_| bad())?.trim();
    let text = text.strip_prefix("W/").unwrap_or(text);
    let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or_else(bad)?;
    let plain = !inside.is_empty() && inside.bytes().all(|b| b.is_ascii_digit());
    match inside.parse() {
        Ok(revision) if plain && all.next().is_none() => Ok(Some(revision)),
        _ => Err(bad()),
    }
}

/// The key in `Idempotency-Key`, as it was sent.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut all = headers.get_all("idempotency-key").iter();
    let Some(value) = all.next() else { return Ok(None) };
    let bad = || Refusal::new(Code::BadIdempotencyKey).field("Idempotency-Key");
    let text = value.to_str().map_err(|_| bad())?;
    if all.next().is_some() { Err(bad()) } else { Ok(Some(text.to_owned())) }
}

/// Names a request for its idempotency key: the same key must come with the same of these.
pub fn request_hash(method: &str, path: &str, expected: Option<Revision>, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [method.as_bytes(), path.as_bytes(), format!("{expected:?}").as_bytes(), body] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
