//! The rule editor's form fields ⇄ a rule, and what a press on a button does to the list of rules. Pure.
//!
//! Fields: `do` (the button), `rule.at` (`new` or a number), `rule.name`, `when.K.in|name|op|value`,
//! `rule.to` (a version, or `*`: then the weights count), `rule.w.VERSION`, `rule.sample`. Whether the rule is allowed
//! is not decided here but by the preview.

use crate::domain::affix::Affix;
use crate::domain::ids::VersionName;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::routing::{Condition, Op, Rule, Subject};
use crate::domain::split::Split;

use super::rules::Field;

/// The most conditions that one rule takes in the editor.
const MOST: usize = 12;
/// The choice of several versions, by weights; no version has this name.
pub const SPLIT: &str = "*";

/// Which button was pressed: the value of the field `do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Press {
    /// Opens the editor for a new rule.
    New,
    /// Opens the editor for the rule at this place.
    Edit(usize),
    /// Puts what the editor holds into the list.
    Save,
    /// One more line of conditions.
    More,
    /// Tries the sample value.
    Try,
    /// Closes the editor.
    Cancel,
    Remove(usize),
    Up(usize),
    Down(usize),
}

impl Press {
    /// Reads `new`, `edit:0`, `save`, `more`, `try`, `cancel`, `remove:0`, `up:0`, `down:0`.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, at) = text.split_once(':').unwrap_or((text, ""));
        let at = || at.parse::<usize>().ok();
        Some(match word {
            "new" => Self::New,
            "save" => Self::Save,
            "more" => Self::More,
            "try" => Self::Try,
            "cancel" => Self::Cancel,
            "edit" => Self::Edit(at()?),
            "remove" => Self::Remove(at()?),
            "up" => Self::Up(at()?),
            "down" => Self::Down(at()?),
            _ => return None,
        })
    }
}

/// What is in the editor: a rule as it is being typed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// The rule's place; `None` = a new one.
    pub at: Option<usize>,
    pub name: String,
    pub conditions: Vec<Field>,
    /// The rule whose conditions are kept because they cannot be edited here.
    pub kept: Option<Rule>,
    /// Where its requests go: a version's name, [`SPLIT`], or nothing yet. `None` = not asked, the weights say it.
    pub target: Option<String>,
    pub to: Vec<(String, String)>,
    pub sample: String,
    pub refusal: Option<Refusal>,
}

/// What a press leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Pressed {
    pub rules: Vec<Rule>,
    /// True when the list is not what it was before.
    pub edited: bool,
    /// The editor to show.
    pub draft: Option<Draft>,
}

/// Does what the pressed button says. `fields` are those of the editor, as sent.
pub fn press(mut rules: Vec<Rule>, press: &Press, fields: &[(String, String)]) -> Result<Pressed, Refusal> {
    let there = |at: usize| rules.get(at).ok_or_else(|| Refusal::new(Code::UnknownRule).arg("n", at + 1));
    let mut draft = None;
    let mut edited = true;
    match *press {
        Press::New => (draft, edited) = (Some(Draft::empty()), false),
        Press::Edit(at) => (draft, edited) = (Some(Draft::of(at, there(at)?)), false),
        Press::Cancel => edited = false,
        Press::More | Press::Try => {
            let mut typed = Draft::read(fields, &rules)?;
            if *press == Press::More && typed.conditions.len() < MOST {
                typed.conditions.push(Field::default());
            }
            (draft, edited) = (Some(typed), false);
        }
        Press::Save => {
            let mut typed = Draft::read(fields, &rules)?;
            match typed.rule(&rules) {
                Ok(rule) => match typed.at {
                    Some(at) => rules[at] = rule,
                    None => rules.push(rule),
                },
                Err(refusal) => {
                    typed.refusal = Some(refusal);
                    (draft, edited) = (Some(typed), false);
                }
            }
        }
        Press::Remove(at) => {
            there(at)?;
            rules.remove(at);
        }
        Press::Up(at) | Press::Down(at) => {
            let other = if matches!(press, Press::Up(_)) { at.wrapping_sub(1) } else { at + 1 };
            there(at)?;
            if other < rules.len() {
                rules.swap(at, other);
            }
        }
    }
    Ok(Pressed { rules, edited, draft })
}

