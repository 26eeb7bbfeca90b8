//! The shapes of releases, their events and judgements, drafts and templates.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::effect::OutsideEdit;
use super::entry::Said;
use super::release_body::SpecBody;
use super::values::{Check, moment, rounded};
use super::waiting::WaitingPod;
use crate::domain::refusal::Refusal;
use crate::domain::release::{self as words, Counts, Word};
use crate::services::releases::ReleasePlan;
use crate::views::lang::Lang;
use crate::views::release::said;
use crate::views::text;

/// A release as it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Release {
    #[schema(example = "R-1042")]
    pub id: String,
    /// Grows with every transition; also `ETag`.
    pub seq: u64,
    /// `validated`, `pending_approval`, `scheduled`, `running`, `promoting`, `finalising`, `succeeded`, `paused`,
    /// `aborting`, `rolled_back`, `needs_attention`, `cancelled`, `superseded`.
    #[schema(value_type = String, example = "running")]
    pub phase: &'static str,
    /// The same in words.
    pub state: String,
    /// True when nothing more happens by itself.
    pub ended: bool,
    #[schema(required = true)]
    pub paused: Option<Pause>,
    /// The step under way, from 0; the number of steps when all are done.
    pub step: usize,
    /// The same as the pages count: steps that belong together are one.
    pub position: Position,
    /// Percent of requests that the new version gets, as last written; at the end, as it was then: by its pods (about)
    /// where `by_pods` is true.
    pub percent: u8,
    /// True when nothing was declared at the end: requests are spread by pods.
    pub by_pods: bool,
    /// When the step's timer ends.
    #[schema(required = true, format = "date-time")]
    pub due: Option<String>,
    /// `pass`, `undecided`, `error` or `fail`.
    #[schema(required = true, value_type = Option<String>)]
    pub latest_verdict: Option<&'static str>,
    /// Failures in a row.
    pub failures: u32,
    /// What is wrong, when it needs attention.
    #[schema(required = true)]
    pub needs: Option<Said>,
    /// What `promote` (or, where it is paused, `resume`) needs in `ack` now, with a reason; with `candidate_changed`,
    /// `If-Match` names the `seq` that shows it.
    pub asks: Vec<Said>,
    /// Why it does not move now although its phase says so: the history cannot be written. It goes on by itself.
    #[schema(required = true)]
    pub waits: Option<Said>,
    /// What was changed outside, while it is paused because of that (`drift`); only where one release is read.
    #[schema(required = true)]
    pub outside: Option<OutsideEdit>,
    /// Pods of both versions that are not ready, with their causes, until the end; only where one release is read.
    pub waiting_pods: Vec<WaitingPod>,
    /// The commands that it accepts now.
    #[schema(value_type = Vec<String>)]
    pub commands: Vec<&'static str>,
    #[schema(value_type = SpecBody)]
    pub spec: Value,
    pub by: String,
    pub reason: String,
    #[schema(format = "date-time")]
    pub created_at: String,
    #[schema(format = "date-time")]
    pub changed_at: String,
    #[schema(required = true, format = "date-time")]
    pub started_at: Option<String>,
    #[schema(required = true, format = "date-time")]
    pub ended_at: Option<String>,
}

/// Why and since when it is paused.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Pause {
    /// `user`, `gate`, `inconclusive`, `no_data`, `failed`, `drift`, `freeze_window`, `lost_permission`,
    /// `steps_changed`, `conflict`, `deadline`.
    #[schema(value_type = String, example = "gate")]
    pub reason: &'static str,
    #[schema(format = "date-time")]
    pub since: String,
    #[schema(required = true)]
    pub detail: Option<Said>,
}

/// Releases, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Releases {
    pub items: Vec<Release>,
    /// Goes into `cursor`; null at the end.
    #[schema(required = true)]
    pub next: Option<String>,
    /// Releases that move traffic now.
    pub active: usize,
}

/// One transition.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Event {
    /// The release's `seq` after it.
    pub seq: u64,
    #[schema(format = "date-time")]
    pub at: String,
    pub by: String,
    #[schema(value_type = String, example = "automatic")]
    pub channel: &'static str,
    #[schema(value_type = String)]
    pub from: &'static str,
    #[schema(value_type = String)]
    pub to: &'static str,
    pub step: usize,
    /// What it was about, in words.
    pub said: Vec<String>,
    /// The same for programs.
    #[schema(value_type = Vec<Object>)]
    pub happened: Value,
    pub reason: String,
    /// Its entry of the history.
    #[schema(required = true)]
    pub entry: Option<i64>,
}

/// Transitions, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Timeline {
    pub items: Vec<Event>,
}

