//! What a stored value says, for people.

use super::{
    Account, ChatRow, Counter, Cursor, Damage, Device, FanOut, Group, Head, Index, Lease, Listed, LogEntry, Member, PastMember, PhoneRow,
    Place, Reached, Receipt, Row, Session, SessionOf, StoredWake, Verification, Watcher,
};
use alloc::format;
use alloc::string::String;
use core::fmt::Debug;

/// What the value of a row says, for people to read.
///
/// # Errors
/// If the bytes are not the value that the key promises.
pub fn told(place: &Place, value: &[u8]) -> Result<String, Damage> {
    fn tell<R: Row + Debug>(value: &[u8]) -> Result<String, Damage> {
        R::decode(value).map(|row| format!("{row:?}"))
    }
    match place {
        Place::Head(_) => tell::<Head>(value),
        Place::Receipt(..) => tell::<Receipt>(value),
        Place::Log(..) => tell::<LogEntry>(value),
        Place::Index(..) => tell::<Index>(value),
        Place::Group(_) => tell::<Group>(value),
        Place::Member(..) => tell::<Member>(value),
        Place::PastMember(..) => tell::<PastMember>(value),
        Place::FanOut(_) => tell::<FanOut>(value),
        Place::Reached(_) => tell::<Reached>(value),
        Place::Sent(..) | Place::Trimmed(_) | Place::FanOutDue(_) | Place::SumDue(_) | Place::GroupCount(_) => tell::<Counter>(value),
        Place::Account(_) => tell::<Account>(value),
        Place::Chat(..) => tell::<ChatRow>(value),
        Place::Contact(..) | Place::Block(..) => tell::<Listed>(value),
        Place::LastSeen(_) | Place::Dirty(..) | Place::Bell(_) => tell::<Counter>(value),
        Place::Device(_) => tell::<Device>(value),
        Place::Cursor(..) => tell::<Cursor>(value),
        Place::Phone(_) => tell::<PhoneRow>(value),
        Place::Verification(_) => tell::<Verification>(value),
        Place::Session(_) => tell::<Session>(value),
        Place::SessionOf(..) => tell::<SessionOf>(value),
        Place::Wake(..) => tell::<StoredWake>(value),
        Place::Lease(_) => tell::<Lease>(value),
        Place::Watcher(..) => tell::<Watcher>(value),
    }
}
