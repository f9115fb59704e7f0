//! The report as JUnit's XML, as CI services read it: a suite for each scenario, a case that its seeds hold, and one for whatever did not.

use super::{Report, ScenarioReport, again};
use crate::cli::exit::Outcome;
use core::time::Duration;

/// A case that did not hold.
struct Failed {
    name: String,
    kind: &'static str,
    message: String,
    text: String,
}

/// The report.
pub fn write(report: &Report) -> String {
    let suites: Vec<(usize, String)> = report.scenarios.iter().map(suite).collect();
    let (tests, failures) = suites.iter().fold((0, 0), |(tests, failures), (failed, _)| (tests + failed + 1, failures + failed));
    let time = seconds(report.elapsed);
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text += &format!("<testsuites name=\"doubletick-sim\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" time=\"{time}\">\n");
    suites.iter().for_each(|(_, suite)| text.push_str(suite));
    text + "</testsuites>\n"
}

fn suite(report: &ScenarioReport) -> (usize, String) {
    let failed = failed(report);
    let (name, count, time) = (escaped(&report.name), failed.len(), seconds(report.busy));
    let mut text = format!("  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{count}\" errors=\"0\" time=\"{time}\">\n", count + 1);
    let holds = report.tally.seeds - report.tally.failed;
    text += &format!("    <testcase classname=\"{name}\" name=\"{holds} of {} seeds hold\" time=\"{time}\"/>\n", report.tally.seeds);
    for Failed { name: case, kind, message, text: body } in &failed {
        text += &format!(
            "    <testcase classname=\"{name}\" name=\"{}\" time=\"0\">\n      <failure type=\"{kind}\" message=\"{}\">{}</failure>\n    </testcase>\n",
            escaped(case),
            escaped(message),
            escaped(body)
        );
    }
    (count, text + "  </testsuite>\n")
}

fn failed(report: &ScenarioReport) -> Vec<Failed> {
    let clusters = report.tally.clusters.iter().map(|(signature, cluster)| {
        let seed = cluster.seeds.first().copied().unwrap_or_default();
        Failed {
            name: signature.clone(),
            kind: Outcome::from(cluster.kind).name(),
            message: format!("{} of {} seeds, the first of them {seed}", cluster.count, report.tally.seeds),
            text: format!("{}\nagain: {}\n{}", cluster.first.detail, again(report, seed), cluster.first.last_steps.join("\n")),
        }
    });
    let differences = report.tally.differences.iter().map(|(seed, difference)| Failed {
        name: format!("seed {seed} came out different in a fresh process"),
        kind: Outcome::Nondeterminism.name(),
        message: difference.clone(),
        text: format!("again: {}", again(report, *seed)),
    });
    let inert = report.tally.inert().into_iter().map(|what| Failed {
        name: what.clone(),
        kind: Outcome::Inert.name(),
        message: what,
        text: String::new(),
    });
    clusters.chain(differences).chain(inert).collect()
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// A text as XML and HTML take it, in an attribute as well as between tags. Characters that XML 1.0 (section 2.2) does not know become `?`.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            '\u{fffe}' | '\u{ffff}' => escaped.push('?'),
            _ if letter.is_control() => escaped.push('?'),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_break_out_of_an_attribute_or_a_tag() {
        assert_eq!(escaped("a<b>&\"'\u{0}\u{1b}\u{ffff}\nü"), "a&lt;b&gt;&amp;&quot;&#39;???\nü");
    }
}
