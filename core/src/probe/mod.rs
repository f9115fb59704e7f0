//! Planted bugs and coverage marks: how the simulator proves that it would notice, and that it goes where bugs hide.
//!
//! A bug is declared once, in the table of [`Bug`], and planted by `planted!(Name)` in the condition of the wrong branch; a mark is declared
//! in [`Mark`] and stands as `mark!(Name)` in a rare branch. Both count for the thread that runs them, so worlds that run side by side do
//! not see each other's.

mod bugs;
mod marks;

pub use bugs::{About, Bug};
pub use marks::Mark;

use core::cell::Cell;

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    static REACHED: Cell<u64> = const { Cell::new(0) };
    static MARKED: [Cell<u64>; Mark::ALL.len()] = const { [const { Cell::new(0) }; Mark::ALL.len()] };
}

/// Runs something with a bug planted in this thread, in the place of any other. Says also how often the bug was reached: how often it
/// decided what happened.
pub fn with<T>(bug: Bug, run: impl FnOnce() -> T) -> (T, u64) {
    planting(Some(bug), run)
}

/// Runs something without any bug planted in this thread.
pub fn without<T>(run: impl FnOnce() -> T) -> T {
    planting(None, run).0
}

fn planting<T>(bug: Option<Bug>, run: impl FnOnce() -> T) -> (T, u64) {
    /// Puts things as they were, also if the run panics.
    struct Out(Option<Bug>);
    impl Drop for Out {
        fn drop(&mut self) {
            PLANTED.set(self.0);
        }
    }
    REACHED.set(0);
    let out = Out(PLANTED.replace(bug));
    let result = run();
    drop(out);
    (result, REACHED.get())
}

/// How often each mark was passed in this thread since this was last asked, by [`Mark`].
pub fn take_marks() -> [u64; Mark::ALL.len()] {
    MARKED.with(|marked| core::array::from_fn(|mark| marked[mark].take()))
}

#[inline]
pub(crate) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// The planted bug decides what happens.
pub(crate) fn reached() -> bool {
    REACHED.set(REACHED.get() + 1);
    true
}

#[inline]
pub(crate) fn count(mark: Mark) {
    MARKED.with(|marked| marked[mark as usize].set(marked[mark as usize].get() + 1));
}
