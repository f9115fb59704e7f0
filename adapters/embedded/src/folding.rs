//! Putting the rows of a full log into the tree, beside everything else.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use crate::shared::Shared;
use crate::tree::{Tree, TreeError};

/// Who writes the tree, and when.
pub(crate) struct Folding {
    shared: Arc<Shared>,
    state: State,
    /// When it last failed, until it succeeds.
    failed: Option<Instant>,
    threads: bool,
}

enum State {
    /// Nobody writes the tree. Without a database, it must be opened anew: it failed.
    Idle(Option<Tree>),
    /// A thread does.
    Running(JoinHandle<Result<Tree, TreeError>>),
}

impl Folding {
    /// With `threads`, each time a thread of its own writes the tree; without, it is written there and then.
    pub(crate) fn new(shared: Arc<Shared>, tree: Tree, threads: bool) -> Self {
        Self { shared, state: State::Idle(Some(tree)), failed: None, threads }
    }

    /// Whether all was put into the tree, so that the log that is not in use may be written. `wait`: not before whoever is at it is done.
    pub(crate) fn is_free(&mut self, wait: bool) -> bool {
        if wait {
            self.finish();
        }
        self.advance();
        matches!(self.state, State::Idle(Some(_))) && self.shared.read().folding.is_empty()
    }

    /// Begins to put all published rows into the tree.
    pub(crate) fn begin(&mut self) {
        let mut view = self.shared.write();
        view.folding = Arc::new(std::mem::take(&mut view.recent));
        view.folding_batch = view.published;
        drop(view);
        self.start();
    }

    /// Sees to what is done, and tries again what failed if it is time.
    pub(crate) fn advance(&mut self) {
        if let State::Running(thread) = &self.state
            && thread.is_finished()
        {
            self.finish();
        }
        if let State::Idle(tree) = &mut self.state {
            if self.shared.tree_fails.load(Ordering::Acquire) {
                *tree = None;
            }
            let waits = tree.is_none() || !self.shared.read().folding.is_empty();
            if waits && self.failed.is_none_or(|failed| failed.elapsed() >= self.shared.options.retry) {
                self.start();
            }
        }
    }

    /// Waits until nobody writes the tree.
    pub(crate) fn finish(&mut self) {
        match std::mem::replace(&mut self.state, State::Idle(None)) {
            State::Running(thread) => {
                let result = thread.join().unwrap_or(Err(TreeError::Panicked));
                self.note(result);
            }
            idle @ State::Idle(_) => self.state = idle,
        }
    }

    fn start(&mut self) {
        let State::Idle(tree) = std::mem::replace(&mut self.state, State::Idle(None)) else {
            unreachable!("it starts when nobody writes the tree")
        };
        let shared = Arc::clone(&self.shared);
        let fold = move || shared.fold(tree);
        if self.threads {
            let fold = move || {
                step_back();
                fold()
            };
            match std::thread::Builder::new().name("doubletick-fold".into()).spawn(fold) {
                Ok(thread) => self.state = State::Running(thread),
                Err(error) => self.note(Err(TreeError::File(format!("no thread to write the tree: {error}")))),
            }
        } else {
            self.note(fold());
        }
    }

    fn note(&mut self, result: Result<Tree, TreeError>) {
        match result {
            Ok(tree) => {
                self.failed = None;
                self.state = State::Idle(Some(tree));
            }
            Err(error) => {
                tracing::error!(%error, "the tree cannot be written: it is tried again, and durable transactions are accepted while the log has room");
                self.failed = Some(Instant::now());
                self.state = State::Idle(None);
            }
        }
    }
}

/// Lets the other threads of the process go first where there are fewer processors than work: nobody waits for the tree while the log has
/// room. Without it, every full log shows as a burst of slow answers.
fn step_back() {
    // Only on Linux is the niceness of one thread its own.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "the tree is written with the same priority as everything else");
    }
}
