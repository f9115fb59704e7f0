//! What every store must do, as tests that each implementer runs.
//!
//! An implementer says how to get an empty store ([`Harness`]) and names it to [`conformance!`](crate::conformance!), which makes one
//! test per property, named as a sentence. Nothing here knows what kind of store it is. A property that needs things to happen at the same
//! time hands its tasks to the harness, so a simulator can run them in its own time and order.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::Store;

pub use crate::waiting::{block_on, wait_for};
pub use alone::*;
pub use history::*;
pub use pure::{AllRows, Pure, Reads, commit, durable, quick};
pub use random::Random;
pub use together::*;

mod alone;
mod history;
mod pure;
mod random;
mod together;

/// Something that runs until it is done.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How the suite gets a store, and how it lets things happen.
pub trait Harness {
    /// The store that is tested.
    type Store: Store;

    /// A store with no rows.
    fn store(&self) -> Self::Store;

    /// Runs tasks at the same time until all are done. Panics if one does.
    ///
    /// Unless told otherwise, each has a thread.
    fn drive(&self, tasks: Vec<Task>) {
        let threads: Vec<_> = tasks.into_iter().map(|task| std::thread::spawn(|| block_on(task))).collect();
        let ended: Vec<_> = threads.into_iter().map(std::thread::JoinHandle::join).collect();
        if let Some(panic) = ended.into_iter().find_map(Result::err) {
            std::panic::resume_unwind(panic);
        }
    }

    /// Whether a bell rings within a time in which this store, undisturbed, always rings it.
    fn rings(&self, bell: <Self::Store as Store>::Bell) -> bool {
        wait_for(bell, Some(Duration::from_secs(20))).is_some()
    }

    /// How many times more than usual to repeat what is left to chance.
    fn effort(&self) -> u64 {
        1
    }
}

/// Makes a test of each property for the store of this [`Harness`], an expression that is evaluated in each test.
#[macro_export]
macro_rules! conformance {
    ($harness:expr) => {
        $crate::conformance! { $harness;
            a_value_is_read_back_and_a_cleared_row_is_gone
            the_last_write_of_a_row_in_a_transaction_prevails
            maximum_and_sum_start_from_nothing_and_take_eight_bytes_of_anything_for_a_number
            a_scan_keeps_to_its_bounds_its_limit_and_its_direction
            what_was_answered_is_seen_by_whoever_comes_next
            the_largest_values_keys_and_transactions_are_kept
            what_is_too_large_panics_where_it_was_submitted_and_writes_nothing
            a_panic_in_a_transaction_is_raised_where_it_was_submitted
            what_a_read_names_is_fetched_however_long_the_chain
            a_bell_armed_before_a_commit_rings_after_it
            every_random_history_agrees_with_a_plain_map
            a_commit_is_seen_whole_or_not_at_all
            no_increment_is_lost_and_none_is_counted_twice
            sums_and_maxima_of_many_come_out_right
            two_that_each_read_what_the_other_writes_do_not_both_win
            a_sender_sees_the_session_or_the_session_sees_the_message
            a_reader_never_sees_less_than_was_answered_before_it_began
            a_dropped_future_leaves_all_or_nothing
            transfers_are_one_after_the_other_in_real_time
        }
    };
    ($harness:expr; $($property:ident)*) => {
        $(
            #[test]
            fn $property() {
                $crate::conformance::$property(&$harness);
            }
        )*
    };
}
