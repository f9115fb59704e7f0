//! What the parts of a world say of themselves (as `Debug` writes it), read into a tree: to be shown in lines, filtered and put out as JSON.

use serde_json::{Map, Value};

/// Columns that something may take to be told in one line.
const WIDE: usize = 110;

/// Something, with what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// All of it, in one line.
    pub text: String,
    /// What it is made of, with names where these have any. Nothing for what is just itself.
    pub parts: Vec<(Option<String>, Tree)>,
}

impl Tree {
    /// Reads what `Debug` writes. What cannot be read is just itself.
    pub fn read(text: &str) -> Self {
        let mut reader = Reader { text, at: 0 };
        match reader.thing() {
            Some(tree) if reader.at == text.len() => tree,
            Some(_) | None => Self { text: text.into(), parts: Vec::new() },
        }
    }

    /// One part of it, by its name, or by its number.
    pub fn part(&self, name: &str) -> Option<&Self> {
        let named = self.parts.iter().find(|(known, _)| known.as_deref() == Some(name));
        let named = named.or_else(|| self.parts.get(name.parse::<usize>().ok()?));
        // What is only a wrapping is looked through.
        named.map(|(_, part)| part).or_else(|| match &self.parts[..] {
            [(None, inside)] => inside.part(name),
            _ => None,
        })
    }

    /// It, under its name, in lines of their own where it is long.
    pub fn lines(&self, name: &str, depth: usize, lines: &mut Vec<String>) {
        let before = "  ".repeat(depth);
        if self.parts.is_empty() || self.text.chars().count() + name.len() + 2 * depth <= WIDE {
            return lines.push(format!("{before}{name}: {}", self.text));
        }
        let head = self.head();
        if let ([(None, inside)], "Some") = (&self.parts[..], head) {
            return inside.lines(name, depth, lines);
        }
        lines.push(format!("{before}{name}{}{head}", if head.is_empty() { "" } else { ": " }));
        for (nth, (known, part)) in self.parts.iter().enumerate() {
            part.lines(known.as_deref().unwrap_or(&nth.to_string()), depth + 1, lines);
        }
    }

    /// The same as JSON: what has names is an object, what has none a list.
    pub fn json(&self) -> Value {
        match &self.parts[..] {
            [] => self.text.parse::<u64>().map_or_else(|_| self.plain(), Value::from),
            [(None, inside)] if !self.text.starts_with('[') => inside.json(),
            parts if parts.iter().all(|(name, _)| name.is_some()) => {
                let named = |(name, part): &(Option<String>, Self)| (name.clone().unwrap_or_default(), part.json());
                let head = Some(self.head()).filter(|head| !head.is_empty()).map(|head| ("is".to_owned(), Value::from(head)));
                Value::Object(head.into_iter().chain(parts.iter().map(named)).collect::<Map<_, _>>())
            }
            parts => Value::Array(parts.iter().map(|(_, part)| part.json()).collect()),
        }
    }

    /// What it is called: of which type, or which of an enum's cases.
    fn head(&self) -> &str {
        self.text.split(['(', '{', '[']).next().unwrap_or_default().trim()
    }

    fn plain(&self) -> Value {
        match self.text.as_str() {
            "None" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "[]" => Value::Array(Vec::new()),
            "{}" => Value::Object(Map::new()),
            text => Value::from(text.trim_matches('"')),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, what: &str) -> bool {
        let there = self.rest().starts_with(what);
        self.at += if there { what.len() } else { 0 };
        there
    }

    fn thing(&mut self) -> Option<Tree> {
        let from = self.at;
        if self.rest().starts_with('"') {
            self.string()?;
        } else {
            let word = self.rest().find([',', '{', '}', '(', ')', '[', ']', ':']).unwrap_or(self.rest().len());
            let end = self.rest()[word..].starts_with('}');
            self.at += if end { self.rest()[..word].trim_end().len() } else { word };
        }
        let mut parts = Vec::new();
        for (open, close) in [("(", ")"), ("{ ", " }"), ("{", "}"), ("[", "]")] {
            if self.skip(open) {
                parts = self.parts(close)?;
                break;
            }
        }
        (self.at > from).then(|| Tree { text: self.text[from..self.at].trim().into(), parts })
    }

    fn parts(&mut self, close: &str) -> Option<Vec<(Option<String>, Tree)>> {
        let mut parts = Vec::new();
        while !self.skip(close) {
            let first = self.thing()?;
            let part = if self.skip(": ") { (Some(first.text), self.thing()?) } else { (None, first) };
            parts.push(part);
            if !self.skip(", ") && !self.rest().starts_with(close) {
                return None;
            }
        }
        Some(parts)
    }

    fn string(&mut self) -> Option<()> {
        let mut escaped = false;
        for (at, letter) in self.rest().char_indices().skip(1) {
            if letter == '"' && !escaped {
                self.at += at + 1;
                return Some(());
            }
            escaped = letter == '\\' && !escaped;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(Debug)]
    #[expect(dead_code, reason = "only Debug reads it")]
    struct Thing {
        name: &'static str,
        some: Option<(u64, bool)>,
        none: Option<u64>,
        map: BTreeMap<(u8, u8), Vec<Thing>>,
        set: BTreeSet<u8>,
        unit: (),
    }

    fn thing(name: &'static str, map: BTreeMap<(u8, u8), Vec<Thing>>) -> Thing {
        Thing { name, some: Some((7, true)), none: None, map, set: BTreeSet::from([1, 2]), unit: () }
    }

    #[test]
    fn what_debug_writes_is_read_with_all_that_is_in_it() {
        let inside = thing("a \"b\", {c: 1}", BTreeMap::new());
        let tree = Tree::read(&format!("{:?}", thing("x", BTreeMap::from([((1, 2), vec![inside])]))));
        let json = json!({"is": "Thing", "name": "x", "some": [7, true], "none": null, "unit": "()", "set": [1, 2], "map": {"(1, 2)": [{
            "is": "Thing", "name": "a \\\"b\\\", {c: 1}", "some": [7, true], "none": null, "unit": "()", "set": [1, 2], "map": {}}]}});
        assert_eq!(tree.json(), json);
        assert_eq!(
            tree.part("map").and_then(|map| map.part("(1, 2)")?.part("0")?.part("some")).map(|some| some.text.as_str()),
            Some("Some((7, true))")
        );
        let mut lines = Vec::new();
        tree.lines("thing", 0, &mut lines);
        assert_eq!((lines[0].as_str(), lines[1].as_str()), ("thing: Thing", "  name: \"x\""));
        assert!(lines.iter().all(|line| line.chars().count() <= WIDE + 20), "{lines:#?}");
    }

    #[test]
    fn what_cannot_be_read_is_just_itself() {
        for text in ["(", "a, b", "{ x: ", "\"open", "", "[1 2"] {
            assert_eq!(Tree::read(text), Tree { text: text.into(), parts: vec![] }, "{text}");
        }
    }
}
