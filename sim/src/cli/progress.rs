//! How far a long run has come: a line that is written over where there is a terminal, else a line from time to time.

use core::time::Duration;
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Between two lines where there is no terminal; each is twice as long after the one before, so that a log does not fill.
const FIRST_LINE: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// Between two changes of the line on a terminal.
const REDRAW: Duration = Duration::from_millis(200);

/// How far it has come.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Seeds that are done.
    pub seeds: u64,
    /// Those that failed.
    pub failed: u64,
    /// Faults that have fired.
    pub fired: u64,
    /// How much of the whole is done, in millionths.
    pub done_ppm: u64,
}

/// Shows it on the standard error output.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    began: Instant,
    last: Instant,
    pause: Duration,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let now = Instant::now();
        Self { terminal, began: now, last: now, pause: if terminal { REDRAW } else { FIRST_LINE } }
    }

    /// Shows it, unless it was shown a moment ago.
    pub fn show(&mut self, state: State) {
        if self.last.elapsed() < self.pause {
            return;
        }
        self.last = Instant::now();
        let line = line(state, self.began.elapsed());
        if self.terminal {
            eprint!("\r\x1b[2K{line}");
        } else {
            eprintln!("{line}");
            self.pause = (self.pause * 2).min(LONGEST);
        }
        // A terminal that is gone needs no progress.
        let _shown = std::io::stderr().flush();
    }

    /// Takes the line away.
    pub fn end(&self) {
        if self.terminal {
            eprint!("\r\x1b[2K");
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

fn line(state: State, elapsed: Duration) -> String {
    let rate = u128::from(state.fired) * 1000 / elapsed.as_millis().max(1);
    let left = match state.done_ppm {
        0 => "?".into(),
        done => time(elapsed.as_secs() * 1_000_000_u64.saturating_sub(done) / done),
    };
    let failed = if state.failed > 0 { format!(", {} FAILED", state.failed) } else { String::new() };
    let percent = state.done_ppm / 10_000;
    format!("{percent:>3} %  {} seeds{failed}, {} faults fired, {rate}/s, {left} left", state.seeds, state.fired)
}

fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_how_fast_and_how_long() {
        let state = State { seeds: 50, failed: 0, fired: 12_000, done_ppm: 250_000 };
        assert_eq!(line(state, Duration::from_secs(60)), " 25 %  50 seeds, 12000 faults fired, 200/s, 3:00 min left");
        let state = State { failed: 2, done_ppm: 0, ..state };
        assert_eq!(line(state, Duration::ZERO), "  0 %  50 seeds, 2 FAILED, 12000 faults fired, 12000000/s, ? left");
    }

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        for (seconds, told) in [(0, "0 s"), (59, "59 s"), (60, "1:00 min"), (3599, "59:59 min"), (3600, "1:00 h"), (36_061, "10:01 h")] {
            assert_eq!(time(seconds), told);
        }
    }
}
