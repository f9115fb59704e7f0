//! Ctrl-C and SIGTERM end what is under way, with the report so far, or with what was begun put away. The second one ends it at once.

use core::time::Duration;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

/// What comes so soon after the first signal is that signal: `timeout` sends it to the program and then to the program's whole group.
const ECHO: Duration = Duration::from_secs(1);

static STOP: AtomicBool = AtomicBool::new(false);

/// From here on signals are noticed, by a thread of their own.
///
/// # Errors
/// What the operating system says.
pub fn watch() -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let heed = move || {
        let mut first: Option<Instant> = None;
        for signal in signals.forever() {
            STOP.store(true, Ordering::SeqCst);
            if first.get_or_insert_with(Instant::now).elapsed() > ECHO {
                std::process::exit(128 + signal);
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(heed).map(drop)
}

/// Whether one has come.
pub fn stopped() -> bool {
    STOP.load(Ordering::SeqCst)
}
