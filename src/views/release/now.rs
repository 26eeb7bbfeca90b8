//! Where the release stands: share, timer, analysis. The timer is counted down by the browser from the
//! deadline; the server's time wins at each event.

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Given, past, said};
use crate::domain::release::state::Stage;
use crate::domain::release::{Metric, PauseReason, Phase, Step, Verdict};
use crate::domain::service::Version;
use crate::views::bars::short;
use crate::views::figures::thousands;
use crate::views::lang::Lang;
use crate::views::time::Clockface;

/// Three figures.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/now.html")]
pub struct Now {
    pub lang: Lang,
    pub share_label: String,
    pub share: String,
    pub observed: String,
    /// What the new version gets besides its share: requests by a rule, copies.
    pub besides: Vec<String>,
    pub timer: Timer,
    pub analysis: Option<(String, String)>,
}

impl HtmlSafe for Now {}

/// What it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    pub label: String,
    /// `06:12`, or a word when nothing counts down.
    pub shown: String,
    /// Milliseconds since 1970, when something counts down.
    pub due_ms: Option<i64>,
    /// How long the whole wait is, milliseconds.
    pub whole_ms: Option<i64>,
    /// How far it is, percent.
    pub done: Option<u8>,
    pub below: String,
}

impl Now {
    pub fn of(clock: Clockface, now_ms: i64, given: Given<'_>) -> Self {
        let (lang, release) = (clock.lang, given.release);
        let spec = &release.spec;
        let candidate = short(release.candidate().as_str());
        let seen = given.overview.and_then(|item| item.observed.as_ref());
        let observed = match seen {
            // The record of an end is no place for what is seen now.
            _ if release.state.phase.is_final() => lang.t("release.now.at_end").to_string(),
            None => lang.t("traffic.no_metrics").to_string(),
            Some(seen) if seen.requests() <= 0.0 => lang.t("traffic.no_requests").into(),
            Some(seen) if seen.too_few() => lang.t("traffic.too_few").into(),
            Some(seen) => {
                let share = seen.share(release.candidate().as_str()).unwrap_or_default();
                lang.t("release.now.observed").with("n", format!("{share:.1}")).into()
            }
        };
        let analysis = spec.analysis.as_ref().map(|analysis| {
            let latest = given.judgements.first();
            let all = analysis.metrics.len();
            let passed = latest.map_or(0, |look| {
                look.metrics.iter().filter(|metric| metric.verdict == Verdict::Pass).count()
            });
            let below = match latest {
                None => lang.t("release.now.no_look").to_string(),
                Some(look) => {
                    let requests = look.seen.counted(analysis.min_requests);
                    let word = said::verdict(lang, look.verdict).text;
                    lang.count("release.now.latest", thousands(requests)).with("verdict", word).into()
                }
            };
            let shown = if latest.is_some() {
                let all = lang.count("release.now.measures", all);
                lang.count("release.now.passing", passed).with("all", all).into()
            } else {
                "–".to_owned()
            };
            (shown, below)
        });
        Self {
            lang,
            share_label: lang.t("release.now.on").with("v", &candidate).into(),
            share: if release.state.ended_by_pods && release.state.phase.is_final() {
                lang.t("release.now.about").with("n", release.share()).into()
            } else {
                format!("{}%", release.share())
            },
            observed,
            // At the end the record has the split; rule and copies are gone by then. What is spread by pods is not.
            besides: {
                let aim = (!release.state.phase.is_final()).then_some(&release.state.aim);
                let own = aim.map(|aim| said::besides(lang, &candidate, aim)).unwrap_or_default();
                own.into_iter().chain(past::share(lang, release, given.overview)).collect()
            },
            timer: Timer::of(clock, now_ms, given),
            analysis,
        }
    }
}

/// The new version, while pods of it are waited for.
fn lacking(given: Given<'_>) -> Option<&Version> {
    let versions = &given.overview?.snapshot.versions;
    let mut lacking = given.release.lacking(versions).into_iter();
    lacking.find(|version| version.name == *given.release.candidate() && version.ready < version.total)
}

