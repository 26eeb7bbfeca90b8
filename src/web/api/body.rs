//! Bodies of the API, read strictly into the words of the domain. Every *no* has a stable code and names
//! the field. Whether what was asked for makes sense for the service is decided by the use cases.

use super::json::Node;
use crate::domain::command::{MirrorWish, TrafficChange};
use crate::domain::ids::{RouteId, ServiceRef, VersionName};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::removal;
use crate::domain::routing::{
    Condition, MAX_ALTERNATIVES, MAX_CONDITIONS, MAX_RULES, Mirror, Op, Rule, Subject, Weights,
};
use crate::domain::split::{MAX_VERSIONS, Split};
use crate::services::ask::Wish;

/// More acknowledgements than there are codes make no sense.
pub const ACKS: usize = 64;
/// The longest of them, and of the fields that a rule shows without editing, in bytes.
const ACK: usize = 256;

/// A change as it was asked for, without its service.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub wish: Wish,
    pub reason: String,
    pub ack: Vec<String>,
}

/// Reads the body of `PUT …/traffic` and of its preview.
pub fn traffic(body: Node) -> Result<Change, Refusal> {
    let mut fields = Fields::of(body, "")?;
    let weights = match fields.take("weights")? {
        Some(node) => Some(Split::new(weights(node, "weights")?)?),
        None => None,
    };
    let route = match fields.take("route")? {
        None | Some(Node::Null) => None,
        Some(Node::Text(id)) => Some(RouteId::trusted(id)),
        Some(_) => return Err(wrong("route", "a text or null is expected")),
    };
    let rules = match fields.take("rules")? {
        None => None,
        Some(Node::List(items)) if items.len() > MAX_RULES => {
            return Err(Refusal::new(Code::TooManyRules).field("rules").arg("n", MAX_RULES));
        }
        Some(Node::List(items)) => {
            let rules = items.into_iter().enumerate().map(|(n, item)| rule(item, &format!("rules.{n}")));
            Some(rules.collect::<Result<_, _>>()?)
        }
        Some(_) => return Err(wrong("rules", "a list is expected")),
    };
    let mirror = fields.take("mirror")?.map(mirror).transpose()?;
    let (reason, ack) = why(&mut fields)?;
    fields.finish()?;
    Ok(Change { wish: Wish::Set(TrafficChange { route, weights, rules, mirror, lane: None }), reason, ack })
}

/// Reads the body of `POST …/takeover`.
pub fn take_over(body: Node) -> Result<Change, Refusal> {
    let mut fields = Fields::of(body, "")?;
    let version = match fields.take("version")? {
        Some(Node::Text(name)) => version(&name, "version")?,
        Some(_) => return Err(wrong("version", "a text is expected")),
        None => return Err(wrong("version", "it is missing")),
    };
    let (reason, ack) = why(&mut fields)?;
    fields.finish()?;
    Ok(Change { wish: Wish::TakeOver(version), reason, ack })
}

/// Reads the body of `POST …/retire`. What was typed must be exactly `SERVICE VERSION`.
pub fn retire(body: Node, at: &ServiceRef) -> Result<Change, Refusal> {
    let mut fields = Fields::of(body, "")?;
    let version = match fields.text("version")? {
        Some(name) => version(&name, "version")?,
        None => return Err(wrong("version", "it is missing")),
    };
    let confirm = fields.text("confirm")?.unwrap_or_default();
    let (reason, ack) = why(&mut fields)?;
    fields.finish()?;
    removal::confirmed(&at.name, &version, &confirm)?;
    Ok(Change { wish: Wish::Retire(version), reason, ack })
}

/// Reads the body of `POST …/switch-back`.
pub fn switch_back(body: Node, at: &ServiceRef) -> Result<Change, Refusal> {
    let mut fields = Fields::of(body, "")?;
    let revision = match fields.take("revision")? {
        Some(Node::Whole(revision)) => {
            u64::try_from(revision).ok().filter(|revision| i64::try_from(*revision).is_ok()).ok_or_else(
                || Refusal::new(Code::UnknownRevision).field("revision").arg("r", revision).arg("svc", at),
            )?
        }
        Some(_) => return Err(wrong("revision", "a whole number is expected")),
        None => return Err(wrong("revision", "it is missing")),
    };
    let (reason, ack) = why(&mut fields)?;
    fields.finish()?;
    Ok(Change { wish: Wish::SwitchBack(revision), reason, ack })
}

