//! What can be said of one row without the rest of its store.

use super::{Fault, decode};
use crate::id::Seq;
use crate::rows;
use crate::rows::{Account, ChatRow, Counter, Cursor, Head, Index, LogEntry, Place, Receipt};

/// What stands around a row that speaks of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// The conversation's last position; `None` if there is no such conversation.
    pub head: Option<Seq>,
    /// Whether the owner of the row has a member's row in the conversation, if it is a group.
    pub member: bool,
}

/// Proves one row by itself: that it decodes, and that what it says of a conversation can be so.
///
/// # Errors
/// What is wrong with it.
pub fn verify_alone(place: &Place, value: &[u8], around: Around) -> Result<(), Fault> {
    let within = |position: Seq| match around.head.unwrap_or_default() {
        head if position > head => Err(Fault::PastHead { position, head }),
        _ => Ok(()),
    };
    match place {
        Place::Head(_) => decode::<Head>(value).map(drop),
        Place::Receipt(conversation, user) => {
            decode::<Receipt>(value)?;
            if conversation.may_include(*user) { Ok(()) } else { Err(Fault::NotMember) }
        }
        Place::Log(..) => decode::<LogEntry>(value).map(drop),
        Place::Index(..) => decode::<Index>(value).map(drop),
        Place::Group(_) => decode::<rows::Group>(value).map(drop),
        Place::Member(..) => decode::<rows::Member>(value).map(drop),
        Place::PastMember(..) => decode::<rows::PastMember>(value).map(drop),
        Place::Chat(user, conversation) => {
            decode::<ChatRow>(value)?;
            if !conversation.may_include(*user) {
                return Err(Fault::NotMember);
            }
            around.head.ok_or(Fault::EmptyConversation)?;
            if conversation.pair().is_some() || around.member { Ok(()) } else { Err(Fault::NotMember) }
        }
        Place::Dirty(device, conversation) => {
            let Counter(upto) = decode(value)?;
            if conversation.may_include(device.user) { within(Seq(upto)) } else { Err(Fault::NotMember) }
        }
        Place::Cursor(device, conversation) => {
            let cursor = decode::<Cursor>(value)?;
            if conversation.may_include(device.user) { within(cursor.upto) } else { Err(Fault::NotMember) }
        }
        Place::FanOutDue(_) | Place::Trimmed(_) => decode::<Counter>(value).and_then(|Counter(upto)| within(Seq(upto))),
        Place::FanOut(_) => decode::<rows::FanOut>(value).and_then(|job| within(job.upto)),
        Place::Reached(_) => decode::<rows::Reached>(value).and_then(|reached| within(reached.delivered.others)),
        Place::SumDue(_) => decode::<Counter>(value).map(drop),
        Place::Account(_) => decode::<Account>(value).map(drop),
        Place::Contact(..) | Place::Block(..) => decode::<rows::Listed>(value).map(drop),
        Place::LastSeen(_) | Place::GroupCount(_) | Place::Bell(_) | Place::Sent(..) => decode::<Counter>(value).map(drop),
        Place::Device(_) => decode::<rows::Device>(value).map(drop),
        Place::Phone(_) => decode::<rows::PhoneRow>(value).map(drop),
        Place::Verification(_) => decode::<rows::Verification>(value).map(drop),
        Place::Session(_) => decode::<rows::Session>(value).map(drop),
        Place::SessionOf(..) => decode::<rows::SessionOf>(value).map(drop),
        Place::Wake(..) => decode::<rows::StoredWake>(value).map(drop),
        Place::Lease(_) => decode::<rows::Lease>(value).map(drop),
        Place::Watcher(..) => decode::<rows::Watcher>(value).map(drop),
    }
}
