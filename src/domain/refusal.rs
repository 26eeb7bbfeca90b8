//! Refusals, checks and findings: expected answers with a stable code and the values to say them with.
//!
//! Nothing here is a sentence: the catalogues in `templates/locales` hold one for each code in both
//! languages (`views::text` joins them). Codes are part of the REST contract and never change meaning.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use super::check::{Check, Finding, Severity};
pub use super::code::Code;

/// The values that a sentence is filled with, by placeholder name.
pub type Args = Vec<(Cow<'static, str>, String)>;

/// Values that are the cluster's own words.
const QUOTES: [&str; 2] = ["message", "words"];

/// An expected *no*: a code, the values to say it with, where it belongs, and what was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: Code,
    pub args: Args,
    /// The field of the request that is meant (`weights`, `reason`, `rules.2.when.0.value`).
    pub field: Option<String>,
    /// Every check of the change, when the refusal comes from one.
    pub checks: Vec<Check>,
}

impl Refusal {
    pub fn new(code: Code) -> Self {
        Self { code, args: Vec::new(), field: None, checks: Vec::new() }
    }

    /// The refusal of a list of `n` that may hold `max`. Lists are counted before anything is done with them.
    pub fn too_many(field: impl Into<String>, n: usize, max: usize) -> Self {
        Self::new(Code::TooManyItems).field(field).arg("n", n).arg("max", max)
    }

    /// Adds a value to say.
    #[must_use]
    pub fn arg(mut self, name: &'static str, value: impl ToString) -> Self {
        self.args.push((Cow::Borrowed(name), value.to_string()));
        self
    }

    /// Names the field that is meant.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The same without the cluster's own words, which may quote an object.
    #[must_use]
    pub fn without_quotes(mut self) -> Self {
        let checks = self.checks.iter_mut().map(|check| &mut check.args);
        for args in checks.chain([&mut self.args]) {
            for (_, value) in args.iter_mut().filter(|(name, _)| QUOTES.contains(&name.as_ref())) {
                "…".clone_into(value);
            }
        }
        self
    }

    /// True when it holds the cluster's own words.
    pub fn quotes(&self) -> bool {
        self.args.iter().any(|(name, _)| QUOTES.contains(&name.as_ref()))
    }

    /// The refusal that a list of checks amounts to: the first block, else the first acknowledgement
    /// that is not among `acknowledged`; `None` when nothing stands in the way.
    pub fn of_checks(checks: &[Check], acknowledged: &[String]) -> Option<Self> {
        let open = |check: &&Check| {
            check.severity == Severity::Acknowledge
                && !acknowledged.iter().any(|code| code == check.code.as_str())
        };
        let worst = checks
            .iter()
            .find(|check| check.severity == Severity::Block)
            .or_else(|| checks.iter().find(open))?;
        let args = worst.args.clone();
        Some(Self { code: worst.code, args, field: None, checks: checks.to_vec() })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.code)?;
        for (name, value) in &self.args {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
