//! Several servers on one cluster, which is FoundationDB's stand-in: they come and go, crash, stop in turn behind a load balancer, and lose
//! their cluster for a while; no promise breaks.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant among many")]

mod away;
mod behind_haproxy;
mod coming_and_going;
mod crash;
mod houses;
mod plain_device;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_crash_every_device_is_back_and_has_everything_and_the_lost_are_shown_as_gone() {
    let _alone = houses::alone().await;
    tokio::time::timeout(std::time::Duration::from_secs(180), crash::story(300)).await.expect("it comes to its end");
}
