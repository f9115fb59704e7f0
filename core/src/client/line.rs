//! Requests in their turn: the server cuts off whoever has too many under way.

use super::link::Link;
use super::{Client, Pending};
use crate::frame::ClientFrame;
use crate::id::UserId;
use crate::limits;
use alloc::collections::{BTreeSet, VecDeque};

/// The requests of one session that wait, and those under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<ClientFrame>,
    /// Numbered requests under way.
    asked: usize,
    /// Watches under way. Their answers carry no number.
    watching: BTreeSet<UserId>,
}

/// Requests that may wait for their turn.
const WAITING: usize = 1024;

impl Line {
    /// Whether the application asks for more than is answered.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING
    }

    /// The next that may go out.
    fn next(&mut self) -> Option<ClientFrame> {
        if self.asked + self.watching.len() >= limits::REQUESTS_AT_ONCE {
            return None;
        }
        let frame = self.waiting.pop_front()?;
        if let ClientFrame::Watch { user } = frame {
            self.watching.insert(user);
        } else if !matches!(frame, ClientFrame::Unwatch { .. }) {
            self.asked += 1;
        }
        Some(frame)
    }

    pub(super) fn queues(&self, visit: &mut dyn FnMut(&'static str, usize, usize)) {
        visit("requests of a device under way", self.asked + self.watching.len(), limits::REQUESTS_AT_ONCE);
        // Beyond what the application asks for there are watches, and a page for each conversation with a gap.
        visit("requests of a device that wait", self.waiting.len(), WAITING + 2 * limits::HANDLES_PER_SESSION);
    }

    pub(super) fn check<'a>(&self, pending: impl Iterator<Item = &'a Pending>) {
        let numbered = |frame: &&ClientFrame| !matches!(frame, ClientFrame::Watch { .. } | ClientFrame::Unwatch { .. });
        let asked = pending.filter(|pending| pending.waits_in_line()).count();
        assert_eq!(asked, self.asked + self.waiting.iter().filter(numbered).count(), "what is asked for is waited for");
    }
}

impl Pending {
    pub(super) fn waits_in_line(&self) -> bool {
        match self {
            Self::Ask(_) | Self::Fetch(_) => true,
            Self::Send(..) | Self::Read(..) | Self::Renew(_) => false,
        }
    }
}

impl Client {
    /// Sends a request, now or when earlier ones are answered.
    pub(super) fn ask_in_turn(&mut self, frame: ClientFrame) {
        if let Link::Open(session) = &mut self.link {
            session.line.waiting.push_back(frame);
            self.ask_next();
        }
    }

    fn ask_next(&mut self) {
        while let Link::Open(session) = &mut self.link
            && let Some(frame) = session.line.next()
        {
            self.send(frame);
        }
    }

    /// A numbered request was answered.
    pub(super) fn ask_ended(&mut self) {
        if let Link::Open(session) = &mut self.link {
            session.line.asked -= 1;
            self.ask_next();
        }
    }

    /// A watch was answered; or something without a number was refused, which may have been one.
    pub(super) fn watch_ended(&mut self, user: Option<UserId>) {
        if let Link::Open(session) = &mut self.link {
            let watching = &mut session.line.watching;
            let ended = match user {
                Some(user) => watching.remove(&user),
                None => watching.pop_first().is_some(),
            };
            if ended {
                self.ask_next();
            }
        }
    }
}
