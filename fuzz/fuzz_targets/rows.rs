//! What a store may hold: no bytes make the reader of a row panic, what it reads can be written and read again, and no key is read as two.

#![no_main]

use doubletick_core::rows::{
    Account, ChatRow, Counter, Cursor, Device, FanOut, Group, Head, Index, Lease, Listed, LogEntry, Member, PastMember, PhoneRow, Place, Reached,
    Receipt, Row, Session, SessionOf, StoredWake, Verification, Watcher,
};
use doubletick_core::store::Key;
use libfuzzer_sys::fuzz_target;

fn read<R: Row + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(row) = R::decode(bytes) {
        assert_eq!(R::decode(&row.encode()), Ok(row));
    }
}

fuzz_target!(|bytes: &[u8]| {
    if bytes.len() <= Key::MAX_LEN {
        let _ = Place::of(&Key::new(bytes));
    }
    for read in [
        read::<Account>,
        read::<ChatRow>,
        read::<Counter>,
        read::<Cursor>,
        read::<Device>,
        read::<FanOut>,
        read::<Group>,
        read::<Head>,
        read::<Index>,
        read::<Lease>,
        read::<Listed>,
        read::<LogEntry>,
        read::<Member>,
        read::<PastMember>,
        read::<PhoneRow>,
        read::<Reached>,
        read::<Receipt>,
        read::<Session>,
        read::<SessionOf>,
        read::<StoredWake>,
        read::<Verification>,
        read::<Watcher>,
    ] {
        read(bytes);
    }
});
