//! The terminal: taken over at the start, given back at the end, whatever the end is.

use std::io;
use std::sync::Once;
use std::time::Duration;

use crossterm::event::{self, DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange, Event};
use crossterm::execute;
use ratatui::DefaultTerminal;
use tokio::sync::mpsc;

/// What the user does, while nothing is done about it; the terminal keeps the rest.
const KEYS: usize = 64;

/// How often the thread that reads the terminal looks whether anybody still wants to know.
const LOOK: Duration = Duration::from_millis(200);

/// A terminal that is given back when this is dropped.
pub(super) struct Screen(pub(super) DefaultTerminal);

impl Screen {
    pub(super) fn take() -> io::Result<Self> {
        // The hook of `ratatui::try_init` gives back what that has taken; this one, the rest, and before.
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                give_back_modes();
                before(info);
            }));
        });
        let terminal = ratatui::try_init()?;
        let screen = Self(terminal);
        execute!(io::stdout(), EnableBracketedPaste, EnableFocusChange)?;
        Ok(screen)
    }

    /// Keys, pastes and changes of size, read in a thread of their own because the terminal is read blocking.
    pub(super) fn events() -> mpsc::Receiver<io::Result<Event>> {
        let (keys, events) = mpsc::channel(KEYS);
        std::thread::spawn(move || {
            while !keys.is_closed() {
                let next = match event::poll(LOOK) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                let failed = next.is_err();
                if keys.blocking_send(next).is_err() || failed {
                    return;
                }
            }
        });
        events
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back_modes();
        ratatui::restore();
    }
}

fn give_back_modes() {
    // There is nothing to be done about a terminal that is gone.
    let _gone = execute!(io::stdout(), DisableBracketedPaste, DisableFocusChange);
}
