//! Whether a wish can be meant at all, without looking at the cluster: every refusal names its field
//! (`steps.3.percent`, `candidate.image`). Also reads the JSON of a wish, so that a number that does not fit
//! is refused as a value and not as bad JSON.

use serde_json::Value;

use super::OwnTemplate;
use super::analysis::{Analysis, Metric};
use super::exact::exactly;
use super::freeze::{self, Window};
use super::spec::{Candidate, Policies, Spec, Step, Strategy};
use crate::domain::ids::{is_dns_label, is_label_value};
use crate::domain::refusal::{Code, Refusal};

/// Steps a release may have.
pub const MAX_STEPS: usize = 50;
/// The longest hold: thirty days.
pub const MAX_HOLD_S: u64 = 30 * 86_400;
/// The longest version name that a release makes.
pub const MAX_VERSION: usize = 16;
pub const MAX_REPLICAS: u32 = 1_000;
/// Alternatives of a step's rule, and conditions of one alternative.
pub const MAX_ALTERNATIVES: usize = 8;
pub const MAX_CONDITIONS: usize = 8;
/// Things an analysis may measure.
pub const MAX_METRICS: usize = 8;
pub const MAX_QUERY: usize = 4_000;
/// Seconds that an analysis may look back.
pub const WINDOWS_S: [u32; 3] = [60, 300, 3_600];
/// The longest title of a release, in characters.
pub const MAX_NAME: usize = 80;
/// Codes of checks that a release accepts, and the letters of one.
pub const MAX_ACCEPTED: usize = 32;

