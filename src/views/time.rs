//! Points in time and durations, written in a language. `now` always comes from the caller.

use askama::Template;
use askama::filters::HtmlSafe;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::lang::Lang;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How a person reads clocks: the language, and the browser's offset from UTC (the `tz` cookie, in minutes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clockface {
    pub lang: Lang,
    pub offset_min: i16,
}

impl Clockface {
    /// Reads the `tz` cookie; anything that is no offset of a real place means UTC.
    pub fn new(lang: Lang, tz: Option<&str>) -> Self {
        let minutes =
            tz.and_then(|tz| tz.parse::<i16>().ok()).filter(|min| (-14 * 60..=14 * 60).contains(min));
        Self { lang, offset_min: minutes.unwrap_or(0) }
    }

    /// `UTC`, `UTC+8`, `UTC-3:30`.
    pub fn zone(self) -> String {
        let (sign, minutes) = (if self.offset_min < 0 { '-' } else { '+' }, self.offset_min.unsigned_abs());
        match (minutes / 60, minutes % 60) {
            (0, 0) => "UTC".to_owned(),
            (hours, 0) => format!("UTC{sign}{hours}"),
            (hours, rest) => format!("UTC{sign}{hours}:{rest:02}"),
        }
    }

    fn format(self, at_ms: i64, pattern: &str) -> String {
        let Ok(at) = Timestamp::from_millisecond(at_ms) else { return "–".to_owned() };
        let offset = Offset::from_seconds(i32::from(self.offset_min) * 60).unwrap_or(Offset::UTC);
        at.to_zoned(TimeZone::fixed(offset)).strftime(pattern).to_string()
    }

    /// `2026-11-20 14:23:19`, in the person's zone.
    pub fn exact(self, at_ms: i64) -> String {
        self.format(at_ms, "%Y-%m-%d %H:%M:%S")
    }

    /// `14:23`, in the person's zone.
    pub fn hour(self, at_ms: i64) -> String {
        self.format(at_ms, "%H:%M")
    }

    /// Reads `2026-11-20T22:00` as this person means it; milliseconds since 1970.
    pub fn read_local(self, text: &str) -> Option<i64> {
        let at = text.parse::<jiff::civil::DateTime>().ok()?;
        let offset = Offset::from_seconds(i32::from(self.offset_min) * 60).ok()?;
        Some(at.to_zoned(TimeZone::fixed(offset)).ok()?.timestamp().as_millisecond())
    }

    /// `14:23:19`, in the person's zone.
    pub fn second(self, at_ms: i64) -> String {
        self.format(at_ms, "%H:%M:%S")
    }

    /// The moment as it is shown in lists: *4 min ago* below a day, *12 d ago* above, exact time as title.
    pub fn moment(self, at_ms: i64, now_ms: i64) -> Moment {
        let iso = Timestamp::from_millisecond(at_ms).map(|at| at.to_string()).unwrap_or_default();
        Moment {
            iso,
            exact: format!("{} {}", self.exact(at_ms), self.zone()),
            ago: ago(self.lang, at_ms, now_ms),
        }
    }
}

/// A moment relative to now. The browser keeps `ago` up to date from `iso`.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<time datetime="{{ iso }}" title="{{ exact }}" data-ago>{{ ago }}</time>"#
)]
pub struct Moment {
    pub iso: String,
    pub exact: String,
    pub ago: String,
}

impl HtmlSafe for Moment {}

/// *now*, *4 min ago*, *3 h ago*, *12 d ago*.
pub fn ago(lang: Lang, at_ms: i64, now_ms: i64) -> String {
    match (now_ms - at_ms).max(0) {
        past if past < 10_000 => lang.t("time.now").into(),
        past => lang.t("time.ago").with("span", span(lang, past)).into(),
    }
}

/// How long something took: *34 ms*, *4.2 s*, then as [`span`].
pub fn lasted(lang: Lang, ms: i64) -> String {
    match ms.max(0) {
        ms if ms < 1_000 => lang.t("time.milliseconds").with("n", ms).into(),
        ms if ms < 10_000 => {
            lang.t("time.seconds").with("n", format!("{}.{}", ms / 1_000, ms % 1_000 / 100)).into()
        }
        ms => span(lang, ms),
    }
}

/// A stretch of time in its largest whole unit: *45 s*, *4 min*, *3 h*, *12 d*.
pub fn span(lang: Lang, ms: i64) -> String {
    let (unit, n) = match ms.max(0) {
        ms if ms < MINUTE => ("time.s", ms / 1_000),
        ms if ms < HOUR => ("time.min", ms / MINUTE),
        ms if ms < DAY => ("time.h", ms / HOUR),
        ms => ("time.d", ms / DAY),
    };
    lang.t(unit).with("n", n).into()
}
