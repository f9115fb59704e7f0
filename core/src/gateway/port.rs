//! What goes into a gateway and what comes out of it.

use super::drain::Drain;
use crate::frame::{ClientFrame, CloseReason, ServerFrame};
use crate::store::Failure;
use crate::time::Millis;
use crate::transact::{Batch, Outcome};
use alloc::sync::Arc;

/// A connection of this gateway's, named by the adapter. Never reused while the gateway lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// A transaction of this gateway's that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Something happened in the world.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection was accepted and has finished its WebSocket handshake.
    Connected(ConnId),
    /// A frame arrived.
    Frame(ConnId, ClientFrame),
    /// Bytes arrived that are no frame, or too many of them. The gateway closes the connection for this reason.
    Broken(ConnId, CloseReason),
    /// The connection is gone, whoever ended it. Nothing more comes from it.
    Closed(ConnId),
    /// This many of the bytes counted by [`frame_cost`](super::frame_cost) were handed to the network.
    Flushed(ConnId, u32),
    /// A transaction has ended.
    Transacted(Ticket, Result<Outcome, Failure>),
    /// The gateway's bell rang, or may have.
    Bell,
    /// Stop: send every client away with [`CloseReason::Restarting`], as the plan says, and take no other.
    Drain(Drain),
}

/// Something to be done in the world.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this frame. Its bytes count as unflushed until [`Input::Flushed`] says otherwise.
    Frame(ConnId, ServerFrame),
    /// Say goodbye and close. The gateway has forgotten the connection; [`Input::Closed`] may follow and is ignored.
    Close {
        /// Which connection.
        conn: ConnId,
        /// Why; the adapter sends it as the WebSocket close code, and as [`ServerFrame::Goodbye`] before that.
        reason: CloseReason,
        /// How long the client should wait before it connects again.
        retry_after: Millis,
    },
    /// Run this transaction and report with [`Input::Transacted`]. The same ticket may come again, as the same batch.
    Transact(Ticket, Arc<Batch>),
    /// The lease is gone and every session with it. Make another gateway under another id; this one does nothing more.
    Ended,
}