impl Draft {
    /// The editor for a rule that does not exist yet.
    pub fn empty() -> Self {
        Self {
            conditions: vec![Field { subject: "header".into(), op: "exact".into(), ..Field::default() }],
            target: Some(String::new()),
            ..Self::default()
        }
    }

    /// The editor for a rule of the list.
    pub fn of(at: usize, rule: &Rule) -> Self {
        let fixed = rule.when.len() > 1 || !rule.opaque.is_empty();
        let field = |condition: &Condition| {
            let (subject, name) = match &condition.on {
                Subject::Header(name) => ("header", name.as_str()),
                Subject::Cookie(name) => ("cookie", name.as_str()),
                Subject::Query(name) => ("query", name.as_str()),
                Subject::Path => ("path", ""),
                Subject::Method => ("method", ""),
            };
            let (op, value) = match Affix::of(condition) {
                Some((affix, text)) => (affix.as_str(), text),
                None => (condition.op.as_str(), condition.value.clone()),
            };
            Field { subject: subject.to_owned(), name: name.to_owned(), op: op.to_owned(), value }
        };
        Self {
            at: Some(at),
            name: rule.given_name().unwrap_or_default().to_owned(),
            conditions: rule
                .when
                .first()
                .filter(|_| !fixed)
                .map(|all| all.iter().map(field).collect())
                .unwrap_or_default(),
            kept: fixed.then(|| rule.clone()),
            target: Some(match rule.to.as_slice() {
                [] => String::new(),
                [(version, 100)] => version.to_string(),
                _ => SPLIT.to_owned(),
            }),
            to: rule.to.iter().map(|(version, weight)| (version.to_string(), weight.to_string())).collect(),
            ..Self::default()
        }
    }

