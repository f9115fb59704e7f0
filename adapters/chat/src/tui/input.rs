//! The line that is being written.

use unicode_segmentation::UnicodeSegmentation;

/// A text with a cursor in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Input {
    text: String,
    /// In bytes, between two characters as a reader takes them.
    cursor: usize,
}

impl Input {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes the text away.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    pub(super) fn insert(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    pub(super) fn left(&mut self) {
        self.cursor -= self.before_cursor().graphemes(true).next_back().map_or(0, str::len);
    }

    pub(super) fn right(&mut self) {
        self.cursor += self.text[self.cursor..].graphemes(true).next().map_or(0, str::len);
    }

    pub(super) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(super) fn end(&mut self) {
        self.cursor = self.text.len();
    }

    pub(super) fn backspace(&mut self) {
        let end = self.cursor;
        self.left();
        self.text.drain(self.cursor..end);
    }

    pub(super) fn delete(&mut self) {
        let start = self.cursor;
        self.right();
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    /// Takes away the word before the cursor.
    pub(super) fn delete_word(&mut self) {
        let kept = self.before_cursor().trim_end();
        let start = kept.rfind(char::is_whitespace).map_or(0, |place| place + kept[place..].chars().next().map_or(0, char::len_utf8));
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    /// Takes away everything before the cursor.
    pub(super) fn delete_line(&mut self) {
        self.text.drain(..self.cursor);
        self.cursor = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_moves_by_what_a_reader_takes_for_a_character() {
        let mut input = Input::default();
        input.insert("ae\u{301}日");
        input.left();
        input.left();
        assert_eq!(input.before_cursor(), "a");
        input.delete();
        assert_eq!(input.text(), "a日");
        input.end();
        input.backspace();
        input.backspace();
        input.backspace();
        assert_eq!(input, Input::default());
    }

    #[test]
    fn words_and_lines_go_at_once() {
        let mut input = Input::default();
        input.insert("one two  three ");
        input.delete_word();
        assert_eq!(input.text(), "one two  ");
        input.delete_word();
        assert_eq!(input.text(), "one ");
        input.insert("x");
        input.home();
        input.right();
        input.delete_line();
        assert_eq!((input.text(), input.before_cursor()), ("ne x", ""));
    }
}
