//! Which known name somebody may have meant.

/// The known name that takes the fewest changes to make; of several such the first.
///
/// # Panics
/// If nothing is known.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> &'a str {
    known.into_iter().min_by_key(|known| distance(name, known)).expect("something is known")
}

/// Letters to put in, take out or replace (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut before = core::mem::replace(&mut row[0], line + 1);
        for (column, against) in other.iter().enumerate() {
            let replaced = before + usize::from(letter != *against);
            before = row[column + 1];
            row[column + 1] = replaced.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_changes() {
        for (one, other, changes) in [("", "", 0), ("abc", "abc", 0), ("", "abc", 3), ("abc", "ac", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(one, other), changes);
            assert_eq!(distance(other, one), changes);
        }
    }

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        let known = ["users", "devices", "gateways"];
        for (name, meant) in [("user", "users"), ("divices", "devices"), ("gate_ways", "gateways"), ("users", "users")] {
            assert_eq!(nearest(name, known), meant);
        }
    }
}
