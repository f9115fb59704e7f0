//! Delta debugging (Zeller, Hildebrandt: "Simplifying and isolating failure-inducing input", 2002).

/// The least of a list that still fails, in the sense that no single thing of it can be left out any more, provided that `fails` does not
/// run out of patience. The same arguments give the same result.
pub(crate) fn least<T: Clone>(all: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut left = all.to_vec();
    if fails(&[]) {
        return Vec::new();
    }
    let mut parts = 2;
    while left.len() >= 2 {
        let size = left.len().div_ceil(parts);
        let without = |nth: usize| {
            let (from, to) = (nth * size, ((nth + 1) * size).min(left.len()));
            [&left[..from], &left[to..]].concat()
        };
        let count = left.len().div_ceil(size);
        // Of two halves, each is what remains without the other.
        match (0..count).rev().map(without).find(|rest| fails(rest)) {
            Some(rest) => {
                left = rest;
                parts = (parts - 1).max(2);
            }
            None if size == 1 => break,
            None => parts = (2 * parts).min(left.len()),
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::least;

    #[test]
    fn what_is_needed_is_left_and_nothing_else() {
        let all: Vec<u32> = (0..1000).collect();
        let mut asked = 0;
        let left = least(&all, |some| {
            asked += 1;
            [17, 400, 999].iter().all(|needed| some.contains(needed))
        });
        assert_eq!(left, [17, 400, 999]);
        assert!(asked < 200, "{asked}");
        assert_eq!(least(&all, |_| true), [0_u32; 0]);
        assert_eq!(least(&[5], |some| some == [5]), [5]);
        assert_eq!(least(&[1, 2], |some| some.len() == 2), [1, 2]);
    }
}
