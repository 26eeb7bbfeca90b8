//! The analysis: one small chart a metric (drawn by the server), and the same as a table with sample sizes.

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Given, said, slots};
use crate::domain::release::{Judgement, LATENCY_FLOOR_MS, Metric, MetricJudgement, OnFailure, Verdict};
use crate::views::bars::short;
use crate::views::chrome::Chip;
use crate::views::lang::{Lang, Rich};
use crate::views::time::Clockface;

/// Width and height of a chart's drawing area.
const WIDE: f64 = 240.0;
const HIGH: f64 = 80.0;
/// Looks that a chart shows.
const LOOKS: usize = 60;
/// Between two looks of one line may be at most two and a half intervals, milliseconds per second of the interval.
const MOST_BETWEEN_MS: i64 = 2_500;
/// Looks that the table shows as ticks.
const TICKS: usize = 12;

/// All charts.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/charts.html")]
pub struct Charts {
    pub lang: Lang,
    pub hint: String,
    pub charts: Vec<Chart>,
}

impl HtmlSafe for Charts {}

/// One metric over time: candidate against stable, with the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    pub name: String,
    pub verdict: Option<Chip>,
    pub candidate: (String, u8, String),
    pub stable: (String, u8, String),
    /// What the picture says, in words.
    pub text: String,
    /// The lines as paths, broken where nothing was measured; empty = nothing yet.
    pub candidate_line: String,
    pub stable_line: String,
    /// Height of the limit.
    pub limit_y: Option<String>,
    pub limit: String,
    /// True when the latest measurement is beyond the limit: only then it is drawn in the colour of trouble.
    pub beyond: bool,
    pub range: String,
    pub from: String,
    pub to: String,
}

/// The same as a table.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/numbers.html")]
pub struct Numbers {
    pub lang: Lang,
    pub stable: String,
    pub candidate: String,
    pub rows: Vec<Row>,
}

impl HtmlSafe for Numbers {}

/// One metric in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub stable: String,
    pub candidate: String,
    pub interval: Option<String>,
    pub limit: String,
    /// Oldest first.
    pub ticks: Vec<Verdict>,
    pub ticks_text: String,
    pub verdict: Option<Chip>,
    pub why: String,
    pub sample: String,
    pub query: Option<String>,
}

impl Charts {
    /// `None` when nothing is measured.
    pub fn of(clock: Clockface, given: Given<'_>) -> Option<Self> {
        let (lang, spec) = (clock.lang, &given.release.spec);
        let analysis = spec.analysis.as_ref()?;
        let then = match spec.policies.on_failure {
            OnFailure::Pause => lang.count("release.chart.then_pause", analysis.failures),
            OnFailure::Abort => {
                let text = lang.count("release.chart.then_abort", analysis.failures);
                text.with("v", short(spec.stable.as_str()))
            }
        };
        let hint = lang
            .count("release.chart.hint", analysis.failures)
            .with("v", short(spec.candidate.version().as_str()))
            .with("w", short(spec.stable.as_str()))
            .with("span", said::long_span(lang, u64::from(analysis.interval_s)))
            .with("then", then);
        let charts = analysis
            .metrics
            .iter()
            .enumerate()
            .map(|(at, metric)| Chart::of(clock, given, at, metric))
            .collect();
        Some(Self { lang, hint: hint.into(), charts })
    }
}

/// The judgements of one metric, newest first.
fn looks(given: Given<'_>, at: usize) -> impl Iterator<Item = (&Judgement, &MetricJudgement)> {
    given.judgements.iter().filter_map(move |look| {
        look.metrics.iter().find(|metric| metric.metric == at).map(|metric| (look, metric))
    })
}

/// On which side of a limit a metric is good.
fn sign(metric: &Metric) -> &'static str {
    let least = match metric {
        Metric::SuccessRate { .. } => true,
        Metric::Latency { .. } => false,
        Metric::Custom { direction, .. } => *direction == crate::domain::release::Direction::AtLeast,
    };
    if least { "≥" } else { "≤" }
}

/// The measures of the latest failure, each with its value and its limit; `None` = no failure is known.
pub(super) fn failed(lang: Lang, given: Given<'_>) -> Option<Rich> {
    let metrics = &given.release.spec.analysis.as_ref()?.metrics;
    let look = given.judgements.iter().find(|look| look.verdict == Verdict::Fail)?;
    let said = look.metrics.iter().filter(|one| one.verdict == Verdict::Fail).filter_map(|one| {
        let metric = metrics.get(one.metric)?;
        let bound = one.limit.map(|bound| format!("{} {}", sign(metric), said::value(lang, metric, bound)));
        let text = lang
            .t("release.measured_one")
            .with("metric", said::metric(lang, metric))
            .with("value", said::value(lang, metric, one.value?))
            .with("limit", bound.unwrap_or_else(|| limit(lang, given, metric)));
        Some(text.to_string())
    });
    let all: Vec<String> = said.collect();
    let list = all.join(&lang.t("sum.clause").to_string());
    (!all.is_empty()).then(|| lang.t("release.measured_bad").with("list", list).rich())
}

