//! What stands in the wizard's form: everything as it was typed, also what makes no sense yet. A draft is
//! these fields; a wish is read from them by [`super::read`].

use serde_json::{Map, Value};

use crate::domain::affix::Affix;
use crate::domain::release::{Candidate, Spec, Step};
use crate::domain::routing::{Condition, Op, Subject};
use crate::views::release::stages::stages;

/// Rows that the form takes; more are left out when it is read, and the wish is then refused for its length.
const MOST_ROWS: usize = 60;

/// The form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a check box of the form")]
pub struct Fields {
    pub strategy: String,
    /// `namespace/name`.
    pub service: String,
    pub stable: String,
    /// `image` or `adopt`.
    pub from: String,
    pub version: String,
    pub image: String,
    pub replicas: String,
    pub in_place: bool,
    pub adopt: String,
    /// A template's word, or `own:` and its name.
    pub template: String,
    pub rows: Vec<Row>,
    /// The strategy whose template the rows came from, and what they were then: `canary:1f2e…`.
    pub laid: String,
    pub analyse: bool,
    /// What the analysis was when a template set it.
    pub fitted: String,
    pub interval: String,
    pub window: String,
    pub min_requests: String,
    pub failures: String,
    pub metrics: Vec<MetricField>,
    pub on_failure: String,
    pub on_deadline: String,
    pub on_drift: String,
    /// Minutes.
    pub deadline: String,
    pub delete_after_abort: bool,
    pub stable_after: String,
    /// `2026-11-20T22:00`, in the person's zone; empty = when it is started.
    pub start_at: String,
    pub second_person: bool,
    /// Freeze windows, one after the other with `;` between them.
    pub freeze: String,
    /// Codes of checks that are accepted for every write.
    pub accept: Vec<String>,
    /// A title in the person's words; may be empty.
    pub name: String,
    pub reason: String,
    /// The name under which the steps are to be kept.
    pub template_name: String,
    /// What was there before the last template: what that one set, and the fields as a draft keeps them.
    pub undo: String,
    /// Ids of fields that the person has left: what is missing there is shown.
    pub left: String,
}

/// A stage of the release as a row of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// A number that stays with the row while others are added and removed.
    pub key: String,
    /// `weight`, `replicas`, `mirror`, `rules` or `wait`.
    pub kind: String,
    pub percent: String,
    pub candidate: String,
    pub stable: String,
    /// Conditions that this form cannot show, as JSON.
    pub when: String,
    pub subject: String,
    pub name: String,
    pub op: String,
    pub value: String,
    pub hold: String,
    /// `s`, `min` or `h`.
    pub unit: String,
    pub passes: String,
    pub approval: bool,
}

/// One metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricField {
    pub on: bool,
    /// `success_rate`, `latency` or `custom`.
    pub kind: String,
    pub quantile: String,
    pub name: String,
    pub query: String,
    /// `at_most` or `at_least`.
    pub direction: String,
    pub absolute: String,
    pub relative: String,
    /// Latency: milliseconds by which it must be worse, too.
    pub floor: String,
}

/// Every box that is ticked; a draft keeps them in one value.
fn accepted(pairs: &[(String, String)]) -> Vec<String> {
    let ticked = pairs.iter().filter(|(field, _)| field == "accept");
    let words = ticked.flat_map(|(_, value)| value.split_whitespace());
    words.take(MOST_ROWS).map(str::to_owned).collect()
}

/// The number without needless decimals.
pub(super) fn plain(number: f64) -> String {
    format!("{number}")
}

impl Row {
    fn hold_of(&mut self, seconds: u64) {
        let (n, unit) = match seconds {
            s if s % 3_600 == 0 && s > 0 => (s / 3_600, "h"),
            s if s % 60 == 0 && s > 0 => (s / 60, "min"),
            s => (s, "s"),
        };
        (self.hold, self.unit) = (n.to_string(), unit.to_owned());
    }

