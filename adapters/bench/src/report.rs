//! What came of a run, for people and for programs.

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Figures in the order in which they are shown, and what was wrong.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<(String, String)>,
    figures: Map<String, Value>,
    wrong: Vec<String>,
}

impl Report {
    pub(crate) fn count(&mut self, name: &str, label: &str, value: u64) {
        self.add(name, label, json!(value), thousands(value));
    }

    pub(crate) fn amount(&mut self, name: &str, label: &str, value: f64, unit: &str) {
        self.add(name, label, json!((value * 100.0).round() / 100.0), format!("{value:.1} {unit}"));
    }

    /// Percentiles of a latency in microseconds, shown in milliseconds.
    pub(crate) fn latency(&mut self, name: &str, label: &str, latency: &Histogram<u64>) {
        let millis = |micros: u64| micros as f64 / 1000.0;
        let at = |quantile| millis(latency.value_at_quantile(quantile));
        let value = json!({ "p50": at(0.5), "p99": at(0.99), "p99_9": at(0.999), "max": millis(latency.max()), "count": latency.len() });
        let text =
            format!("p50 {:.2} ms   p99 {:.2} ms   p99.9 {:.2} ms   max {:.2} ms", at(0.5), at(0.99), at(0.999), millis(latency.max()));
        self.add(name, label, value, text);
    }

    /// What commands have cost the store, by their names.
    pub(crate) fn costs(&mut self, costs: Map<String, Value>) {
        for (command, of) in &costs {
            let figure = |name: &str| of[name].as_f64().unwrap_or_default();
            let text = format!(
                "{} times: {:.2} reads, {:.2} rows read, {:.0} bytes, {:.2} rows written, {:.0} bytes, {:.2} rounds, {:.3} commits",
                thousands(figure("count") as u64),
                figure("reads"),
                figure("rows_read"),
                figure("bytes_read"),
                figure("rows_written"),
                figure("bytes_written"),
                figure("rounds"),
                figure("commits"),
            );
            self.lines.push((command.clone(), text));
        }
        self.figures.insert("costs".to_owned(), Value::Object(costs));
    }

    pub(crate) fn wrong(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    fn add(&mut self, name: &str, label: &str, value: Value, text: String) {
        self.figures.insert(name.to_owned(), value);
        self.lines.push((label.to_owned(), text));
    }

    /// The figures as one JSON object.
    pub(crate) fn json(&self) -> String {
        let mut figures = self.figures.clone();
        figures.insert("wrong".to_owned(), json!(self.wrong));
        serde_json::to_string_pretty(&Value::Object(figures)).expect("numbers and texts are JSON")
    }

    /// The figures as a table.
    pub(crate) fn text(&self) -> String {
        let width = self.lines.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (label, value) in &self.lines {
            let _ = writeln!(text, "{label:width$}  {value}");
        }
        for wrong in self.wrong.iter().take(20) {
            let _ = writeln!(text, "WRONG: {wrong}");
        }
        text
    }

    /// # Errors
    /// If anything was wrong.
    pub(crate) fn verdict(&self) -> Result<()> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        bail!("{} things were wrong; the first: {}", self.wrong.len(), self.wrong[0])
    }
}

fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_read_in_groups_of_three() {
        for (value, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(value), text);
        }
    }

    #[test]
    fn a_run_with_something_wrong_fails_and_says_what() {
        let mut report = Report::default();
        assert!(report.verdict().is_ok());
        report.wrong("message 7 came after message 5");
        assert!(report.verdict().unwrap_err().to_string().contains("message 7"));
        assert!(report.text().contains("WRONG: message 7"));
        assert!(report.json().contains("message 7"));
    }
}