/// The limit in words: *≥ 99.5%*, *≤ 1.5 × v1*.
fn limit(lang: Lang, given: Given<'_>, metric: &Metric) -> String {
    let stable = short(given.release.spec.stable.as_str());
    let (absolute, relative) = (metric.limit().absolute, metric.limit().relative);
    let sign = sign(metric);
    let mut words = Vec::new();
    words.extend(absolute.map(|value| format!("{sign} {}", said::value(lang, metric, value))));
    words.extend(relative.map(|value| {
        let n = crate::views::text::percent(value);
        let text = match metric {
            Metric::SuccessRate { .. } => lang.count("release.chart.points", n),
            Metric::Latency { .. } => {
                let floor = metric.limit().floor_ms.unwrap_or(LATENCY_FLOOR_MS);
                let key = if floor > 0.0 { "times_or" } else { "times" };
                let text = lang.t(&format!("release.chart.{key}")).with("sign", sign).with("n", n);
                text.with("floor", said::value(lang, metric, floor))
            }
            Metric::Custom { .. } => lang.t("release.chart.times").with("sign", sign).with("n", n),
        };
        text.with("w", &stable).to_string()
    }));
    words.join(&lang.t("sum.comma").to_string())
}

impl Chart {
    fn of(clock: Clockface, given: Given<'_>, at: usize, metric: &Metric) -> Self {
        let (lang, spec) = (clock.lang, &given.release.spec);
        let slots = slots(given);
        let (candidate, stable) = (spec.candidate.version(), &spec.stable);
        let shown: Vec<_> = looks(given, at).take(LOOKS).collect();
        let latest = shown.first().map(|(_, metric)| *metric);
        let say = |value: Option<f64>| {
            value.map_or_else(|| "–".to_owned(), |value| said::value(lang, metric, value))
        };
        let absolute = metric.limit().absolute;
        let values = shown
            .iter()
            .flat_map(|(_, one)| [one.value, one.beside])
            .chain([absolute, latest.and_then(|one| one.limit)])
            .flatten()
            .filter(|value| value.is_finite());
        let (low, high) = bounds(metric, values);
        let y = |value: f64| (1.0 - (value - low) / (high - low)) * (HIGH - 8.0) + 4.0;
        let (first, last) =
            (shown.last().map_or(0, |(look, _)| look.at_ms), shown.first().map_or(0, |(look, _)| look.at_ms));
        let x = |at_ms: i64| {
            let whole = ms(last - first).max(1.0);
            ms(at_ms - first) / whole * WIDE
        };
        let interval_s = spec.analysis.as_ref().map_or(0, |analysis| analysis.interval_s);
        let line = |of: fn(&MetricJudgement) -> Option<f64>| {
            let looks = shown.iter().rev();
            let values = looks.map(|(look, one)| (look.at_ms, of(one).filter(|value| value.is_finite())));
            let runs = runs(values, i64::from(interval_s) * MOST_BETWEEN_MS).into_iter();
            let runs = runs.map(|run| run.into_iter().map(|(at_ms, value)| (x(at_ms), y(value))).collect());
            runs.map(|run: Vec<(f64, f64)>| path(&run)).collect::<String>()
        };
        let bound = latest.and_then(|one| one.limit).or(absolute);
        let words = limit(lang, given, metric);
        let text = lang
            .t("release.chart.text")
            .with("name", said::metric(lang, metric))
            .with("v", short(candidate.as_str()))
            .with("value", say(latest.and_then(|one| one.value)))
            .with("w", short(stable.as_str()))
            .with("beside", say(latest.and_then(|one| one.beside)))
            .with("limit", &words);
        let hour = |at_ms: i64| if shown.is_empty() { String::new() } else { clock.hour(at_ms) };
        Self {
            name: said::metric(lang, metric),
            verdict: latest.map(|one| said::verdict(lang, one.verdict)),
            candidate: (
                short(candidate.as_str()),
                slots.slot(candidate.as_str()),
                say(latest.and_then(|one| one.value)),
            ),
            stable: (
                short(stable.as_str()),
                slots.slot(stable.as_str()),
                say(latest.and_then(|one| one.beside)),
            ),
            text: text.into(),
            candidate_line: line(|one| one.value),
            stable_line: line(|one| one.beside),
            limit_y: bound.filter(|value| value.is_finite()).map(|value| format!("{:.1}", y(value))),
            limit: words,
            beyond: latest.is_some_and(|one| one.verdict == Verdict::Fail),
            range: if shown.is_empty() {
                String::new()
            } else {
                format!("{} – {}", said::value(lang, metric, low), said::value(lang, metric, high))
            },
            from: hour(first),
            to: hour(last),
        }
    }
}

