//! What verifying a history found, and how it is printed.

use std::fmt;

use super::Head;

/// Bad rows that are named; more are counted.
const NAMED: usize = 20;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows that were read before the first bad one, or all.
    pub rows: i64,
    /// Intents without an outcome: changes under way, or cut off by a crash. Not bad by themselves.
    pub open: usize,
    pub first_bad: Option<Bad>,
    /// What is bad besides, in the order of rows.
    pub more_bad: Vec<Bad>,
    /// Anchors that fit.
    pub anchors: usize,
    /// The last good row; `None` when there is none.
    pub head: Option<Head>,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The row; `None` when it is about the file as a whole.
    pub seq: Option<i64>,
    pub why: String,
}

impl Report {
    /// True when everything is as it was written.
    pub fn is_good(&self) -> bool {
        self.first_bad.is_none()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, open) = (self.rows, self.open);
        match &self.first_bad {
            None => writeln!(f, "The history is unbroken: {rows} rows, {open} changes without an outcome.")?,
            Some(Bad { seq: Some(seq), why }) => {
                writeln!(f, "The history is NOT as it was written. First bad row: {seq}: {why}.")?;
                writeln!(f, "{rows} rows before it are good.")?;
            }
            Some(Bad { seq: None, why }) => {
                writeln!(f, "The history is NOT as it was written: {why}.")?;
            }
        }
        for bad in self.more_bad.iter().take(NAMED) {
            match bad.seq {
                Some(seq) => writeln!(f, "Also bad: row {seq}: {}.", bad.why)?,
                None => writeln!(f, "Also bad: {}.", bad.why)?,
            }
        }
        if let Some(more) = self.more_bad.len().checked_sub(NAMED).filter(|more| *more > 0) {
            writeln!(f, "And {more} more.")?;
        }
        match self.anchors {
            0 => {}
            1 => writeln!(f, "1 anchor fits.")?,
            n => writeln!(f, "{n} anchors fit.")?,
        }
        match &self.head {
            Some(head) => write!(f, "Last good row and its hash: {head}"),
            None => write!(f, "It has no good rows."),
        }
    }
}
