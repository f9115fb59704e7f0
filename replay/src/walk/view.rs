//! What is to be seen: the story on the left, the state of a part on the right.

use super::{Asked, Walk};
use crate::story::{as_line, time};
use doubletick_sim::watch::{Entry, Step};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Wrap};

/// What the keys do, in one line.
const HELP: &str = "←→ step  PgUp/PgDn 100  f/F fault  m/M message  x end  g go to  Tab/p part  ↑↓ scroll  q quit";

impl Walk<'_> {
    /// Draws all of it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let [title, middle, step, foot] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(4), Constraint::Length(8), Constraint::Length(1)]).areas(frame.area());
        let [story, state] = Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(middle);
        frame.render_widget(Paragraph::new(self.title()).style(Style::new().add_modifier(Modifier::REVERSED)), title);
        self.draw_story(frame, story);
        self.draw_state(frame, state);
        self.draw_step(frame, step);
        frame.render_widget(Paragraph::new(self.foot()), foot);
    }

    fn title(&self) -> String {
        let at = self.story.last().map_or(0, |step| step.at_ms);
        let verdict = self.verdict().map(|verdict| format!("  {verdict}")).unwrap_or_default();
        format!(" step {} of {}  {}{verdict}", self.at(), self.last(), time(at))
    }

    fn draw_story(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::bordered().title(" story ");
        let height = block.inner(area).height as usize;
        let from = self.story.len().saturating_sub(height);
        let lines: Vec<Line<'_>> = self.story[from..].iter().map(|step| Line::styled(as_line(step, false), self.style(step))).collect();
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }

    fn style(&self, step: &Step) -> Style {
        let has = |wanted: fn(&Entry) -> bool| step.entries.iter().any(wanted);
        let style = if has(|entry| matches!(entry, Entry::Fired(_))) {
            Style::new().fg(Color::Red)
        } else if has(|entry| matches!(entry, Entry::Fault(_))) {
            Style::new().fg(Color::Yellow)
        } else {
            Style::new()
        };
        if step.number == self.at() { style.add_modifier(Modifier::BOLD | Modifier::REVERSED) } else { style }
    }

    fn draw_state(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::bordered().title(format!(" {} ", self.part));
        let changed = |line: usize| if self.changed.contains(&line) { Style::new().fg(Color::Green) } else { Style::new() };
        let lines = self.state.iter().enumerate().skip(self.scroll);
        let lines: Vec<Line<'_>> = lines.take(area.height.into()).map(|(nth, line)| Line::styled(line.as_str(), changed(nth))).collect();
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }

    /// The step, entry by entry.
    fn draw_step(&self, frame: &mut Frame<'_>, area: Rect) {
        let text = self.story.last().map(|step| as_line(step, false).replace(" | ", "\n")).unwrap_or_default();
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }).block(Block::bordered().title(" step ")), area);
    }

    fn foot(&self) -> String {
        match &self.prompt {
            Some(prompt) if prompt.asked == Asked::Step => format!("step: {}", prompt.text),
            Some(prompt) => format!("part: {}", prompt.text),
            None if self.note.is_empty() => HELP.into(),
            None => self.note.clone(),
        }
    }
}
