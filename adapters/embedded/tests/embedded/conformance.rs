//! The suite that every store runs.

use std::sync::atomic::{AtomicU64, Ordering};

use doubletick_embedded::{Embedded, Options};
use doubletick_store::conformance::Harness;

use crate::disk::Disk;
use crate::temporary::Temporary;

/// In a directory, as a server has it.
struct InDirectory(Temporary, AtomicU64);

impl Harness for InDirectory {
    type Store = Embedded;

    fn store(&self) -> Embedded {
        let number = self.1.fetch_add(1, Ordering::Relaxed);
        Embedded::open(self.0.path().join(number.to_string()), Options::default()).expect("it opens")
    }
}

/// On a disk in memory, with batches and logs so small that there is always one that is full.
struct Cramped;

impl Harness for Cramped {
    type Store = Embedded;

    fn store(&self) -> Embedded {
        Embedded::open_files(Disk::new(0), cramped()).expect("it opens")
    }

    fn effort(&self) -> u64 {
        2
    }
}

pub(crate) fn cramped() -> Options {
    let mut options = Options::default();
    options.queue = 2;
    options.batch_transactions = 3;
    options.batch_bytes = 2000;
    options.log_bytes = 20_000;
    options.tree_cache = 0;
    options.retry = std::time::Duration::ZERO;
    options
}

mod in_a_directory {
    use super::*;
    doubletick_store::conformance!(InDirectory(Temporary::new(), AtomicU64::new(0)));
}

mod with_hardly_any_room {
    use super::*;
    doubletick_store::conformance!(Cramped);
}
