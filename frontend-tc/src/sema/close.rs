//! Names that may have been meant.

/// The name among `candidates` that differs from `word` by one slip: a letter more, less, other, or two swapped.
/// Words under three letters have too many neighbours to say anything.
pub fn close<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut candidates: Vec<&str> = candidates.filter(|candidate| is_close(word, candidate)).collect();
    candidates.sort_unstable();
    candidates.first().copied()
}

fn is_close(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().min(b.len()) < 3 || a == b {
        return false;
    }
    if a.eq_ignore_ascii_case(b) {
        return true;
    }
    let same_start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[same_start..], &b[same_start..]);
    let same_end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[..a.len() - same_end], &b[..b.len() - same_end]);
    match (a, b) {
        ([_], [_]) | ([_], []) | ([], [_]) => true,
        ([p, q], [r, s]) => p == s && q == r,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_close() {
        let names = ["weight", "bias", "N"];
        let find = |word| close(word, names.into_iter());
        assert_eq!(find("wieght"), Some("weight"));
        assert_eq!(find("weigt"), Some("weight"));
        assert_eq!(find("biass"), Some("bias"));
        assert_eq!(find("Bias"), Some("bias"));
        assert_eq!(find("n"), None);
        assert_eq!(find("height"), Some("weight"));
        assert_eq!(find("hieght"), None);
    }
}
