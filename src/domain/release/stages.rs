//! The flat list of steps as people think of it: a stage gives the new version something, holds, looks,
//! and perhaps waits for a person. The step rail and the wizard's table both show stages.

use std::ops::Range;

use super::spec::Step;

/// Steps that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageOf {
    /// Which steps of the list.
    pub steps: Range<usize>,
    /// The step that changes where requests go (or how many pods there are), if there is one.
    pub aim: Option<usize>,
    /// Seconds that it holds.
    pub hold: Option<u64>,
    /// Passes in a row that it waits for.
    pub passes: Option<u32>,
    pub approval: bool,
}

/// Where a kind of step stands within a stage.
fn rank(step: &Step) -> u8 {
    match step {
        Step::Weight { .. } | Step::Replicas { .. } | Step::Rules { .. } | Step::Mirror { .. } => 0,
        Step::Hold { .. } => 1,
        Step::Analysis { .. } => 2,
        Step::Approval => 3,
    }
}

/// Every step stands in exactly one stage, in its order.
pub fn stages(steps: &[Step]) -> Vec<StageOf> {
    let mut out: Vec<StageOf> = Vec::new();
    let mut last = u8::MAX;
    for (at, step) in steps.iter().enumerate() {
        let rank = rank(step);
        if rank <= last || out.is_empty() {
            out.push(StageOf { steps: at..at, aim: None, hold: None, passes: None, approval: false });
        }
        last = rank;
        let Some(stage) = out.last_mut() else { continue };
        stage.steps.end = at + 1;
        match step {
            Step::Hold { seconds } => stage.hold = Some(*seconds),
            Step::Analysis { passes } => stage.passes = Some(*passes),
            Step::Approval => stage.approval = true,
            _ => stage.aim = Some(at),
        }
    }
    out
}

/// Which stage a step belongs to (from 1) and how many there are: steps are counted as people see them, everywhere.
pub fn position(steps: &[Step], step: usize) -> (usize, usize) {
    let all = stages(steps);
    let found = all.iter().position(|stage| stage.steps.contains(&step));
    (found.map_or(all.len(), |at| at + 1), all.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::release::{Strategy, Template};

    #[test]
    fn every_step_of_every_template_stands_in_one_stage() {
        for template in Template::ALL {
            for strategy in Strategy::ALL {
                let steps = template.steps(strategy, 5);
                let stages = stages(&steps);
                let covered: Vec<usize> = stages.iter().flat_map(|stage| stage.steps.clone()).collect();
                assert_eq!(covered, (0..steps.len()).collect::<Vec<_>>(), "{template:?} {strategy:?}");
            }
        }
    }

    #[test]
    fn an_approval_before_a_hold_is_a_stage_of_its_own() {
        let steps = [Step::Approval, Step::Hold { seconds: 5 }, Step::Weight { percent: 100 }];
        let stages = stages(&steps);
        assert_eq!(stages.len(), 3);
        assert!(stages[0].approval && stages[1].hold == Some(5) && stages[2].aim == Some(2));
        assert!(super::stages(&[]).is_empty());
    }
}