/// The values, oldest first, in runs without a gap: a look without a value ends a run, and so does a longer time
/// without any look (the release was paused, Sluice did not run, the source did not answer).
fn runs(values: impl Iterator<Item = (i64, Option<f64>)>, most_ms: i64) -> Vec<Vec<(i64, f64)>> {
    let mut runs: Vec<Vec<(i64, f64)>> = Vec::new();
    let mut before_ms = None;
    for (at_ms, value) in values {
        let Some(value) = value else {
            before_ms = None;
            continue;
        };
        match runs.last_mut().filter(|_| before_ms.is_some_and(|before| at_ms - before <= most_ms)) {
            Some(run) => run.push((at_ms, value)),
            None => runs.push(vec![(at_ms, value)]),
        }
        before_ms = Some(at_ms);
    }
    runs
}

/// A run as part of a path. One look is a dot, drawn as a short line so that it can be seen.
fn path(run: &[(f64, f64)]) -> String {
    match run {
        [(x, y)] => format!("M{:.1},{y:.1}h4", x.min(WIDE - 4.0)),
        run => {
            let points: Vec<String> = run.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            format!("M{}", points.join(" "))
        }
    }
}

/// Lowest and highest value of the picture, never the same.
fn bounds(metric: &Metric, values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut low, mut high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        (low, high) = (0.0, 1.0);
    }
    match metric {
        // Success is close to 100; nothing is above it.
        Metric::SuccessRate { .. } => {
            high = 100.0;
            low = (low - (high - low) * 0.15).clamp(0.0, 99.9);
        }
        Metric::Latency { .. } => {
            low = 0.0;
            high *= 1.15;
        }
        Metric::Custom { .. } => {
            let room = (high - low) * 0.15;
            (low, high) = (low - room, high + room);
        }
    }
    if high - low < 1e-9 { (low, low + 1.0) } else { (low, high) }
}

/// Milliseconds as a number to calculate with; a release is shorter than a century.
fn ms(of: i64) -> f64 {
    f64::from(i32::try_from(of / 100).unwrap_or(i32::MAX))
}

impl Numbers {
    /// `None` when nothing is measured.
    pub fn of(lang: Lang, given: Given<'_>) -> Option<Self> {
        let spec = &given.release.spec;
        let analysis = spec.analysis.as_ref()?;
        let row = |(at, metric): (usize, &Metric)| {
            let latest = looks(given, at).next();
            let say = |value: Option<f64>| {
                value.map_or_else(|| "–".to_owned(), |value| said::value(lang, metric, value))
            };
            let mut ticks: Vec<Verdict> = looks(given, at).take(TICKS).map(|(_, one)| one.verdict).collect();
            ticks.reverse();
            let failed = ticks.iter().filter(|verdict| **verdict == Verdict::Fail).count();
            let one = latest.map(|(_, one)| one);
            let interval = one.and_then(|one| one.interval).map(|(low, high)| {
                format!("{} – {}", said::value(lang, metric, low), said::value(lang, metric, high))
            });
            let sample =
                latest.map_or(0.0, |(look, _)| look.seen.candidate.map_or(0.0, |counts| counts.requests));
            Row {
                name: said::metric(lang, metric),
                stable: say(one.and_then(|one| one.beside)),
                candidate: say(one.and_then(|one| one.value)),
                interval,
                limit: limit(lang, given, metric),
                ticks_text: lang.count("release.chart.ticks", ticks.len()).with("failed", failed).into(),
                ticks,
                verdict: one.map(|one| said::verdict(lang, one.verdict)),
                why: one.map_or_else(String::new, |one| {
                    lang.t(&format!("release.why_judged.{}", one.why.as_str())).into()
                }),
                sample: crate::views::figures::thousands(sample),
                query: match metric {
                    Metric::Custom { query, .. } => Some(query.clone()),
                    _ => None,
                },
            }
        };
        Some(Self {
            lang,
            stable: short(spec.stable.as_str()),
            candidate: short(spec.candidate.version().as_str()),
            rows: analysis.metrics.iter().enumerate().map(row).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_where_nothing_was_measured() {
        let minute = 60_000;
        let check = |looks: &[(i64, Option<f64>)], expected: &[&[i64]]| {
            let looks = looks.iter().map(|(at, value)| (at * minute, *value));
            let runs = runs(looks, 60 * MOST_BETWEEN_MS);
            let minutes: Vec<Vec<i64>> =
                runs.iter().map(|run| run.iter().map(|(at, _)| at / minute).collect()).collect();
            assert_eq!(minutes, expected);
        };
        let at = |minute: i64| (minute, Some(1.0));
        check(&[], &[]);
        check(&[at(0), at(1), at(2)], &[&[0, 1, 2]]);
        // One look that came late is no gap; a pause of seven minutes is.
        check(&[at(0), at(2), at(9), at(10)], &[&[0, 2], &[9, 10]]);
        // A look that found nothing is a gap, too.
        check(&[at(0), (1, None), at(2)], &[&[0], &[2]]);
        check(&[(0, None), at(1), (2, None)], &[&[1]]);
    }

    #[test]
    fn a_run_is_drawn_inside_the_picture() {
        assert_eq!(path(&[(0.0, 4.0), (240.0, 76.0)]), "M0.0,4.0 240.0,76.0");
        assert_eq!(path(&[(12.0, 4.0)]), "M12.0,4.0h4");
        assert_eq!(path(&[(240.0, 4.0)]), "M236.0,4.0h4");
    }
}
