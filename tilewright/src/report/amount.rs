//! Numbers that are exact or bounds, and sizes for people.

use polyhedral::count::Count;
use serde::Serialize;

/// A number that was counted, or a bound that it does not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// The number.
    pub value: u64,
    /// Whether it is exact; else it is an upper bound.
    pub exact: bool,
}

impl From<Count> for Amount {
    fn from(count: Count) -> Amount {
        Amount { value: count.value(), exact: count.is_exact() }
    }
}

impl Amount {
    /// `640 B`, `bound 12.5 MiB`.
    pub(super) fn bytes(self) -> String {
        let number = bytes(self.value);
        if self.exact { number } else { format!("bound {number}") }
    }

    /// So many times as large.
    pub(super) fn times(self, by: u64) -> Amount {
        match self.value.checked_mul(by) {
            Some(value) => Amount { value, ..self },
            None => Amount { value: u64::MAX, exact: false },
        }
    }

    /// The sum, exact when both are.
    pub(super) fn plus(self, other: Amount) -> Amount {
        let (value, overflows) = self.value.overflowing_add(other.value);
        let exact = self.exact && other.exact && !overflows;
        Amount { value: if overflows { u64::MAX } else { value }, exact }
    }
}

/// Rounded down to a tenth of its unit, which is such that four digits are before the point at most.
pub(super) fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (0..units.len() - 1).find(|unit| count >> (10 * unit) < 10_000).unwrap_or(units.len() - 1);
    let whole = count >> (10 * unit);
    match unit {
        0 => format!("{whole} B"),
        _ => format!("{whole}.{} {}", (count >> (10 * (unit - 1))) % 1024 * 10 / 1024, units[unit]),
    }
}

/// A number with at most one digit behind the point, or two where it is below 1: `16`, `85.3`, `0.03`.
pub(super) fn decimal(value: f64) -> String {
    let text = if value < 0.95 { format!("{value:.2}") } else { format!("{value:.1}") };
    let text = text.strip_suffix('0').filter(|short| short.contains('.')).unwrap_or(&text).to_string();
    text.trim_end_matches('.').trim_end_matches(".0").to_string()
}

/// A time with three digits: `9.87 ms`.
pub(super) fn seconds(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1e-6 => (s * 1e9, "ns"),
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn sizes_have_a_unit() {
        let all = [0, 9_999, 10_000, 10_239_999, 10_240_000, u64::MAX].map(bytes);
        expect!["0 B, 9999 B, 9.7 KiB, 9999.9 KiB, 9.7 MiB, 16777215.9 TiB"].assert_eq(&all.join(", "));
        let bound = Amount { value: 4096, exact: false };
        assert_eq!(bound.bytes(), "bound 4096 B");
        assert_eq!(
            [16.0, 85.33, 0.034, 0.5, 0.0, 0.97, 100.0].map(decimal),
            ["16", "85.3", "0.03", "0.5", "0", "1", "100"]
        );
        assert_eq!([2e-9, 1.234e-5, 0.0987, 3.0].map(seconds), ["2.00 ns", "12.3 µs", "98.7 ms", "3.00 s"]);
    }

    #[test]
    fn what_overflows_is_a_bound() {
        let most = Amount { value: u64::MAX, exact: true };
        assert_eq!(most.times(2), Amount { value: u64::MAX, exact: false });
        assert_eq!(most.plus(Amount { value: 1, exact: true }), Amount { value: u64::MAX, exact: false });
    }
}