    fn aim_of(&mut self, step: &Step) {
        match step {
            Step::Weight { percent } | Step::Mirror { percent } => {
                step.kind().clone_into(&mut self.kind);
                self.percent = percent.to_string();
            }
            Step::Replicas { candidate, stable } => {
                "replicas".clone_into(&mut self.kind);
                self.candidate = candidate.to_string();
                self.stable = stable.map(|n| n.to_string()).unwrap_or_default();
            }
            Step::Rules { when } => {
                "rules".clone_into(&mut self.kind);
                // What a form without anything typed sends.
                (self.subject, self.op) = ("header".to_owned(), Op::Exact.as_str().to_owned());
                match when.as_slice() {
                    [] => {}
                    [all] if all.len() == 1 => self.condition_of(&all[0]),
                    _ => self.when = serde_json::to_string(when).unwrap_or_default(),
                }
            }
            Step::Hold { .. } | Step::Approval | Step::Analysis { .. } => {}
        }
    }

    fn condition_of(&mut self, one: &Condition) {
        let (subject, name) = match &one.on {
            Subject::Header(name) => ("header", name.as_str()),
            Subject::Cookie(name) => ("cookie", name.as_str()),
            Subject::Query(name) => ("query", name.as_str()),
            Subject::Path => ("path", ""),
            Subject::Method => ("method", ""),
        };
        (self.subject, self.name) = (subject.to_owned(), name.to_owned());
        (self.op, self.value) = match Affix::of(one) {
            Some((affix, text)) => (affix.as_str().to_owned(), text),
            None => (one.op.as_str().to_owned(), one.value.clone()),
        };
    }

    /// Its key, where that can be one.
    fn number(&self) -> Option<u32> {
        self.key.parse().ok().filter(|n| *n < 1_000_000)
    }

    /// True while nothing says what the new version gets.
    pub fn is_empty(&self) -> bool {
        match self.kind.as_str() {
            "weight" | "mirror" => self.percent.is_empty(),
            "replicas" => self.candidate.is_empty(),
            "rules" => self.when.is_empty() && self.name.is_empty() && self.value.is_empty(),
            _ => false,
        }
    }

    /// The conditions as the wish has them; empty when nothing is typed.
    pub fn conditions(&self) -> Value {
        if !self.when.is_empty() {
            return serde_json::from_str(&self.when).unwrap_or(Value::Null);
        }
        if self.value.is_empty() && self.name.is_empty() && self.op != Op::Present.as_str() {
            return Value::Array(Vec::new());
        }
        let mut on = Map::from_iter([("in".to_owned(), Value::from(self.subject.as_str()))]);
        if matches!(self.subject.as_str(), "header" | "cookie" | "query") {
            on.insert("name".to_owned(), Value::from(self.name.as_str()));
        }
        let op = if self.op.is_empty() { "exact" } else { &self.op };
        if let Some(affix) = Affix::parse(op) {
            let on = serde_json::from_value::<Subject>(Value::Object(on)).ok();
            // Every text contains an empty one: that is no condition.
            let made = on.filter(|_| !self.value.is_empty()).map(|on| affix.condition(on, &self.value));
            return serde_json::json!([made.as_slice()]);
        }
        serde_json::json!([[{"on": on, "op": op, "value": self.value}]])
    }

    /// Rows for a list of steps.
    pub fn of_steps(steps: &[Step]) -> Vec<Self> {
        let row = |(at, stage): (usize, crate::views::release::stages::StageOf)| {
            let mut row = Self {
                key: at.to_string(),
                kind: "wait".to_owned(),
                unit: "min".to_owned(),
                ..Self::default()
            };
            if let Some(step) = stage.aim.and_then(|at| steps.get(at)) {
                row.aim_of(step);
            }
            if let Some(seconds) = stage.hold {
                row.hold_of(seconds);
            }
            row.passes = stage.passes.map(|n| n.to_string()).unwrap_or_default();
            row.approval = stage.approval;
            row
        };
        stages(steps).into_iter().enumerate().map(row).collect()
    }
}

