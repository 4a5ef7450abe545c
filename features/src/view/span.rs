//! Spans of time: `"90d"`, `"48h"`, `"15m"`, `"30s"`.

use tarim_datamart::{At, Problems};

const UNITS: [(char, i64); 4] =
    [('d', 86_400_000_000), ('h', 3_600_000_000), ('m', 60_000_000), ('s', 1_000_000)];

/// Microseconds of a span, which is longer than nothing.
pub fn parse_span(text: &At<String>, problems: &mut Problems) -> Option<i64> {
    let parsed = || {
        let unit = text.value.chars().next_back()?;
        let (_, us) = UNITS.iter().find(|(u, _)| *u == unit)?;
        let number = &text.value[..text.value.len() - 1];
        let number: i64 = number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok())??;
        number.checked_mul(*us).filter(|us| *us > 0)
    };
    let us = parsed();
    if us.is_none() {
        problems.push(text.place.problem(
            format!("`{}` is no span of time", text.value),
            "write a whole number and its unit, such as \"90d\", \"48h\", \"15m\" or \"30s\"",
        ));
    }
    us
}

/// A span for people, in its greatest unit that fills at least two (`47h`, not `1d`).
pub fn show_span(us: i64) -> String {
    let sign = if us < 0 { "-" } else { "" };
    let us = us.saturating_abs();
    let (unit, length) = UNITS.iter().find(|(_, length)| us >= 2 * length).unwrap_or(&UNITS[3]);
    format!("{sign}{}{unit}", us / length)
}
