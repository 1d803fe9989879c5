//! Lists of small numbers as short texts.

use serde::Serialize;

/// What stands for the digits from 0 to 63. None of them means anything in JSON or HTML.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// A list of numbers: each is `low` plus a number of so many digits to the base 64, the highest one first. Numbers that are
/// all the same have none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// The least of them.
    pub low: i64,
    /// Digits of each.
    pub width: usize,
    /// The digits of all of them; empty when they are all the same.
    pub text: String,
}

impl Column {
    /// The column that holds `numbers`.
    pub fn of(numbers: impl IntoIterator<Item = i64>) -> Column {
        let numbers: Vec<i64> = numbers.into_iter().collect();
        let low = numbers.iter().copied().min().unwrap_or(0);
        let above = |number: i64| number.wrapping_sub(low) as u64;
        let most = numbers.iter().map(|&number| above(number)).max().unwrap_or(0);
        let width = (u64::BITS - most.leading_zeros()).div_ceil(6) as usize;
        let mut text = String::with_capacity(width * numbers.len());
        for number in numbers {
            let digit = |place: usize| DIGITS[(above(number) >> (6 * place)) as usize % 64] as char;
            text.extend((0..width).rev().map(digit));
        }
        Column { low, width, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the page reads it.
    fn read(Column { low, width, text }: &Column, count: usize) -> Vec<i64> {
        let digit = |one: &u8| DIGITS.iter().position(|known| known == one).expect("a digit") as i64;
        let number =
            |at: usize| text.as_bytes()[at * width..][..*width].iter().fold(0, |sum, one| 64 * sum + digit(one));
        (0..count).map(|at| low + number(at)).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut random = fastrand::Rng::with_seed(7);
        for most in [0, 1, 63, 64, 4095, 4096, 1 << 40] {
            let numbers: Vec<i64> = (0..50).map(|_| random.i64(-most..=most)).collect();
            assert_eq!(read(&Column::of(numbers.clone()), 50), numbers, "up to {most}");
        }
        assert_eq!(Column::of([]), Column { low: 0, width: 0, text: String::new() });
        assert_eq!(Column::of([5, 5]).text, "");
    }
}
