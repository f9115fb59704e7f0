//! Programs that are started, and end when this one is told to.

use doubletick_sim::cli::signals;
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// How long a look takes: so late is a signal noticed at most.
const LOOK: Duration = Duration::from_millis(20);

/// Runs a command to its end. A signal to this program ends it, with all that it has started.
///
/// # Errors
/// A line that says why it could not be started, or that a signal has ended it.
pub(super) fn run(command: &mut Command) -> Result<ExitStatus, String> {
    let program = command.get_program().display().to_string();
    let wrong = |error: std::io::Error| format!("{program}: {error}");
    let mut child = command.process_group(0).spawn().map_err(wrong)?;
    loop {
        if let Some(status) = child.try_wait().map_err(wrong)? {
            return Ok(status);
        }
        if signals::stopped() {
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            // If the group is gone, it has ended by itself.
            group.map(|group| kill_process_group(group, Signal::KILL));
            child.wait().map_err(wrong)?;
            return Err(format!("{program}: ended by a signal"));
        }
        std::thread::sleep(LOOK);
    }
}
