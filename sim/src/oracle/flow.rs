//! BOUNDED: nobody who keeps to the limits is sent away for passing them.

use super::again::Names;
use super::{Oracle, Oracles};
use crate::store::Version;
use doubletick_core::frame::{ClientFrame, CloseReason, Presence, RequestId, ServerFrame};
use doubletick_core::id::{ConversationId, Seq, UserId};
use doubletick_core::reject::Reject;
use std::collections::BTreeMap;

/// What has passed over one connection, as its gateway sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    names: Names,
    /// Up to where each conversation was delivered and is not acknowledged.
    owed: BTreeMap<ConversationId, Seq>,
    /// The token has run out: what is acknowledged is not heard.
    deaf: bool,
    /// Messages that were sent and not answered.
    sends: Vec<RequestId>,
    /// The last that was heard is a message.
    sending: bool,
    /// What was said of presences, and as of which commit.
    pub(super) shown: BTreeMap<UserId, (Version, Presence)>,
}

impl Flow {
    /// The gateway says something.
    pub(crate) fn says(&mut self, frame: &ServerFrame) {
        if let ServerFrame::Deliver { of, entries } = frame {
            if let (Some(conversation), Some(last)) = (self.names.resolve(*of), entries.last()) {
                self.owed.insert(conversation, last.seq);
            }
        } else if let ServerFrame::Accepted { request, of, .. } = frame {
            of.and_then(|of| self.names.resolve(of));
            self.answered(*request);
        } else if let ServerFrame::Refused { request, reject } = frame {
            self.deaf |= *reject == Reject::TokenExpired;
            request.iter().for_each(|request| self.answered(*request));
        } else if let ServerFrame::Receipt { of, .. } | ServerFrame::Typing { of, .. } = frame {
            self.names.resolve(*of);
        }
    }

    fn answered(&mut self, request: RequestId) {
        if let Some(nth) = self.sends.iter().position(|send| *send == request) {
            self.sends.swap_remove(nth);
        }
    }

    /// The gateway hears something.
    pub(crate) fn hears(&mut self, frame: &ClientFrame) {
        self.sending = false;
        if let ClientFrame::Send { request, .. } = frame {
            self.sending = true;
            self.sends.push(*request);
        } else if let ClientFrame::Ack { of, delivered, .. } = frame
            && let Some(conversation) = self.names.resolve(*of)
            && self.owed.get(&conversation).is_some_and(|owed| owed <= delivered)
        {
            self.owed.remove(&conversation);
        }
    }
}

impl Oracles {
    /// A gateway sends a device away, which may have had so many messages under way.
    pub(crate) fn closed(&mut self, device: u32, reason: CloseReason, flow: &Flow, window: u32) {
        let right = if reason == CloseReason::AckTimeout {
            flow.deaf || !flow.owed.is_empty()
        } else {
            reason != CloseReason::Flood || !flow.sending || flow.sends.len() > window as usize
        };
        self.compare(Oracle::Bounded, right, || {
            let Flow { owed, sends, .. } = flow;
            format!("device {device} was sent away: {reason:?}, and it has not acknowledged {owed:?}; unanswered are {sends:?} of {window}")
        });
    }
}
