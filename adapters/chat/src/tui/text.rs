//! Text in columns: what takes how many, and where a line breaks.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The beginning of a text that fits into so many columns, with an ellipsis if that is not all of it.
pub(super) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut fitted = String::new();
    for grapheme in text.graphemes(true) {
        if width(&fitted) + width(grapheme) + 1 > columns {
            break;
        }
        fitted.push_str(grapheme);
    }
    if columns > 0 {
        fitted.push('…');
    }
    fitted
}

/// The lines of a text: broken at its own breaks, else between words, else anywhere. None is wider than `columns` unless a single
/// character is.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![];
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split_word_bounds() {
            if width(&line) + width(word) <= columns {
                line.push_str(word);
                continue;
            }
            if !line.is_empty() && width(word) <= columns {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                // The space between two words goes with the break.
                if !word.trim().is_empty() {
                    line.push_str(word);
                }
                continue;
            }
            for grapheme in word.graphemes(true) {
                if !line.is_empty() && width(&line) + width(grapheme) > columns {
                    lines.push(std::mem::take(&mut line));
                }
                line.push_str(grapheme);
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_only_else_within_them() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn wide_characters_take_two_columns_and_joined_ones_stay_together() {
        assert_eq!(width("日本"), 4);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(wrap("e\u{301}e\u{301}", 1), ["e\u{301}", "e\u{301}"]);
        assert_eq!(wrap("👩\u{200d}🚀👩\u{200d}🚀", 2), ["👩\u{200d}🚀", "👩\u{200d}🚀"]);
    }
}
