//! How far a server's life has got.

use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Serving,
    /// What is open is being closed, and nothing new begins.
    Draining,
    /// Whoever still runs is to stop at once.
    Stopped,
}

/// The one place that says so. Steps are only ever taken forwards.
#[derive(Debug)]
pub(crate) struct Phase(watch::Sender<Step>);

impl Phase {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Step::Serving))
    }

    pub(crate) fn is_serving(&self) -> bool {
        *self.0.borrow() == Step::Serving
    }

    pub(crate) fn drain(&self) {
        self.go_to(Step::Draining);
    }

    pub(crate) fn stop(&self) {
        self.go_to(Step::Stopped);
    }

    /// Resolves when everything is to stop at once.
    pub(crate) async fn stopped(&self) {
        let mut receiver = self.0.subscribe();
        // An error would mean that the sender is gone, and it is right here.
        let _stopped = receiver.wait_for(|step| *step == Step::Stopped).await;
    }

    fn go_to(&self, next: Step) {
        self.0.send_if_modified(|step| {
            let forwards = *step < next;
            *step = (*step).max(next);
            forwards
        });
    }
}