/// How one look was judged.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Judgement {
    #[schema(format = "date-time")]
    pub at: String,
    pub step: usize,
    #[schema(value_type = String, example = "pass")]
    pub verdict: &'static str,
    pub metrics: Vec<MetricVerdict>,
    /// Requests and errors of the new version in the window; null when the source had nothing.
    #[schema(required = true)]
    pub candidate: Option<Sample>,
    #[schema(required = true)]
    pub stable: Option<Sample>,
    /// Why there is nothing, when the source failed.
    #[schema(required = true)]
    pub error: Option<String>,
}

/// How one metric was judged.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MetricVerdict {
    /// Its place in the list of the analysis.
    pub metric: usize,
    pub name: String,
    #[schema(value_type = String)]
    pub verdict: &'static str,
    #[schema(required = true)]
    pub value: Option<f64>,
    #[schema(required = true)]
    pub beside: Option<f64>,
    #[schema(required = true)]
    pub limit: Option<f64>,
    /// `within`, `beyond_absolute`, `beyond_relative`, `too_few`, `not_sure`, `no_data`, `source_failed`.
    #[schema(value_type = String)]
    pub why: &'static str,
}

/// What the source reported for one version.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Sample {
    pub requests: f64,
    pub errors: f64,
}

/// Judgements, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Judgements {
    pub items: Vec<Judgement>,
}

/// A wish, thought through.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Plan {
    /// True when it can be started.
    pub possible: bool,
    pub errors: Vec<FieldError>,
    pub checks: Vec<Check>,
    /// Checks on its writes whose codes `policies.accept` must hold before it can start, whether it does or not.
    pub accepts: Vec<Check>,
    /// The new version's share over time.
    pub shares: Vec<Share>,
    /// Every object that any step makes, changes, or (after an abort, where the policies say so) deletes.
    pub creates: Vec<String>,
    pub changes: Vec<String>,
    pub deletes: Vec<String>,
    /// The same in order.
    pub steps: Vec<StepWrites>,
    /// What the first write changes in routing objects.
    pub first_diffs: Vec<super::effect::Edit>,
}

/// What one step writes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StepWrites {
    /// From 0; null before the first step.
    #[schema(required = true)]
    pub step: Option<usize>,
    pub creates: Vec<String>,
    pub changes: Vec<String>,
    pub deletes: Vec<String>,
}

/// How far a release is, as people count.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Position {
    /// From 1.
    pub step: usize,
    pub of: usize,
}

/// A share from a moment on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Share {
    /// Seconds from the start; approvals take none.
    pub after_s: u64,
    pub percent: u8,
}

/// One refusal among several.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldError {
    #[schema(value_type = String, example = "steps_fall")]
    pub code: &'static str,
    pub detail: String,
    /// The field of the request that is meant.
    #[schema(required = true, example = "steps.3.percent")]
    pub field: Option<String>,
}

/// A half-filled form.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Draft {
    pub id: String,
    /// Grows with every save; also `ETag`.
    pub seq: u64,
    #[schema(format = "date-time")]
    pub created_at: String,
    #[schema(format = "date-time")]
    pub changed_at: String,
    #[schema(value_type = Object)]
    pub fields: Value,
}

/// Your drafts, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Drafts {
    pub items: Vec<Draft>,
}

/// A list of steps with analysis and policies to start from.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Template {
    pub name: String,
    pub by: String,
    #[schema(value_type = String, example = "canary")]
    pub strategy: &'static str,
    #[schema(value_type = Vec<super::release_body::StepBody>)]
    pub steps: Value,
    #[schema(value_type = Option<super::release_body::AnalysisBody>, required = true)]
    pub analysis: Value,
    #[schema(value_type = super::release_body::PoliciesBody)]
    pub policies: Value,
}

/// Templates that people here made.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Templates {
    pub items: Vec<Template>,
}

