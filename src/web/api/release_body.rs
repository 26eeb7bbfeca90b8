//! What a release is asked for with, for the OpenAPI document. Bodies are read by `domain::release::validate`,
//! which names the field and the code of everything that is wrong.

use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, Ref};

use crate::domain::release::validate::{MAX_ALTERNATIVES, MAX_CONDITIONS};

fn alternatives() -> Array {
    let all =
        ArrayBuilder::new().items(Ref::from_schema_name("ConditionBody")).max_items(Some(MAX_CONDITIONS));
    ArrayBuilder::new().items(all).max_items(Some(MAX_ALTERNATIVES)).build()
}

/// A service by its names.
#[derive(ToSchema)]
pub struct ServiceName {
    #[schema(pattern = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", example = "bookinfo")]
    pub namespace: String,
    #[schema(pattern = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", example = "reviews")]
    pub name: String,
}

/// What people call the list of steps; decides which kinds of step fit.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum StrategyWord {
    Canary,
    Replicas,
    BlueGreen,
    Mirror,
    AbTest,
}

/// The version that is being brought.
#[derive(ToSchema)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum CandidateBody {
    /// Made from the stable version's workload with another image.
    Image {
        #[schema(max_length = 16, example = "v2")]
        version: String,
        #[schema(example = "registry.example/bookinfo/reviews:1.17.0")]
        image: String,
        /// Left out = as many pods as the stable version has.
        #[schema(minimum = 1, maximum = 1000, nullable)]
        replicas: Option<i32>,
        /// Replaces the StatefulSet's own pods in batches; only with the strategy `replicas`.
        in_place: Option<bool>,
    },
    /// Deployed already.
    Adopt {
        #[schema(example = "v2")]
        version: String,
    },
}

/// What a condition looks at.
#[derive(ToSchema)]
#[serde(tag = "in", content = "name", rename_all = "lowercase")]
pub enum SubjectBody {
    Header(String),
    Cookie(String),
    Query(String),
    Path,
    Method,
}

/// How a condition compares.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum OpWord {
    Exact,
    Prefix,
    Regex,
    Present,
}

/// One condition on a request.
#[derive(ToSchema)]
pub struct ConditionBody {
    pub on: SubjectBody,
    pub op: OpWord,
    pub value: String,
}

/// One step: says where things shall be, never by how much they change.
#[derive(ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StepBody {
    /// The new version gets this share of the requests.
    Weight {
        #[schema(minimum = 0, maximum = 100, example = 25)]
        percent: i32,
    },
    /// Pods of the new and, where given, of the stable version.
    Replicas {
        #[schema(minimum = 1, maximum = 1000)]
        candidate: i32,
        #[schema(minimum = 0, maximum = 1000, nullable)]
        stable: Option<i32>,
    },
    /// Requests that match go to the new version; an empty list takes the rule away.
    Rules {
        #[schema(schema_with = alternatives)]
        when: Vec<Vec<ConditionBody>>,
    },
    /// This share of the requests is copied to the new version; 0 ends it.
    Mirror {
        #[schema(minimum = 0, maximum = 100)]
        percent: i32,
    },
    /// Waits; with an analysis, goes on only when its latest verdict is a pass.
    Hold {
        #[schema(minimum = 1, maximum = 2_592_000, example = 600)]
        seconds: i64,
    },
    /// Waits for a person.
    Approval,
    /// Waits until the analysis has passed this many times in a row.
    Analysis {
        #[schema(minimum = 1, maximum = 100)]
        passes: i32,
    },
}

/// Where good ends; at least one of the two.
#[derive(ToSchema)]
pub struct LimitBody {
    #[schema(nullable)]
    pub absolute: Option<f64>,
    #[schema(nullable)]
    pub relative: Option<f64>,
    /// Latency only: a difference of at most so many milliseconds never fails a relative limit. Left out = 100.
    #[schema(nullable, minimum = 0, maximum = 3_600_000)]
    pub floor_ms: Option<f64>,
}

/// Which side of the limit is good.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum DirectionWord {
    AtMost,
    AtLeast,
}

/// One thing that is measured.
#[derive(ToSchema)]
#[serde(tag = "metric", rename_all = "snake_case")]
pub enum MetricBody {
    /// `absolute`: at least so many percent. `relative`: at most so many points worse than the stable version.
    SuccessRate { limit: LimitBody },
    /// `absolute`: at most so many milliseconds. `relative`: at most so many times the stable version's.
    Latency {
        /// 50, 90, 95 or 99.
        #[schema(minimum = 50, maximum = 99)]
        quantile: i32,
        limit: LimitBody,
    },
    /// One number of PromQL, for administrators.
    Custom { name: String, query: String, direction: DirectionWord, limit: LimitBody },
}

/// What is measured, how often, and how many failures are borne.
#[derive(ToSchema)]
pub struct AnalysisBody {
    /// Seconds between two looks.
    #[schema(minimum = 5, maximum = 3600)]
    pub interval_s: i32,
    /// 60, 300 or 3600.
    pub window_s: i32,
    #[schema(minimum = 1)]
    pub min_requests: i32,
    /// Failures in a row after which the policy acts.
    #[schema(minimum = 1, maximum = 100)]
    pub failures: i32,
    #[schema(min_items = 1, max_items = 8)]
    pub metrics: Vec<MetricBody>,
}

