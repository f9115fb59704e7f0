//! The one place where this crate touches the world: sockets, time, tasks, randomness.
//!
//! Everything else is written against these few names, so that the same code runs over a simulated network and clock when they are
//! made to stand for those.

use std::future::Future;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doubletick_core::time::{Millis, Timestamp};
use tokio::net::TcpStream;
use tokio::time::Instant;

pub(crate) use tokio::task::JoinHandle as Task;

/// Connects to a host. Small frames leave at once (`TCP_NODELAY`).
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Runs a future as a task of its own.
pub(crate) fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

/// Runs what waits for the disk where it keeps nobody else waiting.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("storing does not panic, and is not cancelled while it is waited for")
}

/// Waits.
pub(crate) async fn sleep(length: Millis) {
    tokio::time::sleep(Duration::from_millis(length.0)).await;
}

/// What the future resolves to, or `None` if that takes longer than `limit`.
pub(crate) async fn within<F: Future>(limit: Millis, future: F) -> Option<F::Output> {
    tokio::time::timeout(Duration::from_millis(limit.0), future).await.ok()
}

/// Bytes of the operating system's random source.
///
/// # Panics
/// If it has none to give: there is no safe way to go on without.
pub(crate) fn random<const N: usize>() -> [u8; N] {
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
pub(crate) struct Clock {
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
    pub(crate) fn now(&mut self) -> Timestamp {
        let read = Instant::now();
        let elapsed = u64::try_from(read.duration_since(self.read).as_micros()).unwrap_or(u64::MAX);
        self.read = read;
        self.micros = system_micros().max(self.micros.saturating_add(elapsed / 2));
        Timestamp::from_millis(self.micros / 1000)
    }
}