fn value(of: impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

fn said_of(lang: Lang, refusal: &Refusal) -> Said {
    Said { code: refusal.code.as_str(), text: text::refusal(lang, refusal).text.to_string() }
}

impl Release {
    pub fn of(lang: Lang, release: &words::Release) -> Self {
        let state = &release.state;
        let clock = crate::views::time::Clockface::new(lang, None);
        Self {
            id: release.id.to_string(),
            seq: release.seq,
            phase: state.phase.as_str(),
            state: said::state(clock, release).text,
            ended: state.phase.is_final(),
            paused: state.paused.as_ref().filter(|_| state.phase == words::Phase::Paused).map(|paused| {
                Pause {
                    reason: paused.reason.as_str(),
                    since: moment(paused.since_ms),
                    detail: paused.detail.as_ref().map(|detail| said_of(lang, detail)),
                }
            }),
            step: state.step,
            position: {
                let (step, of) = words::stages::position(&release.spec.steps, state.step);
                Position { step, of }
            },
            percent: release.share(),
            by_pods: state.ended_by_pods && state.phase.is_final(),
            due: state.due_ms.map(moment),
            latest_verdict: state.latest.map(words::Verdict::as_str),
            failures: state.failures,
            needs: state.needs.as_ref().map(|needs| said_of(lang, needs)),
            asks: state.asked(Word::Promote).iter().map(|no| said_of(lang, no)).collect(),
            waits: None,
            outside: None,
            waiting_pods: Vec::new(),
            commands: state.words().into_iter().map(Word::as_str).collect(),
            spec: value(&release.spec),
            by: release.by.clone(),
            reason: release.reason.clone(),
            created_at: moment(release.created_ms),
            changed_at: moment(release.changed_ms),
            started_at: release.started_ms.map(moment),
            ended_at: release.ended_ms.map(moment),
        }
    }
}

impl Release {
    /// The same while nothing can be recorded.
    #[must_use]
    pub fn waiting_for(mut self, lang: Lang, trouble: Option<&Refusal>) -> Self {
        if !self.ended {
            self.waits = trouble.map(|trouble| said_of(lang, trouble));
        }
        self
    }
}

impl Event {
    pub fn of(lang: Lang, spec: &words::Spec, entry: &words::TimelineEntry) -> Self {
        let said = entry.happened.iter().filter_map(|one| said::happened(lang, spec, one));
        Self {
            seq: entry.seq,
            at: moment(entry.at_ms),
            by: entry.by.clone(),
            channel: entry.channel.as_str(),
            from: entry.from.as_str(),
            to: entry.to.as_str(),
            step: entry.step,
            said: said.map(|(_, _, text)| text.to_string()).collect(),
            happened: value(&entry.happened),
            reason: entry.reason.clone(),
            entry: entry.entry,
        }
    }
}

impl Judgement {
    pub fn of(lang: Lang, spec: &words::Spec, look: &words::Judgement) -> Self {
        let sample = |counts: Counts| Sample {
            requests: rounded(counts.requests, 1),
            errors: rounded(counts.errors, 1),
        };
        let metrics = spec.analysis.as_ref().map(|analysis| analysis.metrics.as_slice()).unwrap_or_default();
        let one = |one: &words::MetricJudgement| MetricVerdict {
            metric: one.metric,
            name: metrics.get(one.metric).map(|metric| said::metric(lang, metric)).unwrap_or_default(),
            verdict: one.verdict.as_str(),
            value: one.value.map(|value| rounded(value, 4)),
            beside: one.beside.map(|value| rounded(value, 4)),
            limit: one.limit.map(|value| rounded(value, 4)),
            why: one.why.as_str(),
        };
        Self {
            at: moment(look.at_ms),
            step: look.step,
            verdict: look.verdict.as_str(),
            metrics: look.metrics.iter().map(one).collect(),
            candidate: look.seen.candidate.map(sample),
            stable: look.seen.stable.map(sample),
            error: look.seen.error.clone(),
        }
    }
}

impl FieldError {
    pub fn of(lang: Lang, refusal: &Refusal) -> Self {
        let detail = text::refusal(lang, refusal).text.to_string();
        Self { code: refusal.code.as_str(), detail, field: refusal.field.clone() }
    }
}

impl Plan {
    pub fn of(lang: Lang, plan: ReleasePlan) -> Self {
        Self {
            possible: plan.refusals.is_empty(),
            errors: plan.refusals.iter().map(|refusal| FieldError::of(lang, refusal)).collect(),
            checks: Check::all(lang, &plan.checks),
            accepts: Check::all(lang, &plan.accepts),
            shares: plan.shares.into_iter().map(|(after_s, percent)| Share { after_s, percent }).collect(),
            creates: plan.creates,
            changes: plan.changes,
            deletes: plan.deletes,
            first_diffs: super::effect::Edit::all(&plan.objects.diffs),
            steps: plan
                .objects
                .steps
                .into_iter()
                .map(|one| StepWrites {
                    step: one.step,
                    creates: one.creates,
                    changes: one.changes,
                    deletes: one.deletes,
                })
                .collect(),
        }
    }
}

impl Draft {
    pub fn of(draft: words::Draft) -> Self {
        Self {
            id: draft.id,
            seq: draft.seq,
            created_at: moment(draft.created_ms),
            changed_at: moment(draft.changed_ms),
            fields: draft.fields,
        }
    }
}

impl Template {
    pub fn of(own: words::OwnTemplate) -> Self {
        Self {
            name: own.name,
            by: own.by,
            strategy: own.strategy.as_str(),
            steps: value(own.steps),
            analysis: value(own.analysis),
            policies: value(own.policies),
        }
    }
}