/// Reads the body of `POST …/audit/{id}/reasons`.
pub fn reason(body: Node) -> Result<String, Refusal> {
    let mut fields = Fields::of(body, "")?;
    let reason = fields.text("reason")?.unwrap_or_default();
    fields.finish()?;
    Ok(reason)
}

fn why(fields: &mut Fields) -> Result<(String, Vec<String>), Refusal> {
    let reason = fields.text("reason")?.unwrap_or_default();
    Ok((reason, fields.texts("ack")?))
}

/// `{"v1": 30, "v2": 70}`: whole numbers 0..=100, every version once. Their sum is not looked at.
fn weights(node: Node, field: &str) -> Result<Weights, Refusal> {
    let Node::Object(entries) = node else {
        return Err(Refusal::new(Code::WeightType).field(field).arg("v", "").arg("n", kind(&node)));
    };
    few(field, entries.len(), MAX_VERSIONS)?;
    let mut out: Weights = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let refuse = |code: Code, n: &dyn ToString| {
            Err(Refusal::new(code).field(field).arg("v", clip(&name)).arg("n", n.to_string()))
        };
        let weight = match value {
            Node::Whole(n) => match u8::try_from(n) {
                Ok(n) if n <= 100 => n,
                _ => return refuse(Code::WeightRange, &n),
            },
            Node::Number(n) if n.fract() != 0.0 => return refuse(Code::WeightType, &n),
            // 1e9, or 50.0: JSON knows one kind of number. Whole, so only its size can be wrong.
            Node::Number(n) => match (0..=100_u8).find(|whole| f64::from(*whole).total_cmp(&n.abs()).is_eq())
            {
                Some(whole) if n >= 0.0 => whole,
                _ => return refuse(Code::WeightRange, &n),
            },
            other => return refuse(Code::WeightType, &kind(&other)),
        };
        let version = version(&name, field)?;
        if out.iter().any(|(other, _)| *other == version) {
            return refuse(Code::DuplicateVersion, &weight);
        }
        out.push((version, weight));
    }
    Ok(out)
}

/// A name that no label can have is the name of no version.
fn version(name: &str, field: &str) -> Result<VersionName, Refusal> {
    VersionName::parse(name).map_err(|_| Refusal::new(Code::UnknownVersion).field(field).arg("v", clip(name)))
}

fn mirror(node: Node) -> Result<Option<MirrorWish>, Refusal> {
    if node == Node::Null {
        return Ok(None);
    }
    let mut fields = Fields::of(node, "mirror")?;
    let version = match fields.text("version")? {
        Some(name) => version(&name, "mirror.version")?,
        None => return Err(wrong("mirror.version", "it is missing")),
    };
    #[expect(clippy::cast_precision_loss, reason = "only values up to 100 are taken")]
    let percent = match fields.take("percent")? {
        Some(Node::Whole(n)) => n as f64,
        Some(Node::Number(n)) => n,
        Some(_) => return Err(wrong("mirror.percent", "a number is expected")),
        None => return Err(wrong("mirror.percent", "it is missing")),
    };
    fields.finish()?;
    match Mirror::possible(percent) {
        Some(percent) => Ok(Some(MirrorWish { version, percent })),
        None => Err(Refusal::new(Code::MirrorPercent).field("mirror.percent").arg("n", percent)),
    }
}

