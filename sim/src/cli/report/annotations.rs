//! Lines that CI services show beside a change, if the program runs under one that knows such lines.

use super::{Report, again};
use crate::cli::exit::Outcome;

/// A service that reads what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    GitHub,
    Azure,
    TeamCity,
}

impl Service {
    /// The one that this runs under, as its environment says.
    fn current() -> Option<Self> {
        [("GITHUB_ACTIONS", Self::GitHub), ("TF_BUILD", Self::Azure), ("TEAMCITY_VERSION", Self::TeamCity)]
            .into_iter()
            .find(|(name, _)| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "false"))
            .map(|(_, service)| service)
    }

    fn line(self, file: &str, title: &str, text: &str) -> String {
        match self {
            Self::GitHub => format!("::error file={},title={}::{}", percent(file, true), percent(title, true), percent(text, false)),
            Self::Azure => {
                let file = percent(file, true).replace(';', "%3B").replace(']', "%5D");
                format!("##vso[task.logissue type=error;sourcepath={file}]{}", percent(&format!("{title}: {text}"), false))
            }
            Self::TeamCity => format!("##teamcity[buildProblem description='{}']", bars(&format!("{file}: {title}: {text}"))),
        }
    }
}

/// As GitHub and Azure want it.
fn percent(text: &str, property: bool) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}

/// As TeamCity wants it.
fn bars(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '|' | '\'' | '[' | ']' => escaped.extend(['|', letter]),
            '\n' => escaped.push_str("|n"),
            '\r' => escaped.push_str("|r"),
            _ if letter.is_ascii() => escaped.push(letter),
            _ => escaped.push('?'),
        }
    }
    escaped
}

/// A line for everything that is red; nothing where nobody would read them.
pub fn write(report: &Report) -> String {
    Service::current().map_or_else(String::new, |service| lines(report, service))
}

fn lines(report: &Report, service: Service) -> String {
    let mut lines = String::new();
    for scenario in &report.scenarios {
        let mut add = |title: String, text: String| {
            lines.push_str(&service.line(&scenario.path, &title, &text));
            lines.push('\n');
        };
        let (name, tally) = (&scenario.name, &scenario.tally);
        for (signature, cluster) in &tally.clusters {
            let seed = cluster.seeds.first().copied().unwrap_or_default();
            let kind = Outcome::from(cluster.kind).name();
            let text = format!("{signature}\n{} of {} seeds\nagain: {}", cluster.count, tally.seeds, again(scenario, seed));
            add(format!("{kind} in {name}"), text);
        }
        for (seed, difference) in &tally.differences {
            add(format!("nondeterminism in {name}"), format!("{difference}\nagain: {}", again(scenario, *seed)));
        }
        tally.inert().into_iter().for_each(|what| add(format!("inert in {name}"), what));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_gets_its_own_form_in_one_line() {
        let line = |service: Service| service.line("a,b.toml", "safety in x: y", "50 %\nagain [it's]");
        assert_eq!(line(Service::GitHub), "::error file=a%2Cb.toml,title=safety in x%3A y::50 %25%0Aagain [it's]");
        assert_eq!(line(Service::Azure), "##vso[task.logissue type=error;sourcepath=a%2Cb.toml]safety in x: y: 50 %25%0Aagain [it's]");
        assert_eq!(line(Service::TeamCity), "##teamcity[buildProblem description='a,b.toml: safety in x: y: 50 %|nagain |[it|'s|]']");
    }
}