/// What the verdict still waits for, with the numbers of requests while these are too few.
fn lacking_requests(lang: Lang, given: Given<'_>) -> String {
    let counted = given.release.spec.analysis.as_ref().and_then(|analysis| {
        let by_requests = |metric: &Metric| !matches!(metric, Metric::Custom { .. });
        let asks = analysis.metrics.iter().any(by_requests);
        let look = given.judgements.first().filter(|look| asks && look.step == given.release.state.step)?;
        let counted = look.seen.counted(analysis.min_requests);
        (counted < f64::from(analysis.min_requests)).then_some((counted, analysis.min_requests))
    });
    match counted {
        None => lang.t("release.now.verdict_more").into(),
        Some((counted, least)) => lang
            .t("release.now.verdict_few")
            .with("n", thousands(counted))
            .with("least", thousands(f64::from(least)))
            .into(),
    }
}

impl Timer {
    fn of(clock: Clockface, now_ms: i64, given: Given<'_>) -> Self {
        let (lang, release) = (clock.lang, given.release);
        let (spec, state) = (&release.spec, &release.state);
        let still = |label: &str, shown: String, below: String| Self {
            label: lang.t(label).into(),
            shown,
            due_ms: None,
            whole_ms: None,
            done: None,
            below,
        };
        let word = |key: &str| lang.t(key).to_string();
        let whole_ms = match spec.steps.get(state.step) {
            Some(Step::Hold { seconds }) => i64::try_from(*seconds).ok().and_then(|s| s.checked_mul(1_000)),
            _ => None,
        };
        // What the next step waits for, where it is another wait.
        let waits_for = match spec.steps.get(state.step.saturating_add(1)) {
            _ if state.phase != Phase::Running => None,
            Some(Step::Approval) => Some("release.now.approval_from"),
            Some(Step::Analysis { .. }) => Some("release.now.verdict_from"),
            _ => None,
        };
        let percent = |left: i64| {
            let whole = whole_ms.filter(|whole| *whole > 0)?;
            u8::try_from(((whole - left).clamp(0, whole)) * 100 / whole).ok()
        };
        match state.phase {
            Phase::Paused if state.pause_reason() == Some(PauseReason::Gate) => {
                still("release.now.then", word("release.now.approval"), word("release.now.gate"))
            }
            Phase::Paused if state.unapproved => {
                still("release.now.then", word("release.now.approval"), word("release.now.steps_changed"))
            }
            Phase::Paused => match state.paused.as_ref().and_then(|paused| paused.left_ms) {
                Some(left) => {
                    let below = word("release.now.stopped");
                    Self { done: percent(left), ..still("release.now.left", said::countdown(left), below) }
                }
                None => still("release.now.then", word("release.phase.paused"), word("release.now.stopped")),
            },
            // The time is over, and a pass is still waited for: nothing counts down any more.
            Phase::Running if spec.analysis.is_some() && state.due_ms.is_some_and(|due| due <= now_ms) => {
                still("release.now.then", word("release.now.verdict"), lacking_requests(lang, given))
            }
            Phase::Running | Phase::Scheduled => match (state.due_ms, state.stage) {
                (Some(due), _) => Self {
                    label: word(match state.phase {
                        Phase::Scheduled => "release.now.starts",
                        _ if waits_for.is_some() => "release.now.left",
                        _ => "release.now.next",
                    }),
                    shown: said::countdown(due - now_ms),
                    due_ms: Some(due),
                    whole_ms,
                    done: percent(due - now_ms),
                    below: lang.t(waits_for.unwrap_or("release.now.at")).with("time", clock.hour(due)).into(),
                },
                (None, Stage::Gate) => {
                    still("release.now.then", word("release.now.verdict"), lacking_requests(lang, given))
                }
                (None, Stage::Preflight | Stage::Converging) if let Some(version) = lacking(given) => still(
                    "release.now.then",
                    word("release.now.pods"),
                    lang.t("release.now.pods_more")
                        .with("v", short(version.name.as_str()))
                        .with("n", version.ready)
                        .with("of", version.total)
                        .into(),
                ),
                (None, other) => {
                    let key = match other {
                        Stage::Preflight => "preflight",
                        Stage::Applying => "applying",
                        _ => "converging",
                    };
                    still("release.now.then", word("release.now.soon"), word(&format!("release.now.{key}")))
                }
            },
            phase if phase.is_final() => {
                let took = said::took(lang, release, now_ms).unwrap_or_else(|| "–".to_owned());
                still("release.now.took", took, said::state_word(lang, state))
            }
            phase => still("release.now.then", word("release.now.soon"), said::phase(lang, phase)),
        }
    }
}
