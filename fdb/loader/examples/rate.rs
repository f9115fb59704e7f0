//! How many bare transactions a database takes: each reads three rows together and writes eight, all of its own.
//!
//! ```sh
//! cargo run --release -p doubletick-fdb-loader --example rate -- [--library FILE] [--cluster-file FILE] [--in-flight N] [--seconds N]
//! ```
//!
//! Without a library it is the sandbox; with a real one the figure to hold a store's own against.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foundationdb::Database;

const READS: u32 = 3;
const WRITES: u32 = 8;
const VALUE: [u8; 100] = [7; 100];

/// What follows a flag.
fn argument(flag: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != flag).nth(1)
}

fn number(flag: &str, otherwise: u32) -> u32 {
    argument(flag).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{flag} needs a number, not {text:?}")))
}

#[tokio::main]
async fn main() {
    let library = argument("--library").map_or_else(beside, PathBuf::from);
    println!("{}", doubletick_fdb_loader::load(Some(&library)).unwrap().version());
    let file = argument("--cluster-file").unwrap_or_else(|| {
        let file = std::env::temp_dir().join(format!("rate-{}.cluster", std::process::id()));
        std::fs::write(&file, "rate:sandbox@127.0.0.1:4500\n").unwrap();
        file.to_str().unwrap().to_owned()
    });
    // SAFETY: it is dropped before the process ends, at the end of this function.
    #[allow(unsafe_code, reason = "the crate marks starting its network so")]
    let _network = unsafe { foundationdb::boot() };
    let db = Arc::new(Database::from_path(&file).unwrap());
    let (in_flight, seconds) = (number("--in-flight", 64), number("--seconds", 5));
    let until = Instant::now() + Duration::from_secs(seconds.into());
    let tasks: Vec<_> = (0..in_flight).map(|task| tokio::spawn(run(Arc::clone(&db), task, until))).collect();
    let mut took = vec![];
    for task in tasks {
        took.extend(task.await.unwrap());
    }
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100];
    println!(
        "{} transactions/s of {READS} reads and {WRITES} writes with {in_flight} in flight, p50 {:?}, p99 {:?}",
        took.len() as u64 / u64::from(seconds),
        at(50),
        at(99)
    );
}

/// The sandbox that was built for the tests, in the folder above this example's.
fn beside() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let folders = program.ancestors().skip(2).take(1);
    folders.map(|folder| folder.join("deps/libfdb_sandbox.so")).find(|file| file.exists()).expect("the sandbox was built beside it")
}

async fn run(db: Arc<Database>, task: u32, until: Instant) -> Vec<Duration> {
    let mut took = vec![];
    for round in 0.. {
        let began = Instant::now();
        if began >= until {
            break;
        }
        let key = |n: u32| [&b"rate/"[..], &task.to_be_bytes(), &((round + n) % 1_000).to_be_bytes()].concat();
        let tr = db.create_trx().unwrap();
        let reads: Vec<_> = (0..READS).map(|n| tr.get(&key(n), false)).collect();
        for read in reads {
            read.await.unwrap();
        }
        (0..WRITES).for_each(|n| tr.set(&key(n), &VALUE));
        tr.commit().await.unwrap();
        took.push(began.elapsed());
    }
    took
}
