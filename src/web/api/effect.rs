//! The shapes of what a change would do, did, or came too late for, and of what others changed.

use serde::Serialize;
use utoipa::ToSchema;

use super::progress::Progress;
use super::shape::{LastChange, Route};
use super::values::{Check, Weights, moment};
use crate::domain::audit::WorkloadRecord;
use crate::domain::ids::ObjectRef;
use crate::domain::overview::{self, DiffLine, Difference, Sign};
use crate::domain::plan::Effect;
use crate::domain::routing as words;
use crate::views::lang::Lang;
use crate::views::text;

/// What a change would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Preview {
    /// The effect in words.
    #[schema(example = "70% of requests move from v1 to v2.")]
    pub summary: String,
    pub checks: Vec<Check>,
    pub edits: Vec<Edit>,
    /// Stands on this revision: the value for `If-Match`.
    pub revision: u64,
    /// Percents of the route that changes, for every version; empty where requests are spread by pods.
    pub before: Weights,
    pub after: Weights,
    /// The port that this is about, when the route is for one of several; null = every port.
    #[schema(required = true)]
    pub port: Option<u32>,
    /// Other routes that split this service's requests and keep their split.
    pub kept: Vec<Route>,
    /// Workloads that are deleted, when a version is retired.
    pub deletes: Vec<DeletedWorkload>,
    /// The code that would refuse the change as it was asked for now; null = nothing stands in the way.
    #[schema(required = true, value_type = Option<String>)]
    pub refused_by: Option<&'static str>,
}

/// One object and its lines.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Edit {
    #[schema(value_type = String, example = "VirtualService")]
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    /// Lines of YAML that start with a blank, `+` or `-`.
    pub diff: String,
    /// False = you may not get this object; `diff` is empty.
    pub shown: bool,
}

impl OutsideEdit {
    pub fn of(found: &Difference) -> Self {
        Self {
            entry: found.entry,
            at: moment(found.at_ms),
            by: found.by.clone(),
            edits: Edit::all(&found.diffs),
        }
    }
}

impl Edit {
    pub fn all(diffs: &[(ObjectRef, Vec<DiffLine>)]) -> Vec<Self> {
        let one = |(object, lines): &(ObjectRef, Vec<DiffLine>)| Self {
            kind: object.kind.as_str(),
            namespace: object.namespace.to_string(),
            name: object.name.to_string(),
            diff: lines.iter().map(line).collect(),
            shown: !lines.iter().any(|line| line.sign == Sign::Hidden),
        };
        diffs.iter().map(one).collect()
    }
}

/// Edits of the routing from outside, against what was last written from here.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OutsideEdit {
    /// Its entry of the history.
    pub entry: i64,
    #[schema(format = "date-time")]
    pub at: String,
    /// Field managers.
    pub by: Vec<String>,
    /// From what was written to what is there now; empty = it is as it was written again.
    pub edits: Vec<Edit>,
}

/// A workload that goes with its pods.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeletedWorkload {
    #[schema(example = "Deployment")]
    pub kind: String,
    pub namespace: String,
    #[schema(example = "reviews-v1")]
    pub name: String,
}

impl DeletedWorkload {
    fn all(records: &[WorkloadRecord]) -> Vec<Self> {
        let one = |record: &WorkloadRecord| Self {
            kind: record.kind.clone(),
            namespace: record.namespace.to_string(),
            name: record.name.clone(),
        };
        records.iter().map(one).collect()
    }
}

/// The effect of a change in words.
pub fn summary(lang: Lang, effect: &Effect) -> String {
    text::effect(lang, effect).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl Preview {
    pub fn of(lang: Lang, preview: &overview::Preview) -> Self {
        let effect = &preview.planned.effect;
        Self {
            summary: summary(lang, effect),
            checks: Check::all(lang, &preview.checks),
            edits: Edit::all(&preview.diffs),
            revision: preview.base,
            before: Weights(effect.before.clone()),
            after: Weights(effect.after.clone()),
            port: effect.port,
            kept: effect.kept.iter().map(Route::of).collect(),
            deletes: DeletedWorkload::all(&preview.deletes),
            refused_by: preview.refusal.as_ref().map(|refusal| refusal.code.as_str()),
        }
    }
}

fn line(line: &DiffLine) -> String {
    let sign = match line.sign {
        Sign::Same => ' ',
        Sign::Add => '+',
        Sign::Del => '-',
        Sign::Hidden => return String::new(),
    };
    format!("{sign}{}\n", line.text)
}

/// A change that was written. That requests follow it is seen later.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Applied {
    /// The service's new revision; also the answer's `ETag`.
    pub revision: u64,
    /// Its entry of the history.
    pub entry: i64,
    pub before: Weights,
    pub after: Weights,
    /// Other routes that split this service's requests and kept their split.
    pub kept: Vec<Route>,
    /// The revision to switch back to.
    #[schema(required = true)]
    pub back: Option<u64>,
    /// Workloads that were deleted, when a version was retired.
    pub deleted: Vec<DeletedWorkload>,
    /// What is worth knowing of the deletion: what holds a workload back (`finalizer_holds`), what stays behind
    /// (`left_behind`), what was not looked at (`not_looked_at`).
    pub notes: Vec<Check>,
    /// How far it has come; `progress` of the service tells later when requests were seen to follow.
    #[schema(required = true)]
    pub progress: Option<Progress>,
}

impl Applied {
    pub fn of(lang: Lang, applied: &overview::Applied) -> Self {
        Self {
            revision: applied.revision,
            entry: applied.entry.id,
            before: Weights(applied.before.clone()),
            after: Weights(applied.after.clone()),
            kept: applied.kept.iter().map(Route::of).collect(),
            back: applied.back,
            deleted: DeletedWorkload::all(&applied.deleted),
            notes: Check::all(lang, &applied.notes),
            progress: applied.progress.as_ref().map(Progress::of),
        }
    }
}

/// Another change came first: three splits side by side.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Stale {
    pub saw: Stand,
    pub now: Stand,
    /// What you asked for.
    #[schema(required = true)]
    pub yours: Option<Weights>,
    #[schema(required = true)]
    pub by: Option<LastChange>,
}

/// A revision and its split.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Stand {
    pub revision: u64,
    #[schema(required = true)]
    pub weights: Option<Weights>,
}

impl Stale {
    pub fn of(stale: &overview::Stale) -> Self {
        let stand = |(revision, weights): &(u64, Option<words::Weights>)| Stand {
            revision: *revision,
            weights: weights.clone().map(Weights),
        };
        Self {
            saw: stand(&stale.saw),
            now: stand(&stale.now),
            yours: stale.yours.clone().map(Weights),
            by: stale.by.as_ref().map(LastChange::of),
        }
    }
}
