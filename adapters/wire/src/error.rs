//! What can be wrong with bytes, and what their sender is told.

use doubletick_core::content::ContentError;
use doubletick_core::frame::{CloseReason, RequestId};
use doubletick_core::reject::Reject;
use std::error::Error;
use std::fmt;

/// Bytes that are no frame.
#[derive(Clone, Debug, PartialEq)]
pub struct WireError {
    field: &'static str,
    problem: Problem,
    request: Option<RequestId>,
}

/// What is wrong with a field, or with the frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// The frame has more than [`doubletick_core::limits::FRAME_BYTES`] bytes; they were not looked at.
    TooLong,
    /// The bytes are no Protobuf, or not of this schema.
    Malformed(prost::DecodeError),
    /// No kind of frame that this version knows.
    UnknownKind,
    /// The field must be there.
    Missing,
    /// The field has a fixed number of bytes, and this is another.
    Length,
    /// A number outside its range.
    Range,
    /// A number that this version gives no meaning.
    UnknownNumber,
    /// More items than the limit.
    TooMany,
    /// The field is not for this sender to set, or not beside another that is set.
    Forbidden,
    /// A conversation whose two users are not different, the lower first.
    Pair,
    /// No phone number.
    Phone,
    /// Bodies that are no content.
    Content(ContentError),
}

impl WireError {
    pub(crate) fn new(field: &'static str, problem: Problem) -> Self {
        Self { field, problem, request: None }
    }

    pub(crate) fn of_request(self, request: Option<RequestId>) -> Self {
        Self { request, ..self }
    }

    /// The field, by its name in the schema; `frame` for the frame as a whole.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The refusal that a device is told where the frame itself could be read and only what it says cannot be: then the connection
    /// goes on. The request is `None` where the frame has no number. For all other errors there is no refusal, and the connection is
    /// closed with [`WireError::close_reason`].
    pub fn refusal(&self) -> Option<(Option<RequestId>, Reject)> {
        let reject = match self.problem {
            Problem::Content(_) => Reject::BadContent,
            Problem::Pair | Problem::Phone => Reject::Nonsense,
            Problem::TooLong
            | Problem::Malformed(_)
            | Problem::UnknownKind
            | Problem::Missing
            | Problem::Length
            | Problem::Range
            | Problem::UnknownNumber
            | Problem::TooMany
            | Problem::Forbidden => return None,
        };
        Some((self.request, reject))
    }

    /// With which reason a connection is closed over this error.
    pub fn close_reason(&self) -> CloseReason {
        match self.problem {
            Problem::TooLong | Problem::TooMany | Problem::Content(ContentError::TooLarge | ContentError::Bodies) => CloseReason::TooLarge,
            Problem::Malformed(_)
            | Problem::UnknownKind
            | Problem::Missing
            | Problem::Length
            | Problem::Range
            | Problem::UnknownNumber
            | Problem::Forbidden
            | Problem::Pair
            | Problem::Phone
            | Problem::Content(ContentError::Repeated | ContentError::Trimmed) => CloseReason::Protocol,
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.field)?;
        match &self.problem {
            Problem::TooLong => f.write_str("longer than the limit"),
            Problem::Malformed(error) => error.fmt(f),
            Problem::UnknownKind => f.write_str("no known kind"),
            Problem::Missing => f.write_str("missing"),
            Problem::Length => f.write_str("wrong number of bytes"),
            Problem::Range => f.write_str("out of range"),
            Problem::UnknownNumber => f.write_str("a number without a meaning"),
            Problem::TooMany => f.write_str("too many items"),
            Problem::Forbidden => f.write_str("must not be set here"),
            Problem::Pair => f.write_str("not two different users, the lower first"),
            Problem::Phone => f.write_str("no phone number"),
            Problem::Content(ContentError::TooLarge) => f.write_str("content too large"),
            Problem::Content(ContentError::Bodies) => f.write_str("too many bodies, or none"),
            Problem::Content(ContentError::Trimmed) => f.write_str("a kind of body that only the server sends"),
            Problem::Content(ContentError::Repeated) => f.write_str("two bodies for one device"),
        }
    }
}

impl Error for WireError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        if let Problem::Malformed(error) = &self.problem { Some(error) } else { None }
    }
}
