//! Checks and findings: a code with its weight and the values to say it with. Made by everything that judges a change
//! or reads a service; a refusal carries those that it comes from.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::refusal::{Args, Code};

/// How much a check weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Checked and in order.
    Ok,
    /// Good to know.
    Info,
    /// Refused until the person names the code in `ack`.
    Acknowledge,
    /// Refused.
    Block,
}

impl Severity {
    /// `ok`, `info`, `acknowledge` or `block`, as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Acknowledge => "acknowledge",
            Self::Block => "block",
        }
    }
}

/// One thing that was checked before a change, or found wrong (or notable) about a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub code: Code,
    pub severity: Severity,
    pub args: Args,
}

/// What a check is called where nothing is being changed.
pub type Finding = Check;

impl Check {
    pub fn new(severity: Severity, code: Code) -> Self {
        Self { code, severity, args: Vec::new() }
    }

    /// Adds a value to say.
    #[must_use]
    pub fn arg(mut self, name: &'static str, value: impl ToString) -> Self {
        self.args.push((Cow::Borrowed(name), value.to_string()));
        self
    }
}
