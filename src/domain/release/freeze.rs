//! Freeze windows: times in which a release takes no step forward. Written by people, read here; UTC.
//!
//! `fri 16:00-24:00`, `mon-fri,sun 22:00-06:00` (past midnight), `daily 11:30-13:00`, or once:
//! `2026-12-23T18:00Z/2027-01-02T06:00Z`.

use jiff::Timestamp;

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Windows that a release may have.
pub const MAX_WINDOWS: usize = 20;

/// One window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// From … until, milliseconds since 1970.
    Once { from_ms: i64, until_ms: i64 },
    /// On these days (Monday first), from a minute of the day to a minute of the day (of the next one, where it
    /// is not later).
    Weekly { days: [bool; 7], from: i64, until: i64 },
}

impl Window {
    /// Reads one; `None` = it cannot be meant.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 100 {
            return None;
        }
        let text = text.trim().to_ascii_lowercase();
        if let Some((from, until)) = text.split_once('/') {
            let ms = |text: &str| text.trim().parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
            let (from_ms, until_ms) =
                (moment(from).or_else(|| ms(from))?, moment(until).or_else(|| ms(until))?);
            return (from_ms < until_ms).then_some(Self::Once { from_ms, until_ms });
        }
        let (days, times) = text.split_once(' ')?;
        let (from, until) = times.trim().split_once('-')?;
        let (from, until) = (minute(from)?, minute(until)?);
        let good = from != until && from < 1440;
        good.then_some(Self::Weekly { days: days_of(days)?, from, until })
    }

    /// When it ends, milliseconds since 1970, if `now_ms` lies in it.
    pub fn until(&self, now_ms: i64) -> Option<i64> {
        match *self {
            Self::Once { from_ms, until_ms } => (from_ms..until_ms).contains(&now_ms).then_some(until_ms),
            Self::Weekly { days, from, until } => {
                let today = now_ms.div_euclid(DAY_MS);
                let length = if until > from { until - from } else { until + 1440 - from };
                [today, today - 1].into_iter().find_map(|day| {
                    // 1970 began on a Thursday.
                    let weekday = usize::try_from((day + 3).rem_euclid(7)).ok()?;
                    let begin = day * DAY_MS + from * MINUTE_MS;
                    let end = begin + length * MINUTE_MS;
                    (*days.get(weekday)? && (begin..end).contains(&now_ms)).then_some(end)
                })
            }
        }
    }
}

/// When the windows that hold now end, milliseconds since 1970; `None` = none holds. What cannot be read holds
/// nothing.
pub fn until(windows: &[String], now_ms: i64) -> Option<i64> {
    windows.iter().filter_map(|text| Window::parse(text)?.until(now_ms)).max()
}

/// How far ahead a release may be told to begin, and how long windows may hold it without a gap: 366 days,
/// milliseconds.
pub const HORIZON_MS: i64 = 366 * DAY_MS;

/// True when the windows hold from a moment on without a gap for [`HORIZON_MS`]: nothing would ever move.
pub fn holds_for_ever(windows: &[String], from_ms: i64) -> bool {
    let Some(end_ms) = from_ms.checked_add(HORIZON_MS) else { return true };
    let windows: Vec<Window> = windows.iter().filter_map(|text| Window::parse(text)).collect();
    let mut now_ms = from_ms;
    while let Some(until) = windows.iter().filter_map(|window| window.until(now_ms)).max() {
        if until >= end_ms {
            return true;
        }
        now_ms = until;
    }
    false
}

/// `2026-12-23T18:00Z`, without seconds.
fn moment(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_uppercase();
    let whole = text.strip_suffix('Z').map_or_else(|| text.clone(), |local| format!("{local}:00Z"));
    whole.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

fn minute(text: &str) -> Option<i64> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let digits = |text: &str| -> Option<i64> {
        let good = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        if good { text.parse().ok() } else { None }
    };
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    let of_day = hours * 60 + minutes;
    (minutes < 60 && of_day <= 1440).then_some(of_day)
}

fn days_of(text: &str) -> Option<[bool; 7]> {
    if text == "daily" {
        return Some([true; 7]);
    }
    let place = |day: &str| DAYS.iter().position(|known| *known == day);
    let mut out = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (place(first)?, place(last)?);
        let count = (last + 7 - first) % 7;
        for step in 0..=count {
            out[(first + step) % 7] = true;
        }
    }
    Some(out)
}
