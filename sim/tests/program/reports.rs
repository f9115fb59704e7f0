//! The reports, read as those read them for whom they are.

use super::{CALM, Dir, LATE, ends_with, xml};
use serde_json::Value;

/// Without what differs from run to run of the same seeds.
fn without_speed(mut value: Value) -> Value {
    fn strip(value: &mut Value) {
        if let Some(object) = value.as_object_mut() {
            object.remove("speed");
            object.values_mut().for_each(strip);
        } else if let Some(array) = value.as_array_mut() {
            array.iter_mut().for_each(strip);
        }
    }
    strip(&mut value);
    value
}

#[test]
fn what_comes_of_seeds_does_not_depend_on_the_number_of_jobs() {
    let dir = Dir::new("jobs");
    let (calm, late, json) = (dir.file("calm.toml", CALM), dir.file("late.toml", LATE), dir.path("report.json"));
    let rough = format!("{CALM}[faults]\nreset = 50_000\ndelay = {{ per_million = 500_000, ms = [1, 400] }}\n");
    let rough = dir.file("rough.toml", &rough);
    let mut limits = vec![vec!["--seeds", "9"], vec!["--faults", "40"], vec!["--seeds", "30", "--fail-fast"]];
    for limit in &mut limits {
        let mut reports = ["1", "2", "5"].map(|jobs| {
            let arguments =
                [&["run", &calm, &rough, &late, "--twice", "3", "--without", "2", "--jobs", jobs, "--json", &json], &limit[..]].concat();
            ends_with(11, &arguments);
            without_speed(serde_json::from_str(&dir.read("report.json")).unwrap())
        });
        let first = reports[0].take();
        assert!(first["total"]["seeds"].as_u64().unwrap() > 0);
        assert_eq!(reports[1], first, "{limit:?}");
        assert_eq!(reports[2], first, "{limit:?}");
    }
}

#[test]
fn the_json_report_has_all_that_a_dashboard_needs() {
    let dir = Dir::new("json");
    let json = dir.path("report.json");
    ends_with(0, &["run", "scenarios/storm.toml", "--seeds", "4", "--without", "1", "--json", &json]);
    let report: Value = serde_json::from_str(&dir.read("report.json")).unwrap();
    assert_eq!((&report["outcome"], &report["exit_code"], &report["end"]), (&"clean".into(), &0.into(), &"done".into()));
    assert_eq!(report["command"], "doubletick-sim run scenarios/storm.toml --from 0 --seeds 4 --without 1");
    assert_eq!((&report["total"]["seeds"], &report["total"]["run_twice"]), (&4.into(), &1.into()));
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} is a number"));
    for rate in ["fired_per_second_per_core", "steps_per_second_per_core", "seeds_per_second_per_core"] {
        assert!(number(&report["speed"][rate]) > 0.0 && number(&report["scenarios"][0]["speed"][rate]) > 0.0, "{rate}");
    }
    let faults = report["total"]["faults"].as_object().unwrap();
    let sum: f64 = faults.values().map(|fault| number(&fault["fired"])).sum();
    assert!(sum > 0.0 && (sum - number(&report["total"]["fired"])).abs() < 0.5);
    let tried: f64 = faults.values().map(|fault| number(&fault["tried_without"])).sum();
    let mattered: f64 = faults.values().map(|fault| number(&fault["mattered"])).sum();
    assert!((1.0..=4.0).contains(&tried) && (0.0..=tried).contains(&mattered));
    let compared = report["total"]["comparisons"].as_object().unwrap();
    assert!(compared.contains_key("NO_LOSS") && compared.values().all(Value::is_u64));
}

#[test]
fn the_junit_report_is_xml_and_counts_what_it_lists() {
    let dir = Dir::new("junit");
    let (calm, late, junit) = (dir.file("calm.toml", CALM), dir.file("late.toml", LATE), dir.path("report.xml"));
    ends_with(11, &["run", &calm, &late, "--seeds", "3", "--junit", &junit]);
    let suites = xml::parse(&dir.read("report.xml"));
    assert_eq!((suites.name.as_str(), suites.children.len()), ("testsuites", 2));
    let mut sums = (0, 0);
    for suite in &suites.children {
        let failures = suite.children.iter().filter(|case| case.children.iter().any(|child| child.name == "failure"));
        assert_eq!(suite.attribute("tests"), suite.children.len().to_string());
        assert_eq!(suite.attribute("failures"), failures.clone().count().to_string());
        sums = (sums.0 + suite.children.len(), sums.1 + failures.count());
    }
    assert_eq!((suites.attribute("tests"), suites.attribute("failures")), (sums.0.to_string().as_str(), sums.1.to_string().as_str()));
    let [calm, late] = &suites.children[..] else { panic!("two suites") };
    assert_eq!((calm.attribute("name"), calm.children[0].attribute("name")), ("calm", "3 of 3 seeds hold"));
    let failure = &late.children[1].children[0];
    assert_eq!(failure.attribute("type"), "liveness");
    assert!(failure.text.contains("again: doubletick-sim run "), "{}", failure.text);
}

#[test]
fn the_page_needs_nothing_else_and_says_what_failed() {
    let dir = Dir::new("html");
    let (late, html) = (dir.file("la<te.toml", LATE), dir.path("report.html"));
    ends_with(11, &["run", &late, "scenarios/storm.toml", "--seeds", "2", "--html", &html]);
    let page = dir.read("report.html");
    for outside in ["http:", "https:", "<script", "<link", "@import", "url(", "src="] {
        assert!(!page.contains(outside), "the page has {outside}");
    }
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("<svg"));
    assert!(page.contains("liveness in la&lt;te") && !page.contains("la<te"));
    assert!(page.contains("--seeds 1\ndoubletick-replay "), "the commands that show it and tell of it are there");
    for tag in ["main", "table", "div", "pre", "svg", "tr", "td"] {
        let (opened, closed) = (page.matches(&format!("<{tag}")).count(), page.matches(&format!("</{tag}>")).count());
        assert_eq!(opened, closed, "{tag}");
    }
}