impl Fields {
    /// The form for a wish.
    pub fn of_spec(spec: &Spec) -> Self {
        let mut out = Self::new(&spec.service.to_string(), spec.stable.as_str());
        spec.strategy.as_str().clone_into(&mut out.strategy);
        out.template.clear();
        match &spec.candidate {
            Candidate::Image { version, image, replicas, in_place } => {
                out.version = version.to_string();
                out.image.clone_from(image);
                out.replicas = replicas.map(|n| n.to_string()).unwrap_or_default();
                out.in_place = *in_place;
            }
            Candidate::Adopt { version } => (out.from, out.adopt) = ("adopt".to_owned(), version.to_string()),
        }
        out.rows = Row::of_steps(&spec.steps);
        // Steps of a specification were chosen by a person.
        out.laid = format!("{}:", spec.strategy.as_str());
        out.take_analysis(spec.analysis.as_ref());
        out.fitted.clear();
        out.take_policies(&spec.policies);
        out.accept.clone_from(&spec.policies.accept);
        out.name.clone_from(&spec.name);
        out
    }

    /// The form in a draft: its own fields, or a wish that was kept through the API.
    pub fn of_draft(kept: &Value) -> Option<Self> {
        if let Ok(spec) = serde_json::from_value::<Spec>(kept.clone()) {
            return Some(Self::of_spec(&spec));
        }
        let pairs: Option<Vec<(String, String)>> = kept
            .as_object()?
            .iter()
            .map(|(name, value)| value.as_str().map(|value| (name.clone(), value.to_owned())))
            .collect();
        Some(Self::of_pairs(&pairs?))
    }

    /// Reads the form as it was sent. Fields that are not known are left out.
    pub fn of_pairs(pairs: &[(String, String)]) -> Self {
        let of = |name: &str| {
            pairs
                .iter()
                .find(|(field, _)| field == name)
                .map(|(_, value)| value.trim().to_owned())
                .unwrap_or_default()
        };
        let on = |name: &str| !of(name).is_empty();
        let count = |group: &str, part: &str| {
            let has = |at: usize| pairs.iter().any(|(field, _)| *field == format!("{group}.{at}.{part}"));
            (0..MOST_ROWS).take_while(|at| has(*at)).count()
        };
        let row = |at: usize| {
            let of = |part: &str| of(&format!("s.{at}.{part}"));
            Row {
                key: of("key"),
                kind: of("kind"),
                percent: of("percent"),
                candidate: of("candidate"),
                stable: of("stable"),
                when: of("when"),
                subject: of("in"),
                name: of("name"),
                op: of("op"),
                value: of("value"),
                hold: of("hold"),
                unit: of("unit"),
                passes: of("passes"),
                approval: of("then") == "approval",
            }
        };
        let metric = |at: usize| {
            let of = |part: &str| of(&format!("m.{at}.{part}"));
            MetricField {
                on: !of("on").is_empty(),
                kind: of("kind"),
                quantile: of("quantile"),
                name: of("name"),
                query: of("query"),
                direction: of("direction"),
                absolute: of("absolute"),
                relative: of("relative"),
                floor: of("floor"),
            }
        };
        let mut out = Self {
            strategy: of("strategy"),
            service: of("service"),
            stable: of("stable"),
            from: of("from"),
            version: of("version"),
            image: of("image"),
            replicas: of("replicas"),
            in_place: on("in_place"),
            adopt: of("adopt"),
            template: of("template"),
            rows: (0..count("s", "kind")).map(row).collect(),
            laid: of("laid"),
            analyse: on("analyse"),
            fitted: of("fitted"),
            interval: of("interval"),
            window: of("window"),
            min_requests: of("min_requests"),
            failures: of("failures"),
            metrics: (0..count("m", "kind")).map(metric).collect(),
            on_failure: of("on_failure"),
            on_deadline: of("on_deadline"),
            on_drift: of("on_drift"),
            deadline: of("deadline"),
            delete_after_abort: on("delete_after_abort"),
            stable_after: of("stable_after"),
            start_at: of("start_at"),
            second_person: on("second_person"),
            freeze: of("freeze"),
            accept: accepted(pairs),
            name: of("name"),
            reason: of("reason"),
            template_name: of("template_name"),
            undo: of("undo"),
            left: of("left"),
        };
        out.name_rows();
        out
    }

