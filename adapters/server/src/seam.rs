//! The one place where this crate touches the world: sockets, time, tasks, randomness.
//!
//! Everything else is written against these few names, so that the same code runs over a simulated network and clock when they are
//! made to stand for those.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doubletick_core::time::{Millis, Timestamp};

pub use tokio::net::{TcpListener, TcpStream};
pub use tokio::task::JoinHandle as Task;
pub use tokio::time::Instant;

/// Listens on an address; port 0 takes a free one.
///
/// # Errors
/// What the operating system says, such as that the address is in use.
pub async fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(addr).await
}

/// Waits for the next connection. Small frames leave at once (`TCP_NODELAY`).
///
/// # Errors
/// What the operating system says, such as that there are too many open files.
pub async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer))
}

/// Connects to an address. Small frames leave at once (`TCP_NODELAY`).
///
/// # Errors
/// What the operating system says, such as that nobody listens there.
pub async fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Runs a future as a task of its own.
pub fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

/// Waits.
pub async fn sleep(length: Millis) {
    tokio::time::sleep(Duration::from_millis(length.0)).await;
}

/// What the future resolves to, or `None` if that takes longer than `limit`.
pub async fn within<F: Future>(limit: Millis, future: F) -> Option<F::Output> {
    tokio::time::timeout(Duration::from_millis(limit.0), future).await.ok()
}

/// Bytes of the operating system's random source.
///
/// # Panics
/// If it has none to give: there is no safe way to go on without.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has a random source");
    bytes
}

/// The system's clock in microseconds since 1970, wherever somebody may have set it.
fn system_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The system's clock, made never to go back: when that is set back, this one goes on at half its speed until the two agree again.
#[derive(Debug)]
pub struct Clock {
    micros: u64,
    read: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { micros: system_micros(), read: Instant::now() }
    }
}

impl Clock {
    /// The time.
    pub fn now(&mut self) -> Timestamp {
        let read = Instant::now();
        let elapsed = read.duration_since(self.read);
        self.read = read;
        self.micros = advance(self.micros, elapsed, system_micros());
        Timestamp::from_millis(self.micros / 1000)
    }
}

fn advance(before: u64, elapsed: Duration, system: u64) -> u64 {
    let elapsed = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    system.max(before.saturating_add(elapsed / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_follows_the_system_forwards_and_slows_down_rather_than_going_back() {
        let second = Duration::from_secs(1);
        for (system, expected, why) in [
            (11_000_000, 11_000_000, "both agree"),
            (99_000_000, 99_000_000, "the system was set forwards"),
            (5_000_000, 10_500_000, "the system was set back"),
            (10_600_000, 10_600_000, "it has caught up"),
        ] {
            assert_eq!(advance(10_000_000, second, system), expected, "{why}");
        }
    }
}
