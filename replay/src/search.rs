//! Delta debugging (Zeller, Hildebrandt: "Simplifying and isolating failure-inducing input", 2002).

/// What of a list still fails when runs of it are left out, first halves and then shorter ones down to one of `parts` of it, or to single
/// things: then no single thing can be left out any more, provided that `fails` does not run out of patience. The same arguments give the
/// same result.
///
/// Each length is tried from the beginning of what is left to its end, without starting over where something could be left out: of n things
/// of which k are needed, that asks about 2 k log n times.
pub(crate) fn least<T: Clone>(all: &[T], parts: usize, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    if fails(&[]) {
        return Vec::new();
    }
    let mut left = all.to_vec();
    let shortest = all.len().div_ceil(parts).max(1);
    let mut size = all.len().div_ceil(2);
    loop {
        let before = left.len();
        let mut at = 0;
        while at < left.len() {
            let rest = [&left[..at], &left[(at + size).min(left.len())..]].concat();
            // That nothing fails is known already.
            if !rest.is_empty() && fails(&rest) {
                left = rest;
            } else {
                at += size;
            }
        }
        if size > shortest {
            size = size.div_ceil(2).max(shortest);
        } else if size > 1 || left.len() == before {
            return left;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::least;

    #[test]
    fn what_is_needed_is_left_and_nothing_else() {
        let all: Vec<u32> = (0..1000).collect();
        let mut asked = 0;
        let left = least(&all, usize::MAX, |some| {
            asked += 1;
            [17, 400, 999].iter().all(|needed| some.contains(needed))
        });
        assert_eq!(left, [17, 400, 999]);
        assert!(asked < 100, "{asked}");
        assert_eq!(least(&all, usize::MAX, |_| true), [0_u32; 0]);
        assert_eq!(least(&[5], usize::MAX, |some| some == [5]), [5]);
        assert_eq!(least(&[1, 2], usize::MAX, |some| some.len() == 2), [1, 2]);
        let coarse = least(&all, 10, |some| [17, 999].iter().all(|needed| some.contains(needed)));
        assert!(coarse.contains(&17) && coarse.contains(&999) && (2..=200).contains(&coarse.len()), "{coarse:?}");
    }
}
