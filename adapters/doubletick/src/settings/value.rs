//! How values are written.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use doubletick_core::time::Millis;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A whole number within a range.
pub(super) fn number<T: FromStr + PartialOrd>(text: &str, range: RangeInclusive<T>) -> Option<T> {
    text.parse().ok().filter(|number| range.contains(number))
}

/// A number of milliseconds, seconds, minutes, hours or days, such as `500ms` or `2m`, within a range.
pub(super) fn length(text: &str, range: RangeInclusive<Millis>) -> Option<Millis> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let length = Millis(number.parse::<u64>().ok()?.checked_mul(*millis)?);
    range.contains(&length).then_some(length)
}

/// A length as [`length`] reads it, in the greatest unit that fits.
pub(super) fn show_length(Millis(length): Millis) -> toml::Value {
    let (unit, millis) = UNITS.iter().rev().find(|(_, millis)| length % millis == 0 && length >= *millis).unwrap_or(&UNITS[1]);
    toml::Value::String(format!("{}{unit}", length / millis))
}

/// A number as a file holds it.
pub(super) fn show_number(number: impl TryInto<i64>) -> toml::Value {
    toml::Value::Integer(number.try_into().unwrap_or(i64::MAX))
}

/// Anything else as a file holds it.
pub(super) fn show_text(text: impl Display) -> toml::Value {
    toml::Value::String(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_shown() {
        let any = Millis(0)..=Millis(u64::MAX);
        for (text, millis) in [("500ms", 500), ("10s", 10_000), ("90s", 90_000), ("2m", 120_000), ("1h", 3_600_000), ("1d", 86_400_000)] {
            assert_eq!(length(text, any.clone()), Some(Millis(millis)), "{text}");
            assert_eq!(show_length(Millis(millis)).as_str(), Some(text));
        }
        assert_eq!(show_length(Millis(0)).as_str(), Some("0s"));
        for text in ["", "10", "s", "1.5s", "-1s", "1 s", "1w", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(length(text, any.clone()), None, "{text}");
        }
    }

    #[test]
    fn ranges_hold_at_both_ends() {
        assert_eq!(["0", "1", "5", "6", "x", ""].map(|text| number(text, 1..=5).is_some()), [false, true, true, false, false, false]);
        assert!(length("1s", Millis(1_000)..=Millis(2_000)).is_some() && length("999ms", Millis(1_000)..=Millis(2_000)).is_none());
    }
}
