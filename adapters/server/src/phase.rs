//! How far a server's life has got.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, watch};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Serving,
    /// As before, but it says that it is not ready, so that those who spread connections over servers turn to others.
    Leaving,
    /// What is open is being closed, and nothing new begins.
    Draining,
    /// Whoever still runs is to stop at once.
    Stopped,
}

/// The one place that says so. Steps are only ever taken forwards.
#[derive(Debug)]
pub(crate) struct Phase {
    step: watch::Sender<Step>,
    /// Cloned for each connection that begins while the server serves.
    pass: Mutex<Option<Pass>>,
}

/// Held by something for as long as it lives. What is sent through it is nothing; that all of them are gone is what is heard.
pub(crate) type Pass = mpsc::Sender<Infallible>;

/// Hears when all passes are gone.
#[derive(Debug)]
pub(crate) struct Passes(mpsc::Receiver<Infallible>);

impl Phase {
    pub(crate) fn new() -> (Self, Passes) {
        let (pass, passes) = Passes::new();
        (Self { step: watch::Sender::new(Step::Serving), pass: Mutex::new(Some(pass)) }, passes)
    }

    /// Whether connections are wanted.
    pub(crate) fn is_ready(&self) -> bool {
        *self.step.borrow() == Step::Serving
    }

    /// Whether connections are taken.
    pub(crate) fn is_serving(&self) -> bool {
        *self.step.borrow() < Step::Draining
    }

    /// A pass, unless the server is stopping: what begins then is only told so, and nobody waits for it.
    pub(crate) fn pass(&self) -> Option<Pass> {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nobody is wanted any more, and whoever comes is served all the same.
    pub(crate) fn leave(&self) {
        self.go_to(Step::Leaving);
    }

    /// Nothing begins any more, and once what has begun has ended, the passes are all gone.
    pub(crate) fn drain(&self) {
        self.go_to(Step::Draining);
    }

    pub(crate) fn stop(&self) {
        self.go_to(Step::Stopped);
    }

    /// Resolves when everything is to stop at once.
    pub(crate) async fn stopped(&self) {
        let mut receiver = self.step.subscribe();
        // An error would mean that the sender is gone, and it is right here.
        let _stopped = receiver.wait_for(|step| *step == Step::Stopped).await;
    }

    fn go_to(&self, next: Step) {
        if next >= Step::Draining {
            *self.pass.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        self.step.send_if_modified(|step| {
            let forwards = *step < next;
            *step = (*step).max(next);
            forwards
        });
    }
}

impl Passes {
    /// The first pass, from which others are cloned, and what hears of their end.
    pub(crate) fn new() -> (Pass, Self) {
        let (pass, passes) = mpsc::channel(1);
        (pass, Self(passes))
    }

    /// Resolves when there is no pass any more.
    pub(crate) async fn all_gone(&mut self) {
        let None = self.0.recv().await;
    }
}
