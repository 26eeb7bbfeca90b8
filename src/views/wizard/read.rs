//! The form as a wish, and a refusal's field as a place on the page. What the wish may be is not decided
//! here but by `domain::release::validate` and the use case.

use serde_json::{Value, json};

use super::fields::{Fields, MetricField, Row};
use crate::domain::refusal::{Code, Refusal};
use crate::views::time::Clockface;

/// A wish as JSON, with where each of its parts stands in the form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    pub value: Value,
    /// What cannot even be written as a number.
    pub refusals: Vec<Refusal>,
    /// The row of each step.
    pub rows: Vec<usize>,
    /// The place in the form of each metric.
    pub metrics: Vec<usize>,
    adopts: bool,
}

/// A whole number, or any other number for the rules to refuse; `None` = no number at all.
fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    text.parse::<i64>().map(Value::from).ok().or_else(|| {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
        serde_json::Number::from_f64(number).map(Value::Number)
    })
}

impl Wish {
    /// Reads the form.
    pub fn of(fields: &Fields, clock: Clockface) -> Self {
        let mut out = Self { adopts: fields.from == "adopt", ..Self::default() };
        let (namespace, name) = fields.service.split_once('/').unwrap_or(("", &fields.service));
        if fields.service.is_empty() {
            out.refuse(Code::BadName, "service", "name", "");
        }
        let steps = out.steps(&fields.rows);
        let candidate = if out.adopts {
            json!({"from": "adopt", "version": fields.adopt})
        } else {
            let mut made = json!({
                "from": "image", "version": fields.version, "image": fields.image, "in_place": fields.in_place
            });
            if let Some(n) = out.optional(&fields.replicas, "candidate.replicas", Code::ReplicasRange) {
                made["replicas"] = n;
            }
            made
        };
        let mut value = json!({
            "service": {"namespace": namespace, "name": name},
            "strategy": fields.strategy,
            "stable": fields.stable,
            "candidate": candidate,
            "steps": steps,
            "policies": out.policies(fields, clock),
        });
        if !fields.name.is_empty() {
            value["name"] = Value::from(fields.name.as_str());
        }
        if fields.analyse {
            value["analysis"] = out.analysis(fields);
        }
        out.value = value;
        out
    }

    fn refuse(&mut self, code: Code, field: &str, arg: &'static str, typed: &str) {
        let shown: String = typed.chars().take(40).collect();
        let shown = if shown.is_empty() { "–".to_owned() } else { shown };
        let refusal = Refusal::new(code).field(field.to_owned()).arg(arg, shown);
        let refusal = refusal.arg("max", if code == Code::ReplicasRange { 1_000 } else { 100 });
        // The least hold is that of the analysis, which the rules know.
        self.refusals.push(if code == Code::HoldRange { refusal } else { refusal.arg("least", 1) });
    }

    fn required(&mut self, typed: &str, field: &str, code: Code) -> Value {
        number(typed).unwrap_or_else(|| {
            self.refuse(code, field, "n", typed);
            Value::from(1)
        })
    }

    fn optional(&mut self, typed: &str, field: &str, code: Code) -> Option<Value> {
        if typed.trim().is_empty() { None } else { Some(self.required(typed, field, code)) }
    }

