//! What a release writes, step by step: made by `services::releases` for a plan, shown by the wizard and the API.

use crate::domain::ids::ObjectRef;
use crate::domain::overview::DiffLine;

/// What one step writes; `step` = `None` before the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepObjects {
    pub step: Option<usize>,
    pub creates: Vec<String>,
    pub changes: Vec<String>,
    pub deletes: Vec<String>,
}

/// Everything that a release writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// In order; steps that write nothing are left out.
    pub steps: Vec<StepObjects>,
    /// Deleted after an abort, where the policies say so.
    pub after_abort: Vec<String>,
    /// Changed at the end.
    pub at_end: Vec<String>,
    /// The routing objects of the first write.
    pub diffs: Vec<(ObjectRef, Vec<DiffLine>)>,
}

impl Objects {
    /// All objects of one kind of act, each once.
    pub fn all(&self, of: impl Fn(&StepObjects) -> &Vec<String>) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for name in self.steps.iter().flat_map(&of) {
            if !out.contains(name) {
                out.push(name.clone());
            }
        }
        out
    }

    /// The names of all objects.
    pub fn names_mut<'a>(&'a mut self) -> impl Iterator<Item = &'a mut String> {
        let of = |step: &'a mut StepObjects| [&mut step.creates, &mut step.changes, &mut step.deletes];
        let steps = self.steps.iter_mut().flat_map(of).flatten();
        steps.chain(&mut self.after_abort).chain(&mut self.at_end)
    }
}