/// `pause` or `abort`.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum OnFailureWord {
    Pause,
    Abort,
}

/// `pause`, `reassert` or `adopt`.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum OnDriftWord {
    Pause,
    Reassert,
    Adopt,
}

/// What happens when something is not as it should be.
#[derive(ToSchema)]
pub struct PoliciesBody {
    pub on_failure: Option<OnFailureWord>,
    pub on_deadline: Option<OnFailureWord>,
    pub on_drift: Option<OnDriftWord>,
    /// How long a step may take besides what it holds for.
    #[schema(minimum = 30, maximum = 86_400)]
    pub step_deadline_s: Option<i32>,
    pub delete_after_abort: Option<bool>,
    #[schema(nullable, minimum = 0, maximum = 1000)]
    pub stable_after: Option<i32>,
    /// Milliseconds since 1970, at most 366 days from now; a moment of the past begins at once.
    #[schema(nullable)]
    pub start_at_ms: Option<i64>,
    pub second_person: Option<bool>,
    /// Times in UTC in which it takes no step forward: `fri 16:00-24:00`, `mon-fri 22:00-06:00`, `daily 11:30-13:00`
    /// or once `2026-12-23T18:00Z/2027-01-02T06:00Z`. `resume` and `promote` let it on. Windows that leave no time
    /// within 366 days are refused.
    #[schema(max_items = 20, example = json!(["fri 16:00-24:00", "sat,sun 00:00-24:00"]))]
    pub freeze: Option<Vec<String>>,
    /// Codes of checks that are accepted for every write: `accepts` of a plan lists those that have to be.
    #[schema(max_items = 32, example = json!(["gitops"]))]
    pub accept: Option<Vec<String>>,
}

/// A release as it is asked for.
#[derive(ToSchema)]
#[schema(example = json!({
    "service": {"namespace": "bookinfo", "name": "reviews"}, "strategy": "canary", "stable": "v1",
    "candidate": {"from": "adopt", "version": "v2"},
    "steps": [{"kind": "weight", "percent": 10}, {"kind": "hold", "seconds": 60}, {"kind": "weight", "percent": 100}]
}))]
pub struct SpecBody {
    pub service: ServiceName,
    pub strategy: StrategyWord,
    /// The version that has the traffic now, and that an abort goes back to.
    #[schema(example = "v1")]
    pub stable: String,
    pub candidate: CandidateBody,
    #[schema(min_items = 1, max_items = 50)]
    pub steps: Vec<StepBody>,
    #[schema(nullable)]
    pub analysis: Option<AnalysisBody>,
    pub policies: Option<PoliciesBody>,
    /// A title, shown where the release is.
    #[schema(max_length = 80, example = "bookinfo-canary")]
    pub name: Option<String>,
}

/// A release to be made.
#[derive(ToSchema)]
pub struct ReleaseBody {
    pub spec: SpecBody,
    /// Kept in the history.
    #[schema(min_length = 1, max_length = 2000, example = "REV-231 star ratings")]
    pub reason: String,
    /// `false` stores it without starting it.
    #[schema(default = true)]
    pub start: Option<bool>,
}

/// Only the wish, for a plan.
#[derive(ToSchema)]
pub struct PlanBody {
    pub spec: SpecBody,
}

/// A command to a release.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum CommandWord {
    Start,
    Pause,
    Resume,
    Promote,
    PromoteAll,
    Abort,
    Rollback,
    SwitchBack,
    Retry,
    ChangeSteps,
    Retire,
    DeleteVersion,
}

/// A command with what it needs.
#[derive(ToSchema)]
pub struct CommandBody {
    pub command: CommandWord,
    /// Required to start, to promote to 100 %, to change steps, to retire and to delete.
    #[schema(max_length = 2000)]
    pub reason: Option<String>,
    /// For `rollback`.
    #[schema(minimum = 0)]
    pub revision: Option<i64>,
    /// For `change_steps`: the steps that have not begun.
    #[schema(max_items = 50)]
    pub steps: Option<Vec<StepBody>>,
    /// For `retire` and `delete_version`: `<service> <version>`.
    #[schema(example = "reviews v1")]
    pub confirm: Option<String>,
    /// Codes that you accept: `analysis_failed` to promote although the analysis failed (with a reason),
    /// `candidate_changed` to go on with a new version that was changed outside (with a reason and `If-Match`), and
    /// those of `retire` and `delete_version`: `still_answers` (the version answered requests within the last minute),
    /// `other_service_emptied`, `other_service_uses` (another Service selects its pods), `other_service_sends` (its
    /// routing sends requests to them), `reached_by_port`, `reached_in_mesh`, `reached_elsewhere`, `reached_by_host`
    /// (requests reach it by its pods).
    #[schema(max_items = 32, example = json!(["analysis_failed"]))]
    pub ack: Option<Vec<String>>,
}

/// A half-filled form: any object; the wizard reads its own fields and a whole `spec`.
#[derive(ToSchema)]
pub struct DraftBody {
    #[schema(value_type = Object)]
    pub fields: serde_json::Value,
}

/// A template of one's own.
#[derive(ToSchema)]
pub struct TemplateBody {
    pub strategy: StrategyWord,
    #[schema(min_items = 1, max_items = 50)]
    pub steps: Vec<StepBody>,
    #[schema(nullable)]
    pub analysis: Option<AnalysisBody>,
    pub policies: Option<PoliciesBody>,
}
