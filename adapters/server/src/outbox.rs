//! Frames on their way from a shard to the task of a connection.
//!
//! The shard puts frames in as bytes; the connection takes all that there are at once, so that what gathers while it writes leaves in one
//! piece. An outbox of an idle connection holds no buffer.
//!
//! It has no limit of its own: the gateway counts what it hands out against [`unflushed`](doubletick_core::gateway::Config::unflushed) and
//! closes a connection that does not read.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use doubletick_core::frame::{CloseReason, ServerFrame};
use doubletick_core::time::Millis;
use doubletick_wire::encode_server;

/// See the [module's documentation](self).
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
}

/// How a connection ends by the will of this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// What is in the outbox is to be sent, a goodbye last, and then the connection is to be closed for this reason.
    Close(CloseReason),
    /// Nobody is interested any more: the connection is to be dropped as it is.
    Abandoned,
}

/// Frames that were taken out of an outbox.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Bytes,
    /// Where each frame ends. The ones before `next` are gone.
    ends: Vec<usize>,
    next: usize,
    cost: u32,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    cost: u32,
    end: Option<End>,
    waker: Option<Waker>,
}

impl Outbox {
    /// Puts in a frame that counts for so much of what the connection is to report as flushed.
    pub(crate) fn push(&self, frame: &ServerFrame, cost: u32) {
        self.change(|state| {
            if state.end.is_none() {
                state.push(frame, cost);
            }
        });
    }

    /// Puts in a goodbye, after which nothing comes.
    pub(crate) fn close(&self, reason: CloseReason, retry_after: Millis) {
        self.change(|state| {
            if state.end.is_some() {
                return;
            }
            if reason == CloseReason::SlowReader {
                // It would not read these either, and gets them again in its next session.
                (state.bytes, state.ends) = Default::default();
            }
            state.push(&ServerFrame::Goodbye { reason, retry_after }, 0);
            state.end = Some(End::Close(reason));
        });
    }

    /// Nobody will put in anything more, and what is in it need not be sent.
    pub(crate) fn abandon(&self) {
        self.change(|state| state.end = Some(End::Abandoned));
    }

    /// How many bytes wait in it.
    pub(crate) fn len(&self) -> usize {
        self.lock().bytes.len()
    }

    /// How it ended. While it has not, the task is woken when there is something new.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<End> {
        let mut state = self.lock();
        match state.end {
            Some(end) => Poll::Ready(end),
            None => {
                if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    state.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// Takes out what there is; `None` if there is nothing.
    pub(crate) fn take(&self) -> Option<Batch> {
        let mut state = self.lock();
        if state.ends.is_empty() {
            return None;
        }
        let (bytes, ends) = (std::mem::take(&mut state.bytes), std::mem::take(&mut state.ends));
        let cost = std::mem::take(&mut state.cost);
        drop(state);
        Some(Batch { bytes: bytes.into(), ends, next: 0, cost })
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, frame: &ServerFrame, cost: u32) {
        encode_server(frame, &mut self.bytes);
        self.ends.push(self.bytes.len());
        self.cost = self.cost.saturating_add(cost);
    }
}

impl Batch {
    /// The next frame's bytes.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let range = self.range(self.next)?;
        self.next += 1;
        Some(self.bytes.slice(range))
    }

    /// Whether there is a next frame.
    pub(crate) fn has_more(&self) -> bool {
        self.next < self.ends.len()
    }

    /// What its frames count for, once all of them are flushed.
    pub(crate) fn cost(&self) -> u32 {
        self.cost
    }

    fn range(&self, place: usize) -> Option<Range<usize>> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doubletick_core::frame::RequestId;
    use doubletick_core::reject::Reject;
    use doubletick_wire::decode_server;

    fn frames(outbox: &Outbox) -> Vec<ServerFrame> {
        let mut batch = outbox.take().unwrap_or_default();
        std::iter::from_fn(|| batch.next()).map(|bytes| decode_server(&bytes).unwrap()).collect()
    }

    fn refused(request: u32) -> ServerFrame {
        ServerFrame::Refused { request: Some(RequestId(request)), reject: Reject::Nonsense }
    }

    #[test]
    fn frames_come_out_in_the_order_in_which_they_went_in_and_once() {
        let outbox = Outbox::default();
        (0..5).for_each(|n| outbox.push(&refused(n), 32));
        assert_eq!(frames(&outbox), (0..5).map(refused).collect::<Vec<_>>());
        assert_eq!(frames(&outbox), []);
    }

    #[test]
    fn the_goodbye_is_the_last_frame() {
        let outbox = Outbox::default();
        outbox.push(&ServerFrame::Pong, 32);
        outbox.close(CloseReason::Replaced, Millis(5));
        outbox.push(&ServerFrame::Pong, 32);
        outbox.close(CloseReason::Dead, Millis(0));
        let goodbye = ServerFrame::Goodbye { reason: CloseReason::Replaced, retry_after: Millis(5) };
        assert_eq!(frames(&outbox), [ServerFrame::Pong, goodbye]);
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(outbox.poll_end(&mut cx), Poll::Ready(End::Close(CloseReason::Replaced)));
    }

    #[test]
    fn one_that_does_not_read_hears_only_the_goodbye() {
        let outbox = Outbox::default();
        (0..5).for_each(|n| outbox.push(&refused(n), 32));
        outbox.close(CloseReason::SlowReader, Millis(0));
        assert_eq!(frames(&outbox), [ServerFrame::Goodbye { reason: CloseReason::SlowReader, retry_after: Millis(0) }]);
    }
}
