//! Time on a core.

use std::time::Duration;

/// How long this thread has been on a core: what else the machine does is no part of it. Linux says it.
pub(crate) fn on_core() -> Duration {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux says it");
    Duration::from_nanos(said.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("it is a number"))
}