/// Reads a wish. Numbers that no field can hold (negative, too large, fractions) are refused with the code
/// of their field; anything else that is not the shape is `bad_json`.
pub fn read(value: &Value) -> Result<Spec, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let steps = value.get("steps").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if steps.len() > MAX_STEPS {
        refusals.push(too_many(steps.len()));
    } else {
        for (at, step) in steps.iter().enumerate() {
            for (name, code, most) in [
                ("percent", Code::StepRange, 100),
                ("seconds", Code::HoldRange, MAX_HOLD_S),
                ("candidate", Code::ReplicasRange, u64::from(MAX_REPLICAS)),
                ("stable", Code::ReplicasRange, u64::from(MAX_REPLICAS)),
                ("passes", Code::StepRange, 100),
            ] {
                let Some(held) = step.get(name).filter(|held| held.is_number()) else { continue };
                if held.as_u64().is_none_or(|number| number > most) {
                    refusals.push(
                        Refusal::new(code)
                            .field(format!("steps.{at}.{name}"))
                            .arg("n", held)
                            .arg("max", most),
                    );
                }
            }
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let spec: Spec = exactly(value).map_err(|error| {
        let why: String = error.chars().take(300).collect();
        vec![Refusal::new(Code::BadSpec).arg("why", why)]
    })?;
    let refusals = validate(&spec);
    if refusals.is_empty() { Ok(spec) } else { Err(refusals) }
}

/// What is wrong with when a wish would begin and move, by the clock. A moment of the past begins at once.
pub fn times(held: &Policies, now_ms: i64) -> Option<Refusal> {
    let at_ms = held.start_at_ms.unwrap_or(now_ms);
    if at_ms.checked_sub(now_ms).is_none_or(|ahead| ahead.saturating_abs() > freeze::HORIZON_MS) {
        let days = freeze::HORIZON_MS / 86_400_000;
        return Some(Refusal::new(Code::StartRange).field("policies.start_at_ms").arg("max", days));
    }
    let stuck = freeze::holds_for_ever(&held.freeze, at_ms.max(now_ms));
    stuck.then(|| Refusal::new(Code::FreezeAlways).field("policies.freeze"))
}

/// Everything that is wrong with a wish; empty = nothing.
pub fn validate(spec: &Spec) -> Vec<Refusal> {
    let mut out = Vec::new();
    names(spec, &mut out);
    candidate(spec, &mut out);
    out.extend(steps(&spec.steps, spec.strategy, spec.analysis.as_ref()));
    if let Some(held) = &spec.analysis {
        analysis(held, &mut out);
    }
    policies(&spec.policies, &mut out);
    if spec.name.chars().count() > MAX_NAME || spec.name.chars().any(char::is_control) {
        out.push(Refusal::new(Code::ReleaseName).field("name").arg("max", MAX_NAME));
    }
    out
}

fn too_many(n: usize) -> Refusal {
    Refusal::new(Code::TooManySteps).field("steps").arg("n", n).arg("max", MAX_STEPS)
}

/// Names that cannot be anybody's: the JSON of a wish is read without looking at them.
fn names(spec: &Spec, out: &mut Vec<Refusal>) {
    let mut refuse = |field: &str, name: &str, good: bool| {
        if !good {
            let shown: String = name.chars().take(80).collect();
            out.push(Refusal::new(Code::BadName).field(field).arg("name", shown));
        }
    };
    let (namespace, name) = (spec.service.namespace.as_str(), &*spec.service.name);
    refuse("service.namespace", namespace, is_dns_label(namespace));
    refuse("service.name", name, is_dns_label(name));
    refuse("stable", spec.stable.as_str(), is_label_value(spec.stable.as_str()));
    if let Candidate::Adopt { version } = &spec.candidate {
        refuse("candidate.version", version.as_str(), is_label_value(version.as_str()));
    }
}

fn candidate(spec: &Spec, out: &mut Vec<Refusal>) {
    if spec.candidate.version() == &spec.stable {
        out.push(Refusal::new(Code::SameVersion).field("candidate.version").arg("v", &spec.stable));
    }
    let Candidate::Image { version, image, replicas, in_place } = &spec.candidate else { return };
    if !is_label_value(version.as_str()) || version.as_str().len() > MAX_VERSION {
        let shown: String = version.as_str().chars().take(80).collect();
        let refusal = Refusal::new(Code::VersionLabel).field("candidate.version");
        out.push(refusal.arg("name", shown).arg("max", MAX_VERSION));
    }
    if !is_image(image) {
        let shown: String = image.chars().take(120).collect();
        out.push(Refusal::new(Code::BadImage).field("candidate.image").arg("image", shown));
    }
    if replicas.is_some_and(|n| n == 0 || n > MAX_REPLICAS) {
        let n = replicas.unwrap_or(0);
        let refusal = Refusal::new(Code::ReplicasRange).field("candidate.replicas");
        out.push(refusal.arg("n", n).arg("max", MAX_REPLICAS));
    }
    if *in_place && spec.strategy != Strategy::Replicas {
        out.push(Refusal::new(Code::StrategyStep).field("candidate.in_place").arg("step", "in_place"));
    }
}

/// Everything that a template would bring into a release and that can be wrong by itself; empty = nothing.
pub fn template(held: &OwnTemplate) -> Vec<Refusal> {
    let mut out = steps(&held.steps, held.strategy, held.analysis.as_ref());
    if let Some(held) = &held.analysis {
        analysis(held, &mut out);
    }
    policies(&held.policies, &mut out);
    out
}

/// What is wrong with a list of steps; `services` calls it for changed steps too.
pub fn steps(steps: &[Step], strategy: Strategy, analysis: Option<&Analysis>) -> Vec<Refusal> {
    let mut out = Vec::new();
    if steps.is_empty() {
        return vec![Refusal::new(Code::NoSteps).field("steps")];
    }
    if steps.len() > MAX_STEPS {
        return vec![too_many(steps.len())];
    }
    let mut highest: Option<u32> = None;
    // By pods the old version may give its own up in a step of its own.
    let mut left: Option<u32> = None;
    let mut final_at = None;
    for (at, step) in steps.iter().enumerate() {
        if let Step::Rules { when } = step {
            let conditions = when.iter().map(Vec::len).max().unwrap_or_default();
            let over = [(when.len(), MAX_ALTERNATIVES), (conditions, MAX_CONDITIONS)];
            if let Some((n, max)) = over.into_iter().find(|(n, max)| n > max) {
                out.push(Refusal::too_many(format!("steps.{at}.when"), n, max));
                continue;
            }
        }
        if !fits(strategy, step) {
            let refusal = Refusal::new(Code::StrategyStep).field(format!("steps.{at}.kind"));
            out.push(refusal.arg("step", step.kind()).arg("strategy", strategy.as_str()));
            continue;
        }
        let refuse = |code: Code, part: &str| Refusal::new(code).field(format!("steps.{at}.{part}"));
        match step {
            Step::Weight { percent } if *percent > 100 => {
                out.push(refuse(Code::StepRange, "percent").arg("n", percent).arg("max", 100));
            }
            Step::Weight { percent } => {
                if strategy == Strategy::BlueGreen && !matches!(percent, 0 | 100) {
                    out.push(refuse(Code::BlueGreenShare, "percent").arg("n", percent));
                }
                let percent = u32::from(*percent);
                if let Some(before) = highest.filter(|before| percent <= *before) {
                    out.push(refuse(Code::StepsFall, "percent").arg("n", percent).arg("before", before));
                }
                highest = Some(percent);
                final_at = Some((at, percent));
            }
            Step::Replicas { candidate, stable } => {
                if *candidate > MAX_REPLICAS || stable.is_some_and(|n| n > MAX_REPLICAS) {
                    out.push(
                        refuse(Code::ReplicasRange, "candidate").arg("n", candidate).arg("max", MAX_REPLICAS),
                    );
                } else if *candidate == 0 {
                    out.push(refuse(Code::ReplicasRange, "candidate").arg("n", 0).arg("max", MAX_REPLICAS));
                }
                if strategy == Strategy::Replicas {
                    let gives_up = stable.is_some_and(|stable| left.is_some_and(|left| stable < left));
                    let same = highest == Some(*candidate) && gives_up;
                    if let Some(before) = highest.filter(|before| candidate <= before && !same) {
                        out.push(
                            refuse(Code::StepsFall, "candidate").arg("n", candidate).arg("before", before),
                        );
                    }
                    highest = Some(*candidate);
                    left = *stable;
                }
            }
            Step::Mirror { percent } if *percent > 100 => {
                out.push(refuse(Code::MirrorPercent, "percent").arg("n", percent));
            }
            Step::Rules { when } => {
                let first = steps[..at].iter().all(|step| !matches!(step, Step::Rules { .. }));
                if when.iter().any(Vec::is_empty) || (when.is_empty() && first) {
                    out.push(refuse(Code::RuleEmpty, "when"));
                }
            }
            Step::Hold { seconds } => {
                let least = analysis.map_or(1, |analysis| u64::from(analysis.interval_s));
                if !(least..=MAX_HOLD_S).contains(seconds) {
                    let refusal = refuse(Code::HoldRange, "seconds").arg("n", seconds).arg("max", MAX_HOLD_S);
                    // One interval of the analysis, where there is one.
                    out.push(if analysis.is_some() { refusal.arg("least", least) } else { refusal });
                }
            }
            Step::Analysis { passes } => {
                if analysis.is_none() {
                    out.push(refuse(Code::AnalysisMissing, "kind"));
                }
                if !(1..=100).contains(passes) {
                    out.push(refuse(Code::StepRange, "passes").arg("n", passes).arg("max", 100));
                }
            }
            Step::Mirror { .. } | Step::Approval => {}
        }
    }
    if strategy != Strategy::Replicas && final_at.is_none_or(|(_, percent)| percent != 100) {
        let (at, percent) = final_at.unwrap_or((steps.len() - 1, 0));
        out.push(Refusal::new(Code::StepsEnd).field(format!("steps.{at}.percent")).arg("n", percent));
    }
    if strategy == Strategy::Replicas && highest.is_none() {
        out.push(Refusal::new(Code::StepsEnd).field("steps").arg("n", 0));
    }
    let has = |of: fn(&Step) -> bool| steps.iter().any(of);
    if strategy == Strategy::Mirror && !has(|step| matches!(step, Step::Mirror { percent } if *percent > 0)) {
        out.push(Refusal::new(Code::NoMirrorStep).field("steps"));
    }
    if strategy == Strategy::AbTest && !has(|step| matches!(step, Step::Rules { .. })) {
        out.push(Refusal::new(Code::NoRulesStep).field("steps"));
    }
    out
}

/// True for a refusal that says that the steps are another strategy's.
pub fn is_mismatch(refusal: &Refusal) -> bool {
    let of_steps = refusal.field.as_deref().is_some_and(|field| field.starts_with("steps"));
    let codes = [Code::StrategyStep, Code::BlueGreenShare, Code::NoMirrorStep, Code::NoRulesStep];
    of_steps && codes.contains(&refusal.code)
}

fn fits(strategy: Strategy, step: &Step) -> bool {
    match step {
        Step::Hold { .. } | Step::Approval | Step::Analysis { .. } | Step::Replicas { .. } => true,
        Step::Weight { .. } => strategy != Strategy::Replicas,
        Step::Mirror { .. } => strategy == Strategy::Mirror,
        Step::Rules { .. } => strategy == Strategy::AbTest,
    }
}

fn analysis(held: &Analysis, out: &mut Vec<Refusal>) {
    let mut range = |field: &str, value: u32, least: u32, most: u32| {
        if !(least..=most).contains(&value) {
            let refusal = Refusal::new(Code::AnalysisRange).field(format!("analysis.{field}"));
            out.push(refusal.arg("n", value).arg("least", least).arg("max", most));
        }
    };
    range("interval_s", held.interval_s, 5, 3_600);
    range("min_requests", held.min_requests, 1, 10_000_000);
    range("failures", held.failures, 1, 100);
    if !WINDOWS_S.contains(&held.window_s) {
        let refusal = Refusal::new(Code::AnalysisChoice).field("analysis.window_s");
        out.push(refusal.arg("n", held.window_s).arg("all", "60, 300, 3600"));
    }
    if held.metrics.is_empty() || held.metrics.len() > MAX_METRICS {
        let refusal = Refusal::new(Code::AnalysisRange).field("analysis.metrics");
        out.push(refusal.arg("n", held.metrics.len()).arg("least", 1).arg("max", MAX_METRICS));
    }
    if held.metrics.len() > MAX_METRICS {
        return;
    }
    for (at, metric) in held.metrics.iter().enumerate() {
        let field = |part: &str| format!("analysis.metrics.{at}.{part}");
        let limit = metric.limit();
        let (absolute, relative) = (limit.absolute, limit.relative);
        if absolute.is_none() && relative.is_none() {
            out.push(Refusal::new(Code::LimitMissing).field(field("limit")));
        }
        let good = |value: Option<f64>, most: f64| {
            value.is_none_or(|value| value.is_finite() && (0.0..=most).contains(&value))
        };
        let fine = match metric {
            Metric::SuccessRate { .. } => good(absolute, 100.0) && good(relative, 100.0),
            Metric::Latency { .. } => {
                good(absolute, 3_600_000.0) && good(relative, 1_000.0) && good(limit.floor_ms, 3_600_000.0)
            }
            Metric::Custom { .. } => absolute.is_none_or(f64::is_finite) && good(relative, 1_000_000.0),
        };
        let floored = limit.floor_ms.is_some() && !matches!(metric, Metric::Latency { .. });
        if !fine || floored {
            out.push(Refusal::new(Code::LimitRange).field(field("limit")));
        }
        match metric {
            Metric::Latency { quantile, .. } if ![50, 90, 95, 99].contains(quantile) => {
                let refusal = Refusal::new(Code::AnalysisChoice).field(field("quantile"));
                out.push(refusal.arg("n", quantile).arg("all", "50, 90, 95, 99"));
            }
            Metric::Custom { name, query, .. } => {
                if name.trim().is_empty() || name.chars().count() > 64 {
                    out.push(Refusal::new(Code::BadName).field(field("name")).arg("name", name));
                }
                if query.trim().is_empty() || query.len() > MAX_QUERY {
                    out.push(Refusal::new(Code::BadPromql).field(field("query")).arg("why", "length"));
                }
            }
            _ => {}
        }
    }
}

fn policies(held: &Policies, out: &mut Vec<Refusal>) {
    if !(30..=86_400).contains(&held.step_deadline_s) {
        let refusal = Refusal::new(Code::AnalysisRange).field("policies.step_deadline_s");
        out.push(refusal.arg("n", held.step_deadline_s).arg("least", 30).arg("max", 86_400));
    }
    if held.accept.len() > MAX_ACCEPTED || held.accept.iter().any(|code| code.len() > MAX_ACCEPTED) {
        out.push(Refusal::too_many("policies.accept", held.accept.len(), MAX_ACCEPTED));
    }
    let is_code = |word: &str| Code::ALL.iter().any(|code| code.as_str() == word);
    for word in held.accept.iter().take(MAX_ACCEPTED).filter(|word| !is_code(word)) {
        let shown: String = word.chars().take(60).collect();
        out.push(Refusal::new(Code::UnknownCheck).field("policies.accept").arg("n", shown));
    }
    if held.freeze.len() > freeze::MAX_WINDOWS {
        let refusal = Refusal::new(Code::FreezeRange).field("policies.freeze");
        out.push(refusal.arg("n", held.freeze.len()).arg("max", freeze::MAX_WINDOWS));
        return;
    }
    // What is left of the week by the windows of every week; those of one time are held against the clock.
    let weekly: Vec<String> = held
        .freeze
        .iter()
        .filter(|text| matches!(Window::parse(text), Some(Window::Weekly { .. })))
        .cloned()
        .collect();
    if freeze::holds_for_ever(&weekly, 0) {
        out.push(Refusal::new(Code::FreezeAlways).field("policies.freeze"));
    }
    for (at, text) in held.freeze.iter().enumerate().filter(|(_, text)| Window::parse(text).is_none()) {
        let shown: String = text.chars().take(60).collect();
        let refusal = Refusal::new(Code::FreezeRange).field(format!("policies.freeze.{at}"));
        out.push(refusal.arg("n", shown).arg("max", freeze::MAX_WINDOWS));
    }
    if held.stable_after.is_some_and(|n| n > MAX_REPLICAS) {
        let n = held.stable_after.unwrap_or(0);
        let refusal = Refusal::new(Code::ReplicasRange).field("policies.stable_after");
        out.push(refusal.arg("n", n).arg("max", MAX_REPLICAS));
    }
}

/// True for an image reference: `[registry[:port]/]path[:tag][@algorithm:hex]`.
/// Source: <https://github.com/distribution/reference/blob/main/reference.go>.
pub fn is_image(text: &str) -> bool {
    if text.is_empty() || text.len() > 512 || !text.is_ascii() {
        return false;
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let digest_good = digest.is_none_or(|digest| {
        digest.split_once(':').is_some_and(|(algorithm, hex)| {
            let named =
                !algorithm.is_empty() && algorithm.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+');
            named && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
    });
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match rest[slash..].split_once(':') {
        Some((name, tag)) => (&rest[..slash + name.len()], Some(tag)),
        None => (rest, None),
    };
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let tag_good = tag.is_none_or(|tag| {
        (1..=128).contains(&tag.len())
            && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
            && word(tag.as_bytes()[0])
    });
    let mut parts: Vec<&str> = path.split('/').collect();
    let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let registry_good = if parts.len() > 1 && is_registry(parts[0]) {
        let registry = parts.remove(0);
        let (host, port) = registry.split_once(':').unwrap_or((registry, "80"));
        !host.is_empty()
            && host.split('.').all(is_host_label)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    } else {
        true
    };
    let part_good = |part: &&str| {
        let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = part.as_bytes();
        !bytes.is_empty()
            && edge(bytes[0])
            && edge(bytes[bytes.len() - 1])
            && bytes.iter().all(|b| edge(*b) || matches!(b, b'.' | b'_' | b'-'))
            && !part.contains("..")
            && !part.contains("___")
    };
    digest_good && tag_good && registry_good && parts.iter().all(part_good)
}

fn is_host_label(label: &str) -> bool {
    is_dns_label(&label.to_ascii_lowercase())
}
