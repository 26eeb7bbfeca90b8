//! Figures in words: counts, rates, shares and durations, the same on every page. Pure.

use super::lang::Lang;

/// A success rate below this is shown as bad.
pub const POOR: f64 = 0.99;

/// `12,337`: a count with its thousands apart, the same in both languages.
pub fn thousands(count: f64) -> String {
    // The sum of nothing is -0.
    let digits = format!("{:.0}", count.max(0.0) + 0.0);
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `118.4`, `0.25`: requests a second.
pub fn rate(per_second: f64) -> String {
    if per_second >= 1_000.0 {
        thousands(per_second)
    } else if per_second >= 10.0 || per_second == 0.0 {
        format!("{per_second:.1}")
    } else {
        format!("{per_second:.2}")
    }
}

/// `99.97%`, never rounded up to a perfect score.
pub fn success_rate(share: f64) -> String {
    format!("{:.2}%", (share * 10_000.0).floor() / 100.0)
}

/// `38 ms`, `1.2 s`; what is shorter than one is `< 1 ms`, never nothing.
pub fn duration(lang: Lang, ms: f64) -> String {
    if ms < 1.0 {
        lang.t("time.milliseconds").with("n", "< 1").into()
    } else if ms >= 1_000.0 {
        lang.t("time.seconds").with("n", format!("{:.1}", ms / 1_000.0)).into()
    } else {
        lang.t("time.milliseconds").with("n", format!("{ms:.0}")).into()
    }
}
