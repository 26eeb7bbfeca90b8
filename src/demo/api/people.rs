//! Who may do what: bearer tokens, people, rules, and the two review resources that ask about them.
//!
//! Without people everybody may do everything, as on a cluster with `--authorization-mode=AlwaysAllow`.
//! Called by `wire` for each request; filled by tests and by the demo.

use serde_json::{Value, json};

use super::failure::Failure;
use super::kinds::Kind;

/// The audience of an API server itself.
const API_AUDIENCE: &str = "https://kubernetes.default.svc";

/// A user with a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The bearer token.
    pub token: String,
    /// The user name.
    pub name: String,
    /// What tells them from others of the name, such as the `metadata.uid` of a ServiceAccount; empty: the name.
    pub uid: String,
    /// Groups; `system:authenticated` is added.
    pub groups: Vec<String>,
    /// For which audiences `TokenReview` accepts the token; empty: for the API server's own only, as a real one
    /// treats the tokens of a token file.
    pub audiences: Vec<String>,
}

/// A right, as RBAC would give it. `*` in a list means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Right {
    /// A user name, or `group:` and a group.
    pub subject: String,
    /// Where; `None` is everywhere.
    pub namespace: Option<String>,
    /// Verbs.
    pub verbs: Vec<String>,
    /// API groups.
    pub groups: Vec<String>,
    /// Resources, e.g. `services`, `deployments/status`.
    pub resources: Vec<String>,
    /// Object names; empty means all.
    pub names: Vec<String>,
}

/// The people and the rights of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct People {
    pub people: Vec<Person>,
    pub rights: Vec<Right>,
}

/// The user of a request, with all groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    pub name: String,
    pub groups: Vec<String>,
}

/// The attributes of a `SubjectAccessReview`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl People {
    /// Who holds this `Authorization` header; a wrong token is refused, none is anonymous.
    pub fn identify(&self, header: Option<&str>) -> Result<Asker, Failure> {
        let token = header.and_then(|h| h.strip_prefix("Bearer ")).map(str::trim);
        match token {
            None => {
                Ok(Asker { name: "system:anonymous".into(), groups: vec!["system:unauthenticated".into()] })
            }
            // A server without people does not look at tokens.
            Some(_) if self.people.is_empty() => {
                Ok(Asker { name: "system:admin".into(), groups: vec!["system:masters".into()] })
            }
            Some(token) => self.by_token(token).map(Person::asker).ok_or_else(Failure::unauthorized),
        }
    }

    fn by_token(&self, token: &str) -> Option<&Person> {
        self.people.iter().find(|p| p.token == token)
    }

    /// Whether a right covers the wish.
    pub fn may(&self, asker: &Asker, wish: &Wish<'_>) -> bool {
        if self.people.is_empty() || asker.groups.iter().any(|g| g == "system:masters") {
            return true;
        }
        self.rights.iter().any(|right| right.covers(asker, wish))
    }

    /// Refuses a request on a resource that no right covers.
    pub fn check(&self, asker: &Asker, kind: &Kind, wish: &Wish<'_>) -> Result<(), Failure> {
        if self.may(asker, wish) {
            return Ok(());
        }
        Err(Failure::forbidden(kind, wish.name, &refusal(asker, wish)))
    }

    /// Answers a `TokenReview`.
    pub fn token_review(&self, mut review: Value) -> Value {
        let token = review["spec"]["token"].as_str().unwrap_or_default();
        let wanted: Vec<&str> =
            review["spec"]["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let status = match self.by_token(token) {
            None => json!({"user": {}, "error": "[invalid bearer token, Token has been invalidated]"}),
            Some(person) => {
                let own = person.audiences.iter().map(String::as_str).collect::<Vec<_>>();
                let own = if own.is_empty() { vec![API_AUDIENCE] } else { own };
                // Asking without audiences means the API server's.
                let wanted = if wanted.is_empty() { vec![API_AUDIENCE] } else { wanted };
                let shared: Vec<&str> = wanted.iter().copied().filter(|a| own.contains(a)).collect();
                if shared.is_empty() {
                    json!({"user": {}, "error": format!(
                        "[invalid bearer token, token audiences {own:?} is invalid for the target audiences {wanted:?}]"
                    )})
                } else {
                    let who = person.asker();
                    json!({
                        "authenticated": true,
                        "user": {"username": who.name, "uid": person.uid(), "groups": who.groups},
                        "audiences": shared,
                    })
                }
            }
        };
        review["status"] = status;
        review
    }

    /// Answers a `SubjectAccessReview`, or with `asker` a `SelfSubjectAccessReview`.
    pub fn access_review(&self, mut review: Value, asker: Option<&Asker>) -> Value {
        let spec = &review["spec"];
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let who = asker.cloned().unwrap_or_else(|| Asker {
            name: text(spec, "user"),
            groups: spec["groups"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|g| g.as_str().map(str::to_owned))
                .collect(),
        });
        let attributes = &spec["resourceAttributes"];
        let (verb, group, resource, subresource, namespace, name) = (
            text(attributes, "verb"),
            text(attributes, "group"),
            text(attributes, "resource"),
            text(attributes, "subresource"),
            text(attributes, "namespace"),
            text(attributes, "name"),
        );
        let wish = Wish {
            verb: &verb,
            group: &group,
            resource: &resource,
            subresource: &subresource,
            namespace: &namespace,
            name: &name,
        };
        let allowed = self.may(&who, &wish);
        let reason =
            if allowed && !self.people.is_empty() { "RBAC: allowed by a right of the test" } else { "" };
        review["status"] = json!({"allowed": allowed});
        if !reason.is_empty() {
            review["status"]["reason"] = reason.into();
        }
        review
    }
}

impl Person {
    fn uid(&self) -> &str {
        if self.uid.is_empty() { &self.name } else { &self.uid }
    }

    fn asker(&self) -> Asker {
        let mut groups = self.groups.clone();
        groups.push("system:authenticated".into());
        Asker { name: self.name.clone(), groups }
    }
}

impl Right {
    fn covers(&self, asker: &Asker, wish: &Wish<'_>) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|w| w == "*" || w == word);
        let subject = match self.subject.strip_prefix("group:") {
            Some(group) => asker.groups.iter().any(|g| g == group),
            None => asker.name == self.subject,
        };
        let resource = if wish.subresource.is_empty() {
            wish.resource.to_owned()
        } else {
            format!("{}/{}", wish.resource, wish.subresource)
        };
        subject
            && self.namespace.as_deref().is_none_or(|n| n == wish.namespace)
            && has(&self.verbs, wish.verb)
            && has(&self.groups, wish.group)
            && has(&self.resources, &resource)
            && (self.names.is_empty() || self.names.iter().any(|n| n == wish.name))
    }
}

/// The sentence of the RBAC authoriser.
pub(super) fn refusal(asker: &Asker, wish: &Wish<'_>) -> String {
    let resource = if wish.subresource.is_empty() {
        wish.resource.to_owned()
    } else {
        format!("{}/{}", wish.resource, wish.subresource)
    };
    let place = if wish.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", wish.namespace)
    };
    format!(
        "User \"{}\" cannot {} resource \"{resource}\" in API group \"{}\" {place}",
        asker.name, wish.verb, wish.group
    )
}
