//! The stable codes of refusals, checks and findings, each with the HTTP status that a refusal with it answers.
//!
//! Codes are part of the REST contract and never change meaning; `templates/locales/codes.*.yml` has a sentence for each.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $api:literal $status:literal,)*) => {
        /// Why something is refused, warned about or worth knowing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, for tests that visit all of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code of the REST API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $api,)* }
            }

            /// The HTTP status that a refusal with this code answers.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

codes! {
    // What was sent cannot be read.
    BadJson "bad_json" 400,
    BadHost "bad_host" 400,
    BodyTooLarge "body_too_large" 413,
    BodyIncomplete "body_incomplete" 408,
    MediaType "unsupported_media_type" 415,
    BadQuery "bad_query" 400,
    NotYet "moment_not_come" 400,
    BadCursor "bad_cursor" 400,
    BadName "bad_name" 400,
    PreconditionRequired "precondition_required" 428,
    BadIfMatch "bad_if_match" 400,
    BadIdempotencyKey "bad_idempotency_key" 400,
    IdempotencyMismatch "idempotency_mismatch" 422,

    // Who asks.
    Unauthenticated "unauthenticated" 401,
    BadToken "bad_token" 401,
    /// The API server no longer accepts the token that a session began with.
    SessionTokenEnded "session_token_ended" 401,
    Csrf "csrf" 403,
    Forbidden "forbidden" 403,
    SessionsForbidden "sessions_forbidden" 403,
    /// The ServiceAccount in whose name a release writes is gone.
    OwnerGone "owner_gone" 403,
    RateLimited "rate_limited" 429,
    TooManyStreams "too_many_streams" 429,
    /// One person (or address) has as many requests under way as one may have.
    TooManyAtOnce "too_many_at_once" 429,
    Overloaded "overloaded" 503,

    // What is meant.
    NotFound "not_found" 404,
    ServiceNotFound "service_not_found" 404,
    /// No routing object of the service has this name.
    ObjectNotFound "object_not_found" 404,
    EntryNotFound "entry_not_found" 404,
    SessionNotFound "session_not_found" 404,
    MethodNotAllowed "method_not_allowed" 405,
    UnknownVersion "unknown_version" 422,
    UnknownRoute "unknown_route" 422,
    UnknownRule "unknown_rule" 422,
    UnknownRevision "unknown_revision" 422,
    NothingAsked "nothing_asked" 422,

    // Values.
    /// A list of a request is longer than it may be.
    TooManyItems "too_many_items" 422,
    WeightRange "weight_range" 422,
    WeightType "weight_type" 422,
    DuplicateVersion "duplicate_version" 422,
    Sum "sum" 422,
    SumMissing "sum" 422,
    ReasonRequired "reason_required" 422,
    ReasonTooLong "reason_too_long" 422,
    ReleaseName "release_name" 422,
    BadRule "bad_rule" 422,
    RuleEmpty "rule_empty" 422,
    RuleTarget "rule_target" 422,
    TooManyRules "too_many_rules" 422,
    BadHeaderName "bad_header_name" 422,
    SensitiveHeader "sensitive_header" 422,
    BadMatchValue "bad_match_value" 422,
    BadRegex "bad_regex" 422,
    BadMethod "bad_method" 422,
    RuleFixed "rule_fixed" 422,
    /// A route has a condition of its own on what the rule of a release asks, too.
    LaneOverlap "lane_overlap" 422,
    /// A new rule on the path beside a route that rewrites it.
    RuleRewrites "rule_rewrites" 422,
    MirrorPercent "mirror_percent" 422,

    // The service as it stands.
    StaleRevision "stale_revision" 412,
    PreviewMismatch "preview_mismatch" 409,
    NoIstio "no_istio" 422,
    Headless "headless" 422,
    ExternalName "external_name" 422,
    NoWorkloads "no_workloads" 422,
    NoLabel "no_label" 422,
    NoReadyPods "no_ready_pods" 422,
    /// The pods have no port of the name that the Service sends requests to.
    NoTargetPort "no_target_port" 422,
    NoSubset "no_subset" 422,
    SubsetHidden "subset_hidden" 422,
    /// A DestinationRule of the service would hide one with a wildcard and a workloadSelector.
    SelectorShadowed "selector_shadowed" 422,
    /// Only a DestinationRule with a workloadSelector, for other clients, defines the subset.
    SubsetSelector "subset_selector" 422,
    SubsetShared "subset_shared" 422,
    MixedSubsets "mixed_subsets" 422,
    NoMatchingPods "no_matching_pods" 422,
    HostMissing "host_missing" 422,
    PortMissing "port_missing" 422,
    HostConflict "host_conflict" 409,
    OwnedByController "owned_by_controller" 409,
    DelegateMissing "delegate_missing" 422,
    DelegateInvalid "delegate_invalid" 422,
    NoDefaultRoute "no_default_route" 422,
    /// Several routes bring requests to the service and none is meant unless it is named.
    ChooseRoute "choose_route" 422,
    NotShiftable "not_shiftable" 422,
    NoHttp "no_http" 422,
    /// Every port that could be routed is encrypted by the callers.
    TlsPort "tls_port" 422,
    UdpPort "udp_port" 422,
    ForeignDestination "foreign_destination" 422,
    Malformed "malformed_object" 422,
    Deleting "object_deleting" 409,
    TooLarge "too_large" 422,

    // Releases.
    ReleaseNotFound "release_not_found" 404,
    DraftNotFound "draft_not_found" 404,
    TemplateNotFound "template_not_found" 404,
    /// One person has as many drafts as one may have, by number or by size.
    TooManyDrafts "too_many_drafts" 422,
    TooManyTemplates "too_many_templates" 422,
    /// Templates are for everybody: who adds, replaces or deletes one needs a right of its own.
    TemplateForbidden "template_forbidden" 403,
    /// A release moves this service's traffic: others may not meanwhile.
    ReleaseOwnsService "release_owns_service" 409,
    ReleaseIllegal "release_illegal" 409,
    ReleaseStale "release_stale" 412,
    DraftStale "draft_stale" 412,
    BadSpec "bad_spec" 422,
    NoSteps "no_steps" 422,
    TooManySteps "too_many_steps" 422,
    StepRange "step_range" 422,
    StepsFall "steps_fall" 422,
    StepsEnd "steps_end" 422,
    StrategyStep "strategy_step" 422,
    BlueGreenShare "blue_green_share" 422,
    NoMirrorStep "no_mirror_step" 422,
    NoRulesStep "no_rules_step" 422,
    HoldRange "hold_range" 422,
    ReplicasRange "replicas_range" 422,
    SameVersion "same_version" 422,
    VersionTaken "version_taken" 422,
    VersionLabel "version_label" 422,
    BadImage "bad_image" 422,
    SameImage "same_image" 422,
    WorkloadTaken "workload_taken" 422,
    NoWorkload "no_workload" 422,
    NotStateful "not_stateful" 422,
    ThirdVersion "third_version" 422,
    StepBelowNow "step_below_now" 422,
    /// A StatefulSet whose pods are replaced only when they are deleted.
    OnDelete "on_delete" 422,
    /// The workload is not as the release left it: there is no safe way back.
    WorkloadChanged "workload_changed" 409,
    StableGone "stable_gone" 409,
    StableLost "stable_lost" 409,
    /// Somebody else changed what the new version of a release runs.
    CandidateChanged "candidate_changed" 409,
    /// The workload of the new version was deleted while the release stands.
    CandidateGone "candidate_gone" 409,
    /// It was changed or deleted, and is as it was before again.
    CandidateRestored "candidate_restored" 409,
    /// No pod of the new version is ready although it gets requests.
    CandidateDown "candidate_down" 409,
    AnalysisMissing "analysis_missing" 422,
    AnalysisRange "analysis_range" 422,
    AnalysisChoice "analysis_choice" 422,
    LimitMissing "limit_missing" 422,
    LimitRange "limit_range" 422,
    FreezeRange "freeze_range" 422,
    /// A `ServiceEntry` has the service's host, too.
    HostElsewhere "host_elsewhere" 200,
    /// A Sidecar keeps the service from callers.
    SidecarHides "sidecar_hides" 200,
    /// Sluice does not read some kinds in this cluster.
    KindsNotRead "kinds_not_read" 200,
    /// The windows leave no time in which a release could move.
    FreezeAlways "freeze_always" 422,
    StartRange "start_range" 422,
    /// A word among those that accept checks is no code.
    UnknownCheck "unknown_check" 422,
    AnalysisWithoutMetrics "analysis_without_metrics" 422,
    BadPromql "bad_promql" 422,
    PromqlMany "promql_many" 422,
    PromqlTimeout "promql_timeout" 422,
    PromqlForbidden "promql_forbidden" 403,
    ConfirmMismatch "confirm_mismatch" 422,
    StillServing "still_serving" 409,
    StillAnswers "still_answers" 422,
    /// Another Service selects the pods of the version, and no others.
    OtherServiceEmptied "other_service_emptied" 422,
    /// Another Service selects the pods of the version, and others.
    OtherServiceUses "other_service_uses" 422,
    /// The routing of another Service sends requests to the pods of the version.
    OtherServiceSends "other_service_sends" 422,
    /// An abort did not delete the version that it made: other Services send requests to its pods.
    CandidateKept "candidate_kept" 409,
    /// A port without a route: the version's pods get a part of its requests.
    ReachedByPort "reached_by_port" 422,
    /// The split holds at gateways only: callers in the mesh reach the version's pods.
    ReachedInMesh "reached_in_mesh" 422,
    /// The split holds for callers of some namespaces only.
    ReachedElsewhere "reached_elsewhere" 422,
    /// The split holds for some hosts only.
    ReachedByHost "reached_by_host" 422,
    /// A route sends requests to a subset that means the version and reaches no pod.
    StillNamed "still_named" 409,
    /// A match rule sends requests to the version.
    StillMatched "still_matched" 409,
    StillMirrored "still_mirrored" 409,
    /// No workload that is known makes the pods of the version.
    NothingToDelete "nothing_to_delete" 409,
    /// Nothing is declared: ready pods get requests.
    StillByPods "still_by_pods" 409,
    /// The service has no other version.
    LastVersion "last_version" 409,
    /// Another tool or controller makes the workload, and would make it again.
    WorkloadManaged "workload_managed" 409,
    /// A workload is being deleted, and a finalizer holds it.
    WorkloadGoing "workload_deleting" 409,
    /// A workload stays after its deletion until its finalizer is removed.
    FinalizerHolds "finalizer_holds" 200,
    /// An object that is about a workload stays behind when that is deleted.
    LeftBehind "left_behind" 200,
    /// Whether objects of a kind stay behind is not known: Sluice may not read them.
    NotLookedAt "not_looked_at" 200,
    AnalysisFailed "analysis_failed" 422,
    SecondPerson "second_person" 403,
    WorkloadConflict "workload_conflict" 409,
    WorkloadShared "workload_shared" 409,
    NotReadyInTime "not_ready_in_time" 409,
    StableNotReady "stable_not_ready" 409,
    PodsScaled "pods_scaled" 409,
    ImageTag "image_tag" 200,
    LimitBelowNow "limit_below_now" 200,
    LowRate "low_rate" 200,
    NeverEnough "never_enough" 200,
    NeverAnalysed "never_analysed" 200,
    EndNotAnalysed "end_not_analysed" 200,
    NoMesh "no_mesh" 200,
    /// The first write of a release switches a mirror off; an abort gives it back.
    MirrorEnds "mirror_ends" 200,
    /// A release puts its own mirror where one to another version is; an abort gives that back.
    MirrorReplaced "mirror_replaced" 200,
    /// The same where the mirror leads to another service: an abort cannot give it back.
    MirrorLost "mirror_lost" 200,

    // To acknowledge.
    GitOps "gitops" 409,
    /// A controller that is not known writes the object, too.
    OtherWriter "other_writer" 409,
    BigJump "big_jump" 422,
    FewPods "few_pods" 422,
    Unhealthy "unhealthy" 422,
    NoMetrics "no_metrics" 422,
    NoSidecar "no_sidecar" 422,
    SharedDelegate "shared_delegate" 422,
    HostShared "host_shared" 422,
    /// Traffic of a port that no route takes, beside routes that take other traffic.
    PortByPods "port_by_pods" 422,
    EarlyInMesh "early_in_mesh" 422,
    EarlyElsewhere "early_elsewhere" 422,
    EarlyByHost "early_by_host" 422,
    EarlyByPort "early_by_port" 422,
    EarlyByRoute "early_by_route" 422,
    EarlyByService "early_by_service" 422,
    /// A fault, redirect or direct response answers requests before any version sees them.
    AnsweredByProxy "answered_by_proxy" 422,
    RestoresFailing "restores_failing" 422,
    /// A take over leaves routes as they are, because other hosts have a share of them.
    RoutesStay "routes_stay" 422,

    /// By pods: no step holds while both versions have pods, so the analysis cannot act in time.
    AnalysisBlind "analysis_blind" 422,

    // Good to know.
    NoBaseline "no_baseline" 200,
    Affinity "affinity" 200,
    PerConnection "per_connection" 200,
    CreatesObjects "creates_objects" 200,
    DeletesObjects "deletes_objects" 200,
    /// What did not exist at the revision, and is not ours to delete.
    StaysBehind "stays_behind" 200,
    AddsSubset "adds_subset" 200,
    /// A new subset takes over the traffic policy of the one that serves now.
    CopiesPolicy "copies_policy" 200,
    EditedBesides "edited_besides" 200,
    RemovesSubsets "removes_subsets" 200,
    SubsetStays "subset_stays" 200,
    CopiesRule "copies_rule" 200,
    RulesFollow "rules_follow" 200,
    /// A release moves shares: match rules go on sending to its old version.
    RulesKeep "rules_keep" 200,
    MirrorWrites "mirror_writes" 200,
    HelmManaged "helm_managed" 200,
    CallersMesh "callers" 200,
    CallersGateway "callers_gateway" 200,
    SplitOfGateway "split_of_gateway" 200,
    SplitOfNamespaces "split_of_namespaces" 200,
    SplitWithout "split_without" 200,
    SplitOfPort "split_of_port" 200,
    /// The Service's annotation keeps it from proxies of other namespaces.
    ServiceExported "service_exported" 200,
    /// No proxy knows the Service.
    ServiceNotExported "service_not_exported" 422,
    /// A host that a person takes for the service, and Istio does not.
    HostNotExpanded "host_not_expanded" 422,
    /// Callers in some namespaces use another DestinationRule, in which a subset holds other pods.
    SubsetDiffers "subset_differs" 422,
    RoutesKeep "routes_keep" 200,
    Delayed "delayed" 200,
    CrossNamespace "cross_namespace" 200,
    NotSumming "not_summing" 200,
    NegativeWeight "negative_weight" 200,
    NoHost "no_host" 200,
    RuleShadowed "rule_shadowed" 200,
    RuleNeverMatches "rule_never_matches" 200,
    /// A rule leaves nothing for what stands below it.
    RuleTakesAll "rule_takes_all" 422,
    /// The same, as far as the objects can tell.
    RuleMayTakeAll "rule_may_take_all" 422,
    /// A condition on a cookie whose expression goes on behind the cookie's value.
    CookieBeyondValue "cookie_beyond_value" 200,
    OneVersion "one_version" 200,
    SpreadByPods "spread_by_pods" 200,
    PartOfVersion "part_of_version" 200,
    SubsetOfSeveral "subset_of_several" 200,
    SubsetEmpty "subset_empty" 200,
    SubsetMissing "subset_missing" 200,
    WeightWithoutPods "weight_without_pods" 200,
    Drift "drift" 200,
    /// A version that has traffic answers too much of it with errors.
    Failing "failing" 200,
    ChangedOutside "changed_outside" 200,
    LastChangeFailed "last_change_failed" 200,
    UnknownFate "unknown_fate" 200,

    // Checks that passed.
    PodsReady "pods_ready" 200,
    SubsetsExist "subsets_exist" 200,
    NobodyElse "nobody_else" 200,
    DryRunPassed "dry_run_passed" 200,

    // The cluster's answer.
    ClusterUnreachable "cluster_unreachable" 503,
    ClusterTimeout "cluster_timeout" 503,
    ClusterBusy "cluster_busy" 503,
    ClusterForbids "cluster_forbids" 503,
    ClusterUnauthenticated "cluster_unauthenticated" 503,
    /// A credential plugin failed, or a file with credentials cannot be read.
    ClusterCredentials "cluster_credentials" 503,
    ClusterUntrusted "cluster_untrusted" 503,
    ClusterRefused "cluster_refused" 422,
    Conflict "conflict" 409,
    /// The API server stored another split than was sent: an admission policy or a webhook changes the object.
    StoredOtherwise "stored_otherwise" 422,
    PartlyApplied "partly_applied" 503,
    /// The same of a version that is retired.
    PartlyRetired "partly_applied" 503,
    OutcomeUnknown "outcome_unknown" 503,
    NotReady "not_ready" 503,

    // Notices: what a source of ours lacks.
    NoPrometheus "no_prometheus" 200,
    MetricsDown "metrics_down" 200,
    ClusterDown "cluster_down" 200,
    KindForbidden "kind_forbidden" 200,
    StillListing "still_listing" 200,
    AnotherSluice "another_sluice" 200,
    AnotherSluiceWrote "another_sluice_wrote" 200,

    // Our own store.
    HistoryUnavailable "history_unavailable" 503,
    HistoryDiskFull "history_disk_full" 503,
    HistoryLocked "history_locked" 503,
    HistoryGone "history_gone" 503,
    HistoryReplaced "history_replaced" 503,
    /// A row of the history is not as it was written. Others can be read, and changes go on.
    HistoryDamaged "history_damaged" 503,
    Internal "internal" 500,
}

impl Code {
    /// True when the cluster is there, and what Sluice shows it to get in is what is wrong.
    pub fn is_of_credentials(self) -> bool {
        matches!(self, Self::ClusterUnauthenticated | Self::ClusterCredentials | Self::ClusterUntrusted)
    }

    /// The catalogue's key: like the API code, but distinct for codes that have two texts.
    pub fn text_key(self) -> &'static str {
        match self {
            Self::SumMissing => "sum_missing",
            Self::PartlyRetired => "partly_retired",
            other => other.as_str(),
        }
    }

    /// True when the history cannot be written: nothing was attempted, and the same may be tried again later.
    pub fn is_history(self) -> bool {
        matches!(
            self,
            Self::HistoryUnavailable
                | Self::HistoryDiskFull
                | Self::HistoryLocked
                | Self::HistoryGone
                | Self::HistoryReplaced
        )
    }

    /// Finds a code by its catalogue key.
    pub fn by_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.text_key() == key)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.text_key())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let key = Cow::<'de, str>::deserialize(from)?;
        Self::by_key(&key).ok_or_else(|| serde::de::Error::custom(format!("unknown code {key}")))
    }
}
