//! How much there is of what.

use doubletick_audit::stats::{Size, count};
use doubletick_core::id::Seq;
use doubletick_core::store::{Key, Write};

use crate::world::{World, device, talk};

#[test]
fn everything_is_counted_once() {
    let world = World::story();
    let stats = count(&world.readable(), &|_| ()).unwrap();
    assert_eq!((stats.users, stats.devices, stats.conversations, stats.entries), (3, 4, 2, 4));
    assert_eq!(stats.longest, Some((talk(device(1), device(2)), Seq(3))));
    let rows = world.rows();
    let bytes = rows.iter().map(|(key, value)| (key.as_bytes().len() + value.len()) as u64).sum();
    assert_eq!(stats.total(), Size { rows: rows.len() as u64, bytes });
    assert_eq!(stats.kinds["log"].rows, 4);
    assert_eq!(stats.damaged, 0);
}

#[test]
fn the_backlog_is_what_devices_have_not_acknowledged() {
    // Ann's device has Ben's answer and Cid's hello before it; Ben's phone one more word, and his other device all three.
    let stats = count(&World::story().readable(), &|_| ()).unwrap();
    assert_eq!((stats.dirty, stats.waiting_devices, stats.backlog), (4, 3, 2 + 1 + 1 + 3));
    let (device, conversation, positions) = stats.longest_backlog.unwrap();
    assert_eq!((device.serial, conversation, positions), (2, talk(crate::world::device(1), crate::world::device(2)), 3));
}

#[test]
fn damaged_rows_are_counted_and_the_rest_goes_on() {
    let world = World::story();
    world.plant(vec![
        Write::Set(Key::new(&[0x10, 9]), vec![]),
        Write::Set(doubletick_core::rows::head(talk(device(1), device(2))).key, vec![1]),
    ]);
    let stats = count(&world.readable(), &|_| ()).unwrap();
    assert_eq!((stats.damaged, stats.entries, stats.kinds["unknown"].rows), (2, 4, 1));
}
