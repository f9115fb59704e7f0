//! What documents say must be there.

use std::path::Path;

use super::{files, none, root};

#[test]
fn every_link_in_a_document_leads_to_a_file() {
    let mut broken = vec![];
    for (path, text) in files("", ".md") {
        let folder = root().join(Path::new(&path).parent().unwrap());
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
            if !elsewhere && !folder.join(file).exists() {
                broken.push(format!("{path}: {link}"));
            }
        }
    }
    none("links that lead nowhere", &broken);
}

#[test]
fn every_path_that_the_code_map_names_is_there() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let paths = text.split('`').skip(1).step_by(2).filter(|name| name.contains('/') && !name.contains([' ', '*', ':', '<', '(']));
    let missing: Vec<String> = paths.filter(|path| !path.starts_with('/') && !root().join(path).exists()).map(str::to_owned).collect();
    none("paths in ARCHITECTURE.md that are not there", &missing);
}

#[test]
fn every_test_that_the_list_of_failures_names_is_there() {
    let sources: String = [files("core/tests", ".rs"), files("adapters", ".rs")].concat().into_iter().map(|(_, text)| text).collect();
    let text = std::fs::read_to_string(root().join("docs/failures.md")).unwrap();
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    assert!(named.len() > 20, "the table was read");
    let missing: Vec<String> = named.into_iter().filter(|name| !sources.contains(&format!("fn {name}("))).map(str::to_owned).collect();
    none("tests in docs/failures.md that are not there", &missing);
}