    /// The list of steps of the rows; also for changed steps.
    pub fn steps(&mut self, rows: &[Row]) -> Vec<Value> {
        let mut steps: Vec<Value> = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let field = |steps: &[Value], part: &str| format!("steps.{}.{part}", steps.len());
            let before = steps.len();
            match row.kind.as_str() {
                "weight" | "mirror" => {
                    self.rows.push(at);
                    let percent = self.required(&row.percent, &field(&steps, "percent"), Code::StepRange);
                    steps.push(json!({"kind": row.kind, "percent": percent}));
                }
                "replicas" => {
                    self.rows.push(at);
                    let name = field(&steps, "candidate");
                    let candidate = self.required(&row.candidate, &name, Code::ReplicasRange);
                    let mut step = json!({"kind": "replicas", "candidate": candidate});
                    if let Some(stable) = self.optional(&row.stable, &name, Code::ReplicasRange) {
                        step["stable"] = stable;
                    }
                    steps.push(step);
                }
                "rules" => {
                    self.rows.push(at);
                    steps.push(json!({"kind": "rules", "when": row.conditions()}));
                }
                _ => {}
            }
            if !row.hold.trim().is_empty() && row.hold.trim() != "0" {
                self.rows.push(at);
                let name = field(&steps, "seconds");
                let held = self.required(&row.hold, &name, Code::HoldRange);
                let unit = match row.unit.as_str() {
                    "h" => 3_600,
                    "s" => 1,
                    _ => 60,
                };
                let seconds = match held.as_i64() {
                    Some(n) => n.checked_mul(unit).map_or(Value::from(i64::MAX), Value::from),
                    None => held,
                };
                steps.push(json!({"kind": "hold", "seconds": seconds}));
            }
            let passes = self.optional(&row.passes, &field(&steps, "passes"), Code::StepRange);
            if let Some(passes) = passes.filter(|passes| *passes != 0) {
                self.rows.push(at);
                steps.push(json!({"kind": "analysis", "passes": passes}));
            }
            if row.approval {
                self.rows.push(at);
                steps.push(json!({"kind": "approval"}));
            }
            debug_assert_eq!(self.rows.len() - before, steps.len() - before);
        }
        steps
    }

    fn analysis(&mut self, fields: &Fields) -> Value {
        let mut metrics = Vec::new();
        for (at, metric) in fields.metrics.iter().enumerate().filter(|(_, metric)| metric.on) {
            let value = self.metric(metric, metrics.len());
            self.metrics.push(at);
            metrics.push(value);
        }
        let mut of =
            |typed: &str, name: &str| self.required(typed, &format!("analysis.{name}"), Code::AnalysisRange);
        json!({
            "interval_s": of(&fields.interval, "interval_s"),
            "window_s": of(&fields.window, "window_s"),
            "min_requests": of(&fields.min_requests, "min_requests"),
            "failures": of(&fields.failures, "failures"),
            "metrics": metrics,
        })
    }

    fn metric(&mut self, metric: &MetricField, at: usize) -> Value {
        let field = format!("analysis.metrics.{at}.limit");
        let mut limit = json!({});
        for (name, typed) in
            [("absolute", &metric.absolute), ("relative", &metric.relative), ("floor_ms", &metric.floor)]
        {
            // Only a latency beside another one has a floor.
            let idle = name == "floor_ms" && (metric.kind != "latency" || metric.relative.trim().is_empty());
            if idle || typed.trim().is_empty() {
                continue;
            }
            match number(typed) {
                Some(value) => limit[name] = value,
                None => self.refuse(Code::LimitRange, &field, "n", typed),
            }
        }
        match metric.kind.as_str() {
            "latency" => {
                let quantile = self.required(&metric.quantile, &field, Code::AnalysisRange);
                json!({"metric": "latency", "quantile": quantile, "limit": limit})
            }
            "custom" => json!({
                "metric": "custom", "name": metric.name, "query": metric.query,
                "direction": if metric.direction == "at_least" { "at_least" } else { "at_most" }, "limit": limit
            }),
            _ => json!({"metric": "success_rate", "limit": limit}),
        }
    }

    fn policies(&mut self, fields: &Fields, clock: Clockface) -> Value {
        let word =
            |typed: &str, other: &str| if typed.is_empty() { other.to_owned() } else { typed.to_owned() };
        let minutes =
            fields.deadline.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0 && *n < 1e6);
        let seconds = minutes.map(|minutes| format!("{:.0}", minutes * 60.0)).and_then(|text| number(&text));
        let deadline = seconds.unwrap_or_else(|| {
            self.refuse(Code::AnalysisRange, "policies.step_deadline_s", "n", &fields.deadline);
            Value::from(600)
        });
        let mut out = json!({
            "on_failure": word(&fields.on_failure, "abort"),
            "on_deadline": word(&fields.on_deadline, "pause"),
            "on_drift": word(&fields.on_drift, "pause"),
            "step_deadline_s": deadline,
            "delete_after_abort": fields.delete_after_abort,
            "second_person": fields.second_person,
            "accept": fields.accept,
            "freeze": fields.freeze.split(';').map(str::trim).filter(|text| !text.is_empty()).collect::<Vec<_>>(),
        });
        if let Some(n) = self.optional(&fields.stable_after, "policies.stable_after", Code::ReplicasRange) {
            out["stable_after"] = n;
        }
        if !fields.start_at.is_empty() {
            match clock.read_local(&fields.start_at) {
                Some(at_ms) => out["start_at_ms"] = Value::from(at_ms),
                None => self.refuse(Code::AnalysisRange, "policies.start_at_ms", "n", &fields.start_at),
            }
        }
        out
    }

    /// Where on the page a refusal is shown: the id of a slot.
    pub fn slot(&self, refusal: &Refusal) -> String {
        let Some(field) = refusal.field.as_deref() else {
            return match refusal.code {
                Code::VersionTaken | Code::WorkloadTaken | Code::VersionLabel | Code::SameVersion => {
                    self.version_slot()
                }
                Code::TemplateNotFound | Code::TemplateForbidden | Code::TooManyTemplates => {
                    "template_name".to_owned()
                }
                Code::BadImage | Code::SameImage => "image".to_owned(),
                Code::ReasonRequired | Code::ReasonTooLong => "reason".to_owned(),
                Code::ReleaseOwnsService
                | Code::ServiceNotFound
                | Code::NoIstio
                | Code::Headless
                | Code::ExternalName
                | Code::ServiceNotExported
                | Code::NoWorkloads
                | Code::NoWorkload
                | Code::NotStateful
                | Code::OnDelete
                | Code::NoLabel
                | Code::GitOps
                | Code::OtherWriter
                | Code::PortByPods
                | Code::TlsPort
                | Code::UdpPort
                | Code::OwnedByController
                | Code::Deleting
                | Code::NotShiftable
                | Code::NoHttp
                | Code::Forbidden => "service".to_owned(),
                _ => "start".to_owned(),
            };
        };
        let mut parts = field.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("service" | "stable" | "namespace"), ..) => "service".to_owned(),
            (Some("name"), ..) => "name".to_owned(),
            (Some("candidate"), Some("image"), _) => "image".to_owned(),
            (Some("candidate"), Some("replicas" | "in_place"), _) => "replicas".to_owned(),
            (Some("candidate" | "version"), ..) => self.version_slot(),
            (Some("steps"), Some(at), _) => {
                let row = at.parse::<usize>().ok().and_then(|at| self.rows.get(at));
                row.map_or_else(|| "steps".to_owned(), |row| format!("row-{row}"))
            }
            (Some("steps"), ..) => "steps".to_owned(),
            (Some("analysis"), Some("metrics"), Some(at)) => {
                let metric = at.parse::<usize>().ok().and_then(|at| self.metrics.get(at));
                metric.map_or_else(|| "analysis".to_owned(), |at| format!("metric-{at}"))
            }
            (Some("analysis"), ..) => "analysis".to_owned(),
            (Some("policies"), Some("accept"), _) => "accept".to_owned(),
            (Some("policies"), ..) => "policies".to_owned(),
            (Some(field @ ("reason" | "template_name")), ..) => field.to_owned(),
            _ => "start".to_owned(),
        }
    }

    /// Which fields of its place a refusal is about, by the last part of their names and with commas between them;
    /// empty = all of the place.
    pub fn parts(&self, refusal: &Refusal, rows: &[Row]) -> &'static str {
        let mut path = refusal.field.as_deref().unwrap_or_default().split('.');
        match (path.next(), path.next(), path.next()) {
            (Some("steps"), Some(at), Some(part)) => {
                let row = at.parse::<usize>().ok().and_then(|at| rows.get(*self.rows.get(at)?));
                let kind = row.map_or("", |row| row.kind.as_str());
                match (part, kind) {
                    ("seconds", _) => "hold",
                    ("passes", _) => "passes",
                    ("percent", "weight" | "mirror") => "percent",
                    ("candidate" | "stable", "replicas") => "candidate,stable",
                    ("when", "rules") => "name,value",
                    // What the row has no field of its own for is about what the step is.
                    _ => "kind",
                }
            }
            (Some("analysis"), Some("interval_s"), _) => "interval",
            (Some("analysis"), Some("window_s"), _) => "window",
            (Some("analysis"), Some("min_requests"), _) => "min_requests",
            (Some("analysis"), Some("failures"), _) => "failures",
            (Some("analysis"), Some("metrics"), _) => {
                match refusal.field.as_deref().and_then(|f| f.rsplit('.').next()) {
                    Some("query") => "query",
                    Some("name") => "name",
                    Some("limit") => "absolute,relative,floor",
                    _ => "on",
                }
            }
            (Some("policies"), Some("step_deadline_s"), _) => "deadline",
            (Some("policies"), Some("stable_after"), _) => "stable_after",
            (Some("policies"), Some("start_at_ms"), _) => "start_at",
            (Some("policies"), Some("freeze"), _) => "freeze",
            _ => "",
        }
    }

    fn version_slot(&self) -> String {
        if self.adopts { "adopt".to_owned() } else { "version".to_owned() }
    }
}

/// The section of the page that a slot stands in.
pub fn section(slot: &str) -> u8 {
    match slot {
        "strategy" => 1,
        "service" => 2,
        "version" | "image" | "replicas" | "adopt" => 3,
        "steps" | "template_name" => 4,
        "analysis" => 5,
        other if other.starts_with("row-") => 4,
        other if other.starts_with("metric-") => 5,
        _ => 6,
    }
}
