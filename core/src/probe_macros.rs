//! What stands at the sites of planted bugs and coverage marks: nothing, unless the feature `probes` is on.

/// Whether a bug of `probe::Bug` is planted in this run, where it matters: `planted!(Name)`, or `planted!(Name if condition)`.
#[cfg(feature = "probes")]
macro_rules! planted {
    ($bug:ident) => {
        planted!($bug if true)
    };
    ($bug:ident if $matters:expr) => {
        ($crate::probe::is_planted($crate::probe::Bug::$bug) && $matters && $crate::probe::reached())
    };
}

#[cfg(not(feature = "probes"))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
    ($bug:ident if $matters:expr) => {
        (false && $matters)
    };
}

/// Counts that a branch of `probe::Mark` was taken: `mark!(Name)`, or `mark!(Name if condition)`.
#[cfg(feature = "probes")]
macro_rules! mark {
    ($mark:ident) => {
        $crate::probe::count($crate::probe::Mark::$mark)
    };
    ($mark:ident if $taken:expr) => {
        if $taken {
            mark!($mark);
        }
    };
}

#[cfg(not(feature = "probes"))]
macro_rules! mark {
    ($mark:ident) => {};
    ($mark:ident if $taken:expr) => {
        let _ = false && $taken;
    };
}
