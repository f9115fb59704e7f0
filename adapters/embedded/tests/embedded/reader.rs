//! A data directory for whoever must not change it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use doubletick_core::store::{Commit, Key, Write};
use doubletick_embedded::files::{FORMAT, LOGS};
use doubletick_embedded::{Embedded, OpenError, Options, Reader};
use doubletick_store::Store;
use doubletick_store::conformance::{AllRows, block_on, durable};
use doubletick_store::readable::Readable;

use crate::temporary::Temporary;

fn put(store: &Embedded, number: u64) {
    let key = Key::new(&number.to_be_bytes());
    let put = durable(move |_| Ok(Commit { writes: vec![Write::Set(key, vec![number as u8; 900])], answer: () }));
    block_on(store.execute(put)).expect("nothing fails");
}

/// Files and what is in them.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(path).expect("it is there").map(|entry| entry.expect("it can be read").path());
    entries.map(|path| (path.clone(), fs::read(path).expect("it can be read"))).collect()
}

#[test]
fn rows_in_the_tree_and_in_both_logs_are_read_and_no_file_changes() {
    let temporary = Temporary::new();
    let data = temporary.path().join("data");
    let mut options = Options::default();
    options.log_bytes = 40 << 10;
    // Opened often, so that what is in the logs is put into the tree each time, and once more at the end.
    for round in 0..4 {
        let store = Embedded::open(&data, options.clone()).expect("it is ours");
        (0..33).for_each(|number| put(&store, 100 * round + number));
    }
    let before = files(&data);
    let rows = Reader::open(&data).expect("nobody uses it").read(AllRows).expect("it can be read");
    assert_eq!(rows.len(), 4 * 33);
    assert!(rows.is_sorted() && rows.iter().all(|(_, value)| value.len() == 900));
    assert!(files(&data) == before, "not a byte has changed");
    // The tree alone does not have them all.
    for log in LOGS {
        fs::write(data.join(log), "").expect("it can be written");
    }
    let fewer = Reader::open(&data).expect("nobody uses it").read(AllRows).expect("it can be read");
    assert!(fewer.len() < rows.len(), "{}", fewer.len());
}

#[test]
fn whoever_comes_second_is_told_what_the_first_does() {
    let temporary = Temporary::new();
    let data = temporary.path().join("data");
    let server = Embedded::open(&data, Options::default()).expect("it is new");
    let error = Reader::open(&data).expect_err("a server uses it");
    assert!(matches!(error, OpenError::InUse { owner: Some(pid), .. } if pid == std::process::id()), "{error}");
    drop(server);
    let readers = [(); 2].map(|()| Reader::open(&data).expect("readers do not mind each other"));
    let error = Embedded::open(&data, Options::default()).expect_err("it is being read");
    assert!(matches!(error, OpenError::BeingRead { .. }), "{error}");
    drop(readers);
    Embedded::open(&data, Options::default()).expect("they are gone");
}

#[test]
fn what_is_no_data_directory_is_told_and_not_made_into_one() {
    let temporary = Temporary::new();
    let data = temporary.path().join("data");
    assert!(matches!(Reader::open(&data), Err(OpenError::Directory { .. })));
    assert!(!data.exists());
    fs::create_dir(&data).expect("it can be made");
    assert!(matches!(Reader::open(&data), Err(OpenError::NotOurs { .. })));
    assert!(files(&data).is_empty());
    drop(Embedded::open(&data, Options::default()).expect("it is new"));
    fs::write(data.join("VERSION"), format!("{}\n", FORMAT + 1)).expect("it can be written");
    assert!(matches!(Reader::open(&data), Err(OpenError::Version { .. })));
}

#[test]
fn a_database_whose_making_was_interrupted_is_an_empty_one() {
    let temporary = Temporary::new();
    let data = temporary.path().join("data");
    drop(Embedded::open(&data, Options::default()).expect("it is new"));
    fs::write(data.join("doubletick.redb"), [0; 8192]).expect("it can be written");
    let before = files(&data);
    assert_eq!(Reader::open(&data).expect("nobody uses it").read(AllRows), Ok(vec![]));
    assert!(files(&data) == before, "not a byte has changed");
}
