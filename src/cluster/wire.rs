//! One request to the API server: how it is sent, how long it may take, what its answer means. Used by the
//! rest of this module; knows paths and bytes, no objects.
//!
//! What distinguishes this from `kube::Api`: headers are kept (`Warning`), a failure says whether the request can
//! have been processed, and only readings are ever repeated.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper_util::client::legacy;
use kube::client::Body;
use kube::core::Status;
use tokio::time::{Instant, sleep, timeout_at};

use super::client;
use super::connection::{Connection, Current};
use super::error::ClusterError;
use super::served::Served;

/// How often a reading is sent at most.
const READ_ATTEMPTS: u32 = 4;
/// A `Retry-After` is honoured up to here; beyond it we say that the cluster is busy.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A request without its connection.
#[derive(Clone)]
pub(super) struct Call {
    pub method: Method,
    /// Path with query.
    pub path: String,
    pub body: Option<Bytes>,
    accept: &'static str,
}

const JSON: &str = "application/json";
/// Of each object its metadata; whole objects where a server does not know how.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io, application/json";

impl Call {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, accept: JSON }
    }

    /// A list of which only the metadata of each object is wanted.
    pub fn metadata(path: impl Into<String>) -> Self {
        Self { accept: METADATA, ..Self::get(path) }
    }

    pub fn with_body(method: Method, path: impl Into<String>, body: &serde_json::Value) -> Self {
        Self { method, path: path.into(), body: Some(Bytes::from(body.to_string())), accept: JSON }
    }

    /// The request as this cluster wants it.
    fn request(&self, served: &Served) -> Result<Request<Body>, Failed> {
        let path = served.path(&self.path);
        let mut request = Request::builder().method(&self.method).uri(path).header("accept", self.accept);
        if self.body.is_some() {
            request = request.header("content-type", JSON);
        }
        let body = self.body.as_ref().map(|body| served.body(&self.path, body));
        let body = body.map_or_else(Body::empty, Body::from);
        request.body(body).map_err(|error| Failed::NotSent(ClusterError::Unreachable(error.to_string())))
    }
}

/// An answer of any status.
pub(super) struct Answer {
    pub status: u16,
    /// Texts of `Warning` headers.
    pub warnings: Vec<String>,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// The API server cannot have seen the request.
    NotSent(ClusterError),
    /// It may have.
    Lost(String),
    /// It may have.
    TimedOut,
}

impl Failed {
    pub fn error(self, what: &str) -> ClusterError {
        match self {
            Self::NotSent(error) => error,
            Self::Lost(why) => ClusterError::Unreachable(why),
            Self::TimedOut => ClusterError::Timeout(what.to_owned()),
        }
    }
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The API server's `Status`, made up from the body where it is none.
    pub fn told(&self) -> Status {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| {
            let text: String = String::from_utf8_lossy(&self.body).trim().chars().take(300).collect();
            Status::failure(&text, "").with_code(self.status)
        })
    }

    /// The answer as an error.
    pub fn error(&self, what: &str) -> ClusterError {
        let told = self.told();
        match self.status {
            401 => ClusterError::Unauthenticated(told.message),
            403 => ClusterError::Forbidden(told.message),
            404 => ClusterError::NotFound(what.to_owned()),
            429 => ClusterError::Busy(what.to_owned()),
            502 | 503 => ClusterError::Unreachable(told_words(&told)),
            504 => ClusterError::Timeout(what.to_owned()),
            code => ClusterError::Refused { code, message: told_words(&told) },
        }
    }

    /// True when the address itself is not served, as against an object that does not exist.
    fn is_unserved(&self) -> bool {
        self.status == 404 && serde_json::from_slice::<Status>(&self.body).is_err()
    }

    fn pause(&self) -> Option<Duration> {
        let seconds = self.told().details?.retry_after_seconds;
        (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)))
    }
}

fn told_words(status: &Status) -> String {
    if status.message.is_empty() { status.reason.clone() } else { status.message.clone() }
}

/// Sends a request once and collects its answer. Sent again only after an answer that says that it was not looked at:
/// refused credentials (401), once there are others, and a version of Istio's API that is not served.
pub(super) async fn send(connection: &Connection, call: &Call, end: Instant) -> Result<Answer, Failed> {
    match open(connection, call, end).await? {
        Ok(response) => {
            let collecting = collect(response);
            timeout_at(end, collecting).await.unwrap_or(Err(Failed::TimedOut))
        }
        Err(answer) => Ok(answer),
    }
}