/// One rule, in the shape in which the API answers it.
fn rule(node: Node, at: &str) -> Result<Rule, Refusal> {
    let mut fields = Fields::of(node, at)?;
    let id = fields.optional("id")?.map(RouteId::trusted);
    let name = fields.optional("name")?;
    let opaque = fields.texts("opaque")?;
    let to = match fields.take("to")? {
        None => Vec::new(),
        Some(node) => weights(node, &format!("{at}.to"))?,
    };
    let when = match fields.take("when")? {
        None => Vec::new(),
        Some(Node::List(any)) => {
            few(&format!("{at}.when"), any.len(), MAX_ALTERNATIVES)?;
            let each = any.into_iter().enumerate();
            each.map(|(n, all)| alternatives(all, &format!("{at}.when.{n}"))).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(wrong(&format!("{at}.when"), "a list of lists is expected")),
    };
    let action = fields.optional("action")?;
    fields.finish()?;
    if to.is_empty() && id.is_none() {
        return Err(Refusal::new(Code::RuleEmpty).field(format!("{at}.to")));
    }
    if !to.is_empty() {
        Split::new(to.clone()).map_err(|refusal| refusal.field(format!("{at}.to")))?;
    }
    Ok(Rule { id, name, when, opaque, to, action })
}

fn alternatives(node: Node, at: &str) -> Result<Vec<Condition>, Refusal> {
    let Node::List(all) = node else { return Err(wrong(at, "a list of conditions is expected")) };
    few(at, all.len(), MAX_CONDITIONS)?;
    all.into_iter().enumerate().map(|(n, node)| condition(node, &format!("{at}.{n}"))).collect()
}

fn condition(node: Node, at: &str) -> Result<Condition, Refusal> {
    let bad = |field: &str| Refusal::new(Code::BadRule).field(format!("{at}.{field}"));
    let mut fields = Fields::of(node, at)?;
    let subject = fields.text("in")?.ok_or_else(|| bad("in"))?;
    let name = fields.optional("name")?;
    let named = || name.clone().filter(|name| !name.is_empty()).ok_or_else(|| bad("name"));
    let on = match subject.as_str() {
        "header" => Subject::Header(named()?),
        "cookie" => Subject::Cookie(named()?),
        "query" => Subject::Query(named()?),
        "path" | "method" if name.is_some() => return Err(bad("name")),
        "path" => Subject::Path,
        "method" => Subject::Method,
        _ => return Err(bad("in")),
    };
    let op = match fields.text("op")?.as_deref() {
        Some("exact") => Op::Exact,
        Some("prefix") => Op::Prefix,
        Some("regex") => Op::Regex,
        Some("present") => Op::Present,
        _ => return Err(bad("op")),
    };
    let value = fields.optional("value")?;
    fields.finish()?;
    match value {
        None if op != Op::Present => Err(bad("value")),
        value => Ok(Condition { on, op, value: value.unwrap_or_default() }),
    }
}

/// The fields of one object, taken one by one; what is left over at the end was not expected.
struct Fields {
    left: Vec<(String, Node)>,
    /// Where the object stands; empty = the body itself.
    at: String,
}

impl Fields {
    fn of(node: Node, at: &str) -> Result<Self, Refusal> {
        match node {
            Node::Object(left) => Ok(Self { left, at: at.to_owned() }),
            other => Err(wrong(at, &format!("an object is expected, not {}", kind(&other)))),
        }
    }

    fn take(&mut self, name: &str) -> Result<Option<Node>, Refusal> {
        let Some(first) = self.left.iter().position(|(key, _)| key == name) else { return Ok(None) };
        let (_, node) = self.left.remove(first);
        if self.left.iter().any(|(key, _)| key == name) {
            return Err(wrong(&self.path(name), "it stands twice"));
        }
        Ok(Some(node))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.take(name)? {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(&self.path(name), &format!("a text is expected, not {}", kind(&other)))),
        }
    }

    /// A text that may be left out or be null.
    fn optional(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        if self.left.iter().any(|(key, node)| key == name && *node == Node::Null) {
            self.take(name).map(|_| None)
        } else {
            self.text(name)
        }
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, Refusal> {
        let path = self.path(name);
        let bad = || wrong(&path, "a list of texts is expected");
        match self.take(name)? {
            None => Ok(Vec::new()),
            Some(Node::List(items)) => {
                few(&path, items.len(), ACKS)?;
                let text = |item| match item {
                    Node::Text(text) if text.len() <= ACK => Ok(text),
                    _ => Err(bad()),
                };
                items.into_iter().map(text).collect()
            }
            Some(_) => Err(bad()),
        }
    }

    fn finish(self) -> Result<(), Refusal> {
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) => Err(wrong(&self.path(&clip(name)), "it is not known here")),
        }
    }

    fn path(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }
}

/// Refuses a list that is longer than it may be, before anything is done with it.
fn few(field: &str, n: usize, max: usize) -> Result<(), Refusal> {
    if n > max { Err(Refusal::too_many(field, n, max)) } else { Ok(()) }
}

/// The refusal of a body that is JSON, but not the JSON that is expected.
fn wrong(field: &str, why: &str) -> Refusal {
    let refusal = Refusal::new(Code::BadJson).arg("why", why);
    if field.is_empty() { refusal } else { refusal.field(field) }
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

fn kind(node: &Node) -> &'static str {
    match node {
        Node::Null => "null",
        Node::Bool(_) => "true or false",
        Node::Whole(_) | Node::Number(_) => "a number",
        Node::Text(_) => "a text",
        Node::List(_) => "a list",
        Node::Object(_) => "an object",
    }
}
