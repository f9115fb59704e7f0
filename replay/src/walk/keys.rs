//! What the keys do.

use super::{Asked, Prompt, Walk};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use doubletick_sim::inspect::Part;
use doubletick_sim::player::Mark;

/// Steps of a page.
const PAGE: u64 = 100;

impl Walk<'_> {
    /// A key is pressed. Says whether the walk goes on.
    #[expect(clippy::wildcard_enum_match_arm, reason = "there are many keys, and most mean nothing here")]
    pub fn press(&mut self, key: KeyEvent) -> bool {
        self.note.clear();
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return false;
        }
        if let Some(prompt) = self.prompt.take() {
            self.type_on(prompt, key.code);
            return true;
        }
        let at = self.at();
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Right | KeyCode::Char('l') => self.go(at + 1),
            KeyCode::Left | KeyCode::Char('h') => self.go(at.saturating_sub(1)),
            KeyCode::PageDown => self.go(at + PAGE),
            KeyCode::PageUp => self.go(at.saturating_sub(PAGE)),
            KeyCode::Home => self.go(0),
            KeyCode::End | KeyCode::Char('x') => self.go(self.last()),
            KeyCode::Char('f') => self.seek(true, "fault", is_fault),
            KeyCode::Char('F') => self.seek(false, "fault", is_fault),
            KeyCode::Char('m') => self.seek_message(true),
            KeyCode::Char('M') => self.seek_message(false),
            KeyCode::Tab => self.turn(1),
            KeyCode::BackTab => self.turn(-1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = (self.scroll + 1).min(self.state.len().saturating_sub(1)),
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Char('g') => self.prompt = Some(Prompt { asked: Asked::Step, text: String::new() }),
            KeyCode::Char('p') => self.prompt = Some(Prompt { asked: Asked::Part, text: String::new() }),
            // Keys that mean nothing.
            _ => {}
        }
        true
    }

    /// Of the conversation that is shown, or else of any.
    fn seek_message(&mut self, forwards: bool) {
        let shown = if let Part::Conversation(conversation) = self.part { Some(conversation) } else { None };
        self.seek(forwards, "message", |mark| matches!(mark, Mark::Message(of) if shown.is_none_or(|shown| shown == *of)));
    }

    /// Shows the next part, or the one before.
    fn turn(&mut self, by: isize) {
        let parts = self.player.parts();
        let now = parts.iter().position(|part| *part == self.part).unwrap_or_default() as isize;
        self.show(parts[(now + by).rem_euclid(parts.len() as isize) as usize]);
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "there are many keys, and most write nothing")]
    fn type_on(&mut self, mut prompt: Prompt, key: KeyCode) {
        match key {
            KeyCode::Esc => return,
            KeyCode::Enter => return self.answer(&prompt),
            KeyCode::Backspace => drop(prompt.text.pop()),
            KeyCode::Char(letter) => prompt.text.push(letter),
            // Keys that write nothing.
            _ => {}
        }
        self.prompt = Some(prompt);
    }

    fn answer(&mut self, prompt: &Prompt) {
        match (prompt.asked, prompt.text.parse::<u64>(), prompt.text.parse::<Part>()) {
            (Asked::Step, Ok(step), _) if step <= self.last() => self.go(step),
            (Asked::Step, ..) => self.note = format!("{}: a step is a number up to {}", prompt.text, self.last()),
            (Asked::Part, _, Ok(part)) => self.show(part),
            (Asked::Part, ..) => self.note = format!("{}: there is no such part; Tab shows one after the other", prompt.text),
        }
    }
}

fn is_fault(mark: &Mark) -> bool {
    matches!(mark, Mark::Fault(_) | Mark::Fired(_))
}