    /// The key of the next row that is added.
    pub fn next_key(&self) -> u32 {
        self.rows.iter().filter_map(Row::number).max().map_or(0, |n| n + 1)
    }

    /// Gives every row a key that no other has.
    pub fn name_rows(&mut self) {
        let mut next = self.next_key();
        let mut used = std::collections::BTreeSet::new();
        for row in &mut self.rows {
            let known = row.number().filter(|n| used.insert(*n));
            let key = known.unwrap_or_else(|| {
                let fresh = next;
                next += 1;
                fresh
            });
            row.key = key.to_string();
        }
    }

    /// What a draft keeps: the fields by name, as texts.
    pub fn to_draft(&self) -> Value {
        let mut map = Map::new();
        let mut put = |name: &str, value: &str| {
            if !value.is_empty() {
                map.insert(name.to_owned(), Value::from(value));
            }
        };
        let flag = |on: bool| if on { "1" } else { "" };
        for (name, value) in [
            ("strategy", &self.strategy),
            ("service", &self.service),
            ("stable", &self.stable),
            ("from", &self.from),
            ("version", &self.version),
            ("image", &self.image),
            ("replicas", &self.replicas),
            ("adopt", &self.adopt),
            ("template", &self.template),
            ("interval", &self.interval),
            ("window", &self.window),
            ("min_requests", &self.min_requests),
            ("failures", &self.failures),
            ("on_failure", &self.on_failure),
            ("on_deadline", &self.on_deadline),
            ("on_drift", &self.on_drift),
            ("deadline", &self.deadline),
            ("stable_after", &self.stable_after),
            ("start_at", &self.start_at),
            ("freeze", &self.freeze),
            ("accept", &self.accept.join(" ")),
            ("name", &self.name),
            ("reason", &self.reason),
            ("template_name", &self.template_name),
            ("laid", &self.laid),
            ("fitted", &self.fitted),
            ("undo", &self.undo),
            ("left", &self.left),
        ] {
            put(name, value);
        }
        put("in_place", flag(self.in_place));
        put("analyse", flag(self.analyse));
        put("delete_after_abort", flag(self.delete_after_abort));
        put("second_person", flag(self.second_person));
        for (at, row) in self.rows.iter().enumerate() {
            let kind = if row.kind.is_empty() { "weight" } else { &row.kind };
            for (part, value) in [
                ("key", row.key.as_str()),
                ("kind", kind),
                ("percent", &row.percent),
                ("candidate", &row.candidate),
                ("stable", &row.stable),
                ("when", &row.when),
                ("in", &row.subject),
                ("name", &row.name),
                ("op", &row.op),
                ("value", &row.value),
                ("hold", &row.hold),
                ("unit", &row.unit),
                ("passes", &row.passes),
                ("then", if row.approval { "approval" } else { "" }),
            ] {
                put(&format!("s.{at}.{part}"), value);
            }
        }
        for (at, metric) in self.metrics.iter().enumerate() {
            for (part, value) in [
                ("on", flag(metric.on)),
                ("kind", &metric.kind),
                ("quantile", &metric.quantile),
                ("name", &metric.name),
                ("query", &metric.query),
                ("direction", &metric.direction),
                ("absolute", &metric.absolute),
                ("relative", &metric.relative),
                ("floor", &metric.floor),
            ] {
                put(&format!("m.{at}.{part}"), value);
            }
        }
        Value::Object(map)
    }
}
