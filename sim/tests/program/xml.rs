//! Reads XML as far as reports use it: elements, attributes, texts. What is no XML is a panic.

#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("{} has no {name}", self.name)).1
    }
}

pub(super) fn parse(text: &str) -> Element {
    let text = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("it begins as XML");
    let mut open = vec![Element::default()];
    for piece in text.split_inclusive('>') {
        let (before, tag) = piece.split_once('<').unwrap_or((piece, ""));
        let here = open.last_mut().unwrap();
        here.text += &plain(before);
        if tag.is_empty() {
            continue;
        }
        let tag = tag.strip_suffix('>').expect("a tag ends");
        if let Some(name) = tag.strip_prefix('/') {
            let done = open.pop().unwrap();
            assert_eq!(done.name, name, "tags are closed in order");
            open.last_mut().unwrap().children.push(done);
        } else {
            let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let element = element(tag);
            if empty { open.last_mut().unwrap().children.push(element) } else { open.push(element) }
        }
    }
    assert_eq!(open.len(), 1, "all tags are closed");
    let mut root = open.pop().unwrap().children;
    assert_eq!(root.len(), 1, "there is one element around all");
    root.pop().unwrap()
}

fn element(tag: &str) -> Element {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    assert!(name.chars().all(|letter| letter.is_ascii_lowercase()), "{name}");
    let mut element = Element { name: name.into(), ..Element::default() };
    while !rest.trim().is_empty() {
        let (name, after) = rest.trim_start().split_once("=\"").expect("an attribute has a value");
        let (value, after) = after.split_once('"').expect("a value ends");
        assert!(element.attributes.iter().all(|(known, _)| known != name), "{name} stands twice");
        element.attributes.push((name.into(), plain(value)));
        rest = after;
    }
    element
}

fn plain(text: &str) -> String {
    let mut pieces = text.split('&');
    let mut plain = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once(';').expect("an entity ends");
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            other => panic!("there is no &{other};"),
        });
        plain += rest;
    }
    plain
}
