//! Measures how long it takes until all is well again when one of three servers on one cluster is gone without a word. The cluster is
//! FoundationDB's stand-in, in this process.
//!
//! ```sh
//! cargo run --release -p doubletick-fdb --example crash -- 5000
//! ```

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::wildcard_enum_match_arm, reason = "it looks for one variant among many")]
#![allow(dead_code, reason = "the tests, which share these, use all of it")]

#[path = "../tests/gateways/crash.rs"]
mod crash;
#[path = "../tests/gateways/houses.rs"]
mod houses;
#[path = "../tests/gateways/plain_device.rs"]
mod plain_device;

#[tokio::main]
async fn main() {
    let count = std::env::args().nth(1).map(|count| count.parse().expect("the number of devices, an even one")).unwrap_or(5_000);
    crash::story(count).await;
}