    /// Reads the editor's fields.
    pub fn read(fields: &[(String, String)], rules: &[Rule]) -> Result<Self, Refusal> {
        let of =
            |name: &str| fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.trim());
        let at = match of("rule.at") {
            "" | "new" => None,
            text => {
                let at = text.parse::<usize>().ok().filter(|at| *at < rules.len());
                Some(at.ok_or_else(|| Refusal::new(Code::UnknownRule).field("rule.at").arg("n", text))?)
            }
        };
        let kept = at.and_then(|at| Self::of(at, &rules[at]).kept);
        let condition = |k: usize| Field {
            subject: of(&format!("when.{k}.in")).to_owned(),
            name: of(&format!("when.{k}.name")).to_owned(),
            op: of(&format!("when.{k}.op")).to_owned(),
            value: of(&format!("when.{k}.value")).to_owned(),
        };
        let to = fields.iter().filter_map(|(field, value)| Some((field.strip_prefix("rule.w.")?, value)));
        Ok(Self {
            at,
            name: of("rule.name").to_owned(),
            conditions: (0..MOST).map(condition).filter(|field| !field.subject.is_empty()).collect(),
            kept,
            target: fields.iter().find(|(field, _)| field == "rule.to").map(|(_, v)| v.trim().to_owned()),
            to: to.map(|(version, value)| (version.to_owned(), value.trim().to_owned())).collect(),
            sample: of("rule.sample").to_owned(),
            refusal: None,
        })
    }

    /// The rule that was typed. Lines without name and value are left out.
    pub fn rule(&self, rules: &[Rule]) -> Result<Rule, Refusal> {
        let old = self.at.and_then(|at| rules.get(at));
        let to = self.destinations()?;
        let when = match &self.kept {
            Some(kept) => kept.when.clone(),
            None => vec![self.typed_conditions()?],
        };
        if self.kept.is_none() && when.iter().all(Vec::is_empty) {
            return Err(Refusal::new(Code::RuleEmpty).field("when.0.value"));
        }
        Ok(Rule {
            id: old.and_then(|rule| rule.id.clone()),
            name: match old.filter(|rule| self.name.is_empty() && rule.given_name().is_none()) {
                // The field did not show it.
                Some(rule) => rule.name.clone(),
                None => (!self.name.is_empty()).then(|| self.name.clone()),
            },
            when,
            opaque: self.kept.as_ref().map(|kept| kept.opaque.clone()).unwrap_or_default(),
            to,
            action: None,
        })
    }

    /// Where its requests go: one version, or several by weights.
    fn destinations(&self) -> Result<Vec<(VersionName, u8)>, Refusal> {
        match self.target.as_deref() {
            Some("") => return Err(Refusal::new(Code::RuleTarget).field("rule.to")),
            Some(SPLIT) | None => {}
            Some(version) => return Ok(vec![(VersionName::parse(version)?, 100)]),
        }
        let mut to = Vec::new();
        for (version, value) in &self.to {
            let version = VersionName::parse(version)?;
            let wrong = |code| {
                Refusal::new(code).field(format!("rule.w.{version}")).arg("v", &version).arg("n", value)
            };
            let number: i64 =
                if value.is_empty() { 0 } else { value.parse().map_err(|_| wrong(Code::WeightType))? };
            to.push((
                version.clone(),
                u8::try_from(number).ok().filter(|n| *n <= 100).ok_or_else(|| wrong(Code::WeightRange))?,
            ));
        }
        if to.iter().all(|(_, weight)| *weight == 0) {
            return Err(Refusal::new(Code::RuleTarget).field("rule.to"));
        }
        let split: Vec<(VersionName, u8)> = Split::new(to)?.into();
        Ok(split.into_iter().filter(|(_, weight)| *weight > 0).collect())
    }

    fn typed_conditions(&self) -> Result<Vec<Condition>, Refusal> {
        let filled = |field: &&Field| !field.name.is_empty() || !field.value.is_empty();
        self.conditions.iter().filter(filled).enumerate().map(|(k, field)| field.condition(k)).collect()
    }

    /// Whether the sample value satisfies the typed conditions; `None` without a sample. A regular
    /// expression must match the whole value, as the proxy does it.
    pub fn matched(&self) -> Option<bool> {
        if self.sample.is_empty() {
            return None;
        }
        let conditions = self.typed_conditions().ok()?;
        let holds = |condition: &Condition| match condition.op {
            Op::Exact => self.sample == condition.value,
            Op::Prefix => self.sample.starts_with(&condition.value),
            Op::Present => true,
            Op::Regex => regex::Regex::new(&format!("^(?:{})$", condition.value))
                .is_ok_and(|re| re.is_match(&self.sample)),
        };
        Some(!conditions.is_empty() && conditions.iter().all(holds))
    }
}

impl Field {
    fn condition(&self, k: usize) -> Result<Condition, Refusal> {
        let on = match self.subject.as_str() {
            "header" => Subject::Header(self.name.to_ascii_lowercase()),
            "cookie" => Subject::Cookie(self.name.clone()),
            "query" => Subject::Query(self.name.clone()),
            "path" => Subject::Path,
            "method" => Subject::Method,
            _ => return Err(Refusal::new(Code::BadRule).field(format!("when.{k}.in"))),
        };
        if let Some(affix) = Affix::parse(&self.op) {
            if self.value.is_empty() {
                return Err(Refusal::new(Code::RuleEmpty).field(format!("when.{k}.value")));
            }
            return Ok(affix.condition(on, &self.value));
        }
        let op = match self.op.as_str() {
            "exact" => Op::Exact,
            "prefix" => Op::Prefix,
            "regex" => Op::Regex,
            "present" => Op::Present,
            _ => return Err(Refusal::new(Code::BadRule).field(format!("when.{k}.op"))),
        };
        if op == Op::Regex
            && let Err(error) = regex::Regex::new(&self.value)
        {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            return Err(Refusal::new(Code::BadRegex)
                .field(format!("when.{k}.value"))
                .arg("value", &self.value)
                .arg("why", why));
        }
        Ok(Condition { on, op, value: self.value.clone() })
    }
}
