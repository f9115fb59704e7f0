//! The data directory.

use std::fs;

use doubletick_core::store::{Commit, Key, Write};
use doubletick_embedded::files::{FORMAT, LOGS};
use doubletick_embedded::{Embedded, OpenError, Options};
use doubletick_store::Store;
use doubletick_store::conformance::{Reads, block_on, durable, quick};

use crate::temporary::Temporary;

fn open(temporary: &Temporary) -> Result<Embedded, OpenError> {
    Embedded::open(temporary.path().join("new/data"), Options::default())
}

#[test]
fn durable_rows_outlive_the_handles_and_ephemeral_rows_do_not() {
    let temporary = Temporary::new();
    let (lasting, passing) = (Key::new(b"row"), Key::new(&[Key::EPHEMERAL]));
    let both = durable(move |_| Ok(Commit { writes: [lasting, passing].map(|key| Write::Add(key, 1)).to_vec(), answer: () }));
    block_on(open(&temporary).expect("it is new").execute(both)).expect("nothing fails");
    for _ in 0..2 {
        let store = open(&temporary).expect("it was left well");
        let read = move |reads: &mut Reads<'_>| {
            let (lasting, passing) = (reads.number(&lasting), reads.get(&passing));
            Ok(Commit { writes: Vec::new(), answer: (lasting?, passing?) })
        };
        assert_eq!(block_on(store.execute(quick(read))), Ok((1, None)));
    }
}

#[test]
fn a_second_owner_is_told_who_the_first_is() {
    let temporary = Temporary::new();
    let first = open(&temporary).expect("it is new");
    let error = open(&temporary).expect_err("it is in use");
    assert!(matches!(error, OpenError::InUse { owner: Some(pid), .. } if pid == std::process::id()), "{error}");
    let message = error.to_string();
    assert!(message.contains("new/data is in use by process"), "{message}");
    drop(first);
    open(&temporary).expect("the first is gone");
}

#[test]
fn a_newer_format_is_refused_with_both_versions() {
    let temporary = Temporary::new();
    drop(open(&temporary).expect("it is new"));
    let newer = FORMAT + 1;
    fs::write(temporary.path().join("new/data/VERSION"), format!("{newer}\n")).expect("it can be written");
    let message = open(&temporary).expect_err("it is newer").to_string();
    assert!(message.contains(&format!("format {newer}")) && message.contains(&format!("format {FORMAT}")), "{message}");
}

#[test]
fn a_directory_without_a_version_is_not_taken_for_ours() {
    let temporary = Temporary::new();
    drop(open(&temporary).expect("it is new"));
    let stamp = temporary.path().join("new/data/VERSION");
    fs::write(&stamp, "two\n").expect("it can be written");
    assert!(matches!(open(&temporary), Err(OpenError::NotOurs { .. })));
    fs::remove_file(stamp).expect("it is there");
    assert!(matches!(open(&temporary), Err(OpenError::NotOurs { .. })));
}

#[test]
fn a_file_that_is_no_directory_is_told_with_its_name() {
    let temporary = Temporary::new();
    fs::write(temporary.path().join("new"), "").expect("it can be written");
    let message = open(&temporary).expect_err("a file is in the way").to_string();
    assert!(message.contains("new/data"), "{message}");
}

#[test]
fn a_damaged_log_is_an_error_and_not_a_loss() {
    let temporary = Temporary::new();
    let store = open(&temporary).expect("it is new");
    for _ in 0..3 {
        let add = durable(|_: &mut Reads<'_>| Ok(Commit { writes: vec![Write::Add(Key::new(b"row"), 1)], answer: () }));
        block_on(store.execute(add)).expect("nothing fails");
    }
    drop(store);
    let log = temporary.path().join("new/data").join(LOGS[0]);
    let mut bytes = fs::read(&log).expect("it is there");
    bytes[4096 + 60] ^= 1;
    fs::write(log, bytes).expect("it can be written");
    let error = open(&temporary).expect_err("the second of three batches is damaged");
    assert!(matches!(error, OpenError::Log(_)), "{error}");
    assert!(error.to_string().contains("batch 2"), "{error}");
}
