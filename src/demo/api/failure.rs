//! Failures as the API server words them: `kind: Status` bodies with reason, details and code.
//!
//! Every file of this folder returns these; `wire` turns them into responses. The texts are what people see in
//! `kubectl`, so they follow `k8s.io/apimachinery/pkg/api/errors` to the letter.

use serde_json::{Map, Value, json};

use super::kinds::Kind;

/// A request that was not carried out, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// HTTP status code.
    pub code: u16,
    /// The word for programs, e.g. `NotFound`; empty when there is none.
    pub reason: &'static str,
    /// The sentence for people.
    pub message: String,
    /// The `details` of the body.
    pub details: Map<String, Value>,
    /// The `metadata.continue` of an expired list.
    pub proceed: Option<String>,
}

/// One thing wrong with an object.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Path of the field, `spec.http[0]`.
    pub field: String,
    /// Reason of the cause, e.g. `FieldValueInvalid`.
    pub reason: &'static str,
    /// The text after the path.
    pub message: String,
}

impl FieldError {
    /// `Invalid value: …`, the value already printed as Go prints it.
    pub fn invalid(field: impl Into<String>, printed: &str, text: &str) -> Self {
        Self {
            field: field.into(),
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {printed}: {text}"),
        }
    }

    /// `Required value: …`.
    pub fn required(field: impl Into<String>, text: &str) -> Self {
        let message =
            if text.is_empty() { "Required value".to_owned() } else { format!("Required value: {text}") };
        Self { field: field.into(), reason: "FieldValueRequired", message }
    }

    /// `Forbidden: …`.
    pub fn forbidden(field: impl Into<String>, text: &str) -> Self {
        Self { field: field.into(), reason: "FieldValueForbidden", message: format!("Forbidden: {text}") }
    }
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Map::new(), proceed: None }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        if !name.is_empty() {
            self.details.insert("name".into(), name.into());
        }
        if !kind.group.is_empty() {
            self.details.insert("group".into(), kind.group.into());
        }
        self.details.insert("kind".into(), kind.plural.into());
        self
    }

    /// 404 for an object.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.resource())).about(kind, name)
    }

    /// 409: there is one of that name already.
    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.resource()))
            .about(kind, name)
    }

    /// 409: the resourceVersion sent is not the stored one.
    pub fn conflict(kind: &Kind, name: &str) -> Self {
        Self::conflict_because(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 with a reason of its own, e.g. a precondition on the uid.
    pub fn conflict_because(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.resource());
        Self::new(409, "Conflict", message).about(kind, name)
    }

    /// 422 with its causes. `kind_word` is the kind, or (for a missing resourceVersion) the resource.
    pub fn invalid(kind: &Kind, kind_word: &str, name: &str, errors: &[FieldError]) -> Self {
        let words: Vec<String> = errors.iter().map(|e| format!("{}: {}", e.field, e.message)).collect();
        let text =
            if let [only] = words.as_slice() { only.clone() } else { format!("[{}]", words.join(", ")) };
        let qualified =
            if kind.group.is_empty() { kind_word.to_owned() } else { format!("{kind_word}.{}", kind.group) };
        let mut failure =
            Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {text}")).about(kind, name);
        failure.details.insert("kind".into(), kind_word.into());
        let causes: Vec<Value> = errors
            .iter()
            .map(|e| json!({"reason": e.reason, "message": e.message, "field": e.field}))
            .collect();
        failure.details.insert("causes".into(), causes.into());
        failure
    }

    /// 422 for list and watch options that contradict each other.
    pub fn invalid_options(error: FieldError) -> Self {
        let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {}: {}", error.field, error.message);
        let mut failure = Self::new(422, "Invalid", message);
        failure.details.insert("group".into(), "meta.k8s.io".into());
        failure.details.insert("kind".into(), "ListOptions".into());
        failure.details.insert(
            "causes".into(),
            json!([{"reason": error.reason, "message": error.message, "field": error.field}]),
        );
        failure
    }

    /// 422 for a patch that cannot be applied to the object.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 500 without a reason: an error of the server's libraries without a code.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403 by the authoriser.
    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let object =
            if name.is_empty() { kind.resource() } else { format!("{} \"{name}\"", kind.resource()) };
        Self::new(403, "Forbidden", format!("{object} is forbidden: {why}")).about(kind, name)
    }

    /// 403 for a path that is not a resource.
    pub fn forbidden_path(user: &str, verb: &str, path: &str) -> Self {
        let message = format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\"");
        Self::new(403, "Forbidden", message)
    }

    /// 400 by a validating webhook; istiod gives neither a code nor a reason, so this is what the server makes of it.
    pub fn denied(webhook: &str, words: &str) -> Self {
        Self::new(400, "", format!("admission webhook \"{webhook}\" denied the request: {words}"))
    }

    /// 405.
    pub fn method_not_allowed(kind: &Kind) -> Self {
        let mut failure = Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        failure = failure.about(kind, "");
        failure
    }

    /// 410: the history that was asked for is gone.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
    }

    /// 415, with the types that the resource takes.
    pub fn unsupported_patch(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 504: a resourceVersion from the future.
    pub fn too_large_version(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut failure = Self::new(504, "Timeout", message);
        failure.details.insert(
            "causes".into(),
            json!([{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]),
        );
        failure.details.insert("retryAfterSeconds".into(), 1.into());
        failure
    }

    /// The answer of a server in trouble: 429, 500, 503, 504 in the server's words; any other code plainly.
    pub fn trouble(code: u16) -> Self {
        let (reason, message) = match code {
            429 => (
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later",
            ),
            500 => ("InternalError", "Internal error occurred: etcdserver: request timed out"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "Timeout: request did not complete within the allotted timeout"),
            _ => ("", "the server answered in a way that a test asked for"),
        };
        let mut failure = Self::new(code, reason, message);
        if matches!(code, 429 | 503) {
            failure.details.insert("retryAfterSeconds".into(), 1.into());
        }
        failure
    }

    /// The `Status` object of the body.
    pub fn body(&self) -> Value {
        let mut metadata = Map::new();
        if let Some(token) = &self.proceed {
            metadata.insert("continue".into(), token.as_str().into());
        }
        let mut body = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata,
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            body["reason"] = self.reason.into();
        }
        if !self.details.is_empty() {
            body["details"] = Value::Object(self.details.clone());
        }
        body
    }
}
