//! The configuration file.

use std::path::Path;

use super::Value;
use super::keys::KEYS;

/// Reads a file's values, in the order in which they stand.
///
/// # Errors
/// A sentence that names the file, and the key if it is about one.
pub(super) fn read(path: &Path) -> Result<Vec<Value>, String> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    parse(&text, &name)
}

pub(super) fn parse(text: &str, from: &str) -> Result<Vec<Value>, String> {
    let table: toml::Table = text.parse().map_err(|error| format!("{from} is no TOML: {error}"))?;
    let mut values = Vec::new();
    flatten("", table, from, &mut values)?;
    Ok(values)
}

fn flatten(section: &str, table: toml::Table, from: &str, values: &mut Vec<Value>) -> Result<(), String> {
    for (name, value) in table {
        let name = if section.is_empty() { name } else { format!("{section}.{name}") };
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Table(table) if section.is_empty() => {
                flatten(&name, table, from, values)?;
                continue;
            }
            other @ (toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_)) => other.to_string(),
        };
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            return Err(format!("{from}: there is no key {name}; did you mean {}?", nearest(&name)));
        };
        values.push(Value { key: key.name, text, from: from.into() });
    }
    Ok(())
}

/// The known key that takes the fewest changes to make.
fn nearest(name: &str) -> &'static str {
    let nearest = KEYS.iter().map(|key| key.name).min_by_key(|known| distance(name, known));
    nearest.expect("there are keys")
}

/// Letters to put in, take out or replace (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], line + 1);
        for (column, against) in other.iter().enumerate() {
            let replaced = before + usize::from(letter != *against);
            before = row[column + 1];
            row[column + 1] = replaced.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_there_is_not_is_told_with_the_nearest_that_there_is() {
        for (text, unknown, nearest) in [
            ("lisen = \"x\"", "lisen", "listen"),
            ("[gatway]\nwindow = 3", "gatway.window", "gateway.window"),
            ("[tls]\ncertificates = \"x\"", "tls.certificates", "tls.certificate"),
            ("[registration]\nburst = 3", "registration.burst", "registration.overall_burst"),
        ] {
            let error = parse(text, "f.toml").unwrap_err();
            assert_eq!(error, format!("f.toml: there is no key {unknown}; did you mean {nearest}?"));
        }
    }

    #[test]
    fn a_value_of_a_kind_that_no_key_has_is_left_to_the_key_to_refuse() {
        let values = parse("shards = [1]\nlisten = 1.5", "f.toml").unwrap();
        assert_eq!(values.iter().map(|value| value.text.as_str()).collect::<Vec<_>>(), ["1.5", "[1]"]);
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let error = parse("listen = ", "f.toml").unwrap_err();
        assert!(error.starts_with("f.toml is no TOML: ") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn distances_count_changes() {
        for (one, other, changes) in [("", "", 0), ("abc", "abc", 0), ("", "abc", 3), ("abc", "ac", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(one, other), changes);
            assert_eq!(distance(other, one), changes);
        }
    }
}
