//! Coverage marks: rare branches of the core, counted in builds with the feature `probes`. Others know no mark.

/// A mark, as its documentation has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its name.
    pub(crate) name: &'static str,
    /// What has happened where it stands.
    pub(crate) what: &'static str,
}

/// Every mark that this build knows, in the order of their counts.
#[cfg(feature = "probes")]
pub(crate) fn known() -> Vec<Known> {
    doubletick_core::probe::Mark::ALL.into_iter().map(|mark| Known { name: mark.name(), what: mark.what() }).collect()
}

/// Every mark that this build knows, in the order of their counts.
#[cfg(not(feature = "probes"))]
pub(crate) fn known() -> Vec<Known> {
    Vec::new()
}

/// How often this thread has passed each mark since this was last asked.
#[cfg(feature = "probes")]
pub(crate) fn take() -> Vec<u64> {
    doubletick_core::probe::take_marks().into()
}

/// How often this thread has passed each mark since this was last asked.
#[cfg(not(feature = "probes"))]
pub(crate) fn take() -> Vec<u64> {
    Vec::new()
}

/// Adds counts to others.
pub(crate) fn add(sum: &mut Vec<u64>, counts: &[u64]) {
    sum.resize(sum.len().max(counts.len()), 0);
    sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
}
