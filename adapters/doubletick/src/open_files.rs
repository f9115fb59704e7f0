//! How many files, and so how many sockets, this process may open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that the program needs beside its connections, generously.
const OTHERS: u64 = 128;

/// Raises the limit as far as the system lets this process raise it, and returns it.
pub(crate) fn raise_limit() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            before
        }
    };
    limit.current.unwrap_or(u64::MAX)
}

/// How many connections fit under a limit of open files, if those wanted do not.
pub(crate) fn too_few_for(connections: usize, limit: u64) -> Option<u64> {
    let wanted = (connections as u64).saturating_add(OTHERS);
    (limit < wanted).then(|| limit.saturating_sub(OTHERS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_at_least_what_it_was() {
        let before = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(raise_limit() >= before);
    }

    #[test]
    fn a_limit_that_is_too_low_is_told_with_what_fits() {
        assert_eq!(too_few_for(1_000, 1_024), Some(896));
        assert_eq!(too_few_for(1_000, 4_096), None);
        assert_eq!(too_few_for(1_000, 100), Some(0));
    }
}