/// The response once its status is known to be good, else the whole answer.
async fn open(
    connection: &Connection,
    call: &Call,
    end: Instant,
) -> Result<Result<Response<Body>, Answer>, Failed> {
    let exchange = async {
        let mut may_renew = true;
        let mut may_look = true;
        loop {
            let current = connection.current();
            let sent = connection.served().path(&call.path);
            let answer = match exchange(connection, &current, call).await {
                Err(Failed::NotSent(error @ ClusterError::Credentials(_))) if may_renew => {
                    may_renew = false;
                    if connection.renew(&current).await.map_err(Failed::NotSent)? {
                        continue;
                    }
                    return Err(Failed::NotSent(error));
                }
                other => match other? {
                    Ok(response) => return Ok(Ok(response)),
                    Err(answer) => answer,
                },
            };
            if answer.status == 401 && may_renew {
                may_renew = false;
                if connection.renew(&current).await.map_err(Failed::NotSent)? {
                    continue;
                }
            }
            if answer.is_unserved() && may_look {
                may_look = false;
                look_for_version(connection, &current, call).await?;
                // Another request may have found it out meanwhile.
                if connection.served().path(&call.path) != sent {
                    continue;
                }
            }
            return Ok(Err(answer));
        }
    };
    timeout_at(end, exchange).await.unwrap_or(Err(Failed::TimedOut))
}

async fn exchange(
    connection: &Connection,
    current: &Current,
    call: &Call,
) -> Result<Result<Response<Body>, Answer>, Failed> {
    let request = call.request(connection.served())?;
    let response = current.client.send(request).await.map_err(not_sent_or_lost)?;
    if response.status().is_success() { Ok(Ok(response)) } else { Ok(Err(collect(response).await?)) }
}

async fn collect(response: Response<Body>) -> Result<Answer, Failed> {
    let status = response.status().as_u16();
    let warnings = response.headers().get_all("warning").iter().filter_map(warning_text).collect();
    let body = response.into_body().collect().await.map_err(|error| Failed::Lost(client::words(&error)))?;
    Ok(Answer { status, warnings, body: body.to_bytes() })
}

/// Finds out in which versions Istio's kinds are served.
async fn look_for_version(connection: &Connection, current: &Current, call: &Call) -> Result<(), Failed> {
    let mut documents = Vec::new();
    for document in Served::documents(&call.path) {
        let found = exchange(connection, current, &Call::get(document)).await?;
        documents.push(match found {
            Ok(response) => Some(collect(response).await?.body),
            Err(answer) if answer.status == 404 => None,
            Err(_) => return Ok(()),
        });
    }
    connection.served().learn(&documents);
    Ok(())
}

/// Opens a stream: the body once the status is known to be good, else the whole answer.
pub(super) async fn stream(
    connection: &Connection,
    call: &Call,
    end: Instant,
) -> Result<Result<Body, Answer>, Failed> {
    Ok(open(connection, call, end).await?.map(Response::into_body))
}

/// Reads: sends up to four times until `end`, honouring `Retry-After`. An answer below 500 other than 429 is
/// final. Never used for anything that changes the cluster.
pub(super) async fn read(connection: &Connection, call: &Call, end: Instant) -> Result<Answer, ClusterError> {
    let mut pause = Duration::from_millis(100);
    let mut attempt = 1;
    loop {
        // One hanging connection must not use up the time of the others.
        let half = Instant::now() + end.saturating_duration_since(Instant::now()).mul_f64(0.6);
        let (wait, error) = match send(connection, call, half).await {
            Ok(answer) if answer.is_success() => return Ok(answer),
            Ok(answer) if !matches!(answer.status, 429 | 500 | 502 | 503 | 504) => {
                return Err(answer.error(&call.path));
            }
            Ok(answer) => (answer.pause().unwrap_or(pause), answer.error(&call.path)),
            Err(failed) => (pause, failed.error(&call.path)),
        };
        if attempt == READ_ATTEMPTS || wait > LONGEST_PAUSE || Instant::now() + wait >= end {
            return Err(error);
        }
        sleep(wait).await;
        attempt += 1;
        pause *= 3;
    }
}

fn not_sent_or_lost(error: kube::Error) -> Failed {
    let text = client::words(&error);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut refused = false;
    while let Some(error) = cause {
        // Without credentials, and without a connection, nothing leaves.
        if client::credentials(error).is_some() {
            return Failed::NotSent(ClusterError::Credentials(text));
        }
        if let Some(why) = client::distrust(error) {
            return Failed::NotSent(why.error(text));
        }
        refused |= error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect);
        cause = error.source();
    }
    if refused { Failed::NotSent(ClusterError::Unreachable(text)) } else { Failed::Lost(text) }
}

/// The text of `299 - "text"`.
fn warning_text(value: &http::HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let from = text.find('"')? + 1;
    let to = text.rfind('"').filter(|to| *to > from)?;
    Some(text[from..to].replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// A query string from pairs, encoded; empty for none.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    url::form_urlencoded::Serializer::for_suffix(String::from("?"), 1).extend_pairs(pairs).finish()
}

/// True for the words of an admission webhook or policy that says no, which may come with the status of a missing right.
pub(super) fn is_denied(message: &str) -> bool {
    message.contains("denied the request") || message.contains("denied request: ")
}
