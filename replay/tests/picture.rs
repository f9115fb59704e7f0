//! The picture of a run: what leads to a failure, the page as a browser shows it, and the trace.

mod browser;

use browser::Browser;
use doubletick_replay::case::{Case, failure};
use doubletick_replay::picture::cause::{LeadKind, leads};
use doubletick_replay::picture::lanes::lanes;
use doubletick_replay::picture::{Fate, Picture, page, perfetto};
use doubletick_sim::traffic::End;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const STRICT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/strict.toml");

fn picture(seed: u64, scenario: &str) -> Picture {
    Picture::of(&Case::find(&[seed.to_string(), scenario.into()], None).expect("it is there"))
}

fn saved(folder: &Path, picture: &Picture) -> PathBuf {
    let path = folder.join("run.html");
    std::fs::write(&path, page::page(picture)).expect("it is written");
    path
}

/// A number of the line below the drawing, which follows some words, or stands before them.
fn counted(status: &str, what: &str) -> u64 {
    let part = status.split(" · ").find(|part| part.contains(what)).unwrap_or_else(|| panic!("{what}: {status}"));
    part.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{part}"))
}

#[test]
fn what_led_to_a_failure_begins_with_the_message_and_has_its_commit_the_fault_and_the_loss() {
    let folder = tempfile::tempdir().expect("a folder");
    let shrunk = folder.path().join("shrunk.toml");
    let case = Case::find(&["18".into(), STRICT.into()], None).expect("it is there");
    doubletick_replay::shrink::shrink(&case).and_then(|shrunk_case| shrunk_case.save(&shrunk)).expect("it fails");
    let picture = Picture::of(&Case::find(&[shrunk.display().to_string()], None).expect("it is there"));
    let leads = leads(&picture);
    let first = |kind: LeadKind| leads.iter().find(|lead| lead.kind == kind).unwrap_or_else(|| panic!("{kind:?}: {leads:#?}"));
    let order = [LeadKind::Act, LeadKind::Commit, LeadKind::Fault, LeadKind::Lost, LeadKind::Broken].map(|kind| first(kind).step);
    assert!(order.is_sorted(), "{order:?}");
    assert!(first(LeadKind::Act).text.starts_with("writes message"));
    assert!(first(LeadKind::Fault).text.starts_with("fault half-open device-0"));
    let lost = first(LeadKind::Lost);
    assert!(lost.text.contains("→ device-0: Deliver m") && matches!(lost.who, End::Gateway(_)), "{lost:?}");
    let passage = &picture.passages[lost.passage.expect("it is drawn")];
    assert!(matches!(passage.fate, Fate::Lost(step) if step == first(LeadKind::Fault).step));
    assert!(leads.len() < 60 && leads.last().map(|lead| lead.kind) == Some(LeadKind::Broken));
}

#[test]
fn a_run_in_which_nothing_is_broken_has_no_leads_and_each_end_has_one_lane() {
    let picture = picture(1, concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/calm.toml"));
    assert!(failure(&picture.run).is_none() && leads(&picture).is_empty());
    let lanes = lanes(&picture);
    let ends: Vec<End> = lanes.iter().flat_map(|lane| lane.ends.clone()).collect();
    assert_eq!(ends.iter().collect::<BTreeSet<_>>().len(), ends.len());
    assert!(ends.contains(&End::Store) && ends.contains(&End::Device(0)) && ends.contains(&End::Gateway(0)));
}

#[test]
fn the_page_shows_lanes_and_arrows_and_what_leads_to_the_broken_promise() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = picture(2, STRICT);
    let mut browser = Browser::open(&saved(folder.path(), &picture), "only=0");
    let lanes = lanes(&picture).len() as u64;
    let status = browser.text("status");
    assert_eq!(counted(&status, "lanes"), lanes);
    assert_eq!(browser.value("document.querySelectorAll('#lanes button').length"), lanes);
    assert_eq!(counted(&status, "arrows"), picture.passages.len() as u64);
    assert_eq!(counted(&status, "steps"), picture.run.steps);
    let lost = picture.passages.iter().filter(|passage| matches!(passage.fate, Fate::Lost(_))).count();
    assert!(lost > 10 && status.contains(&format!("arrows, {lost} lost")), "{status}");
    assert_eq!(browser.text("command"), format!("doubletick-replay 2 {STRICT}"));
    let broken = failure(&picture.run).expect("it fails");
    assert!(browser.text("broken").contains(&format!("{} (liveness) is broken at step {}", broken.oracle, broken.step)));
    // The mark of the failure is on the canvas: at its step the colour of a broken promise.
    let red = "(() => { const { x, y } = picture.at(picture.run.verdict.step, 'store'); const canvas = document.getElementById('view');
        const box = canvas.getBoundingClientRect();
        const scale = canvas.width / box.width;
        const [r, g, b] = canvas.getContext('2d').getImageData(Math.round((x - box.left) * scale), Math.round((y - box.top + 20) * scale), 1, 1).data;
        return r > 150 && g < 120 && b < 130; })()";
    assert_eq!(browser.value(&format!("picture.view.draw(), {red}")), true);
    // Pressing f leaves what leads to it: fewer steps, and every one of the list.
    browser.key("f");
    let few = browser.text("status");
    assert!(counted(&few, "steps") < 200 && counted(&few, "arrows") > 5, "{few}");
    let leads = leads(&picture);
    assert_eq!(browser.value("document.querySelectorAll('#leads button').length"), leads.len());
}

#[test]
fn a_click_on_a_point_shows_what_happened_there_and_how_that_actor_stood() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = picture(2, STRICT);
    let mut browser = Browser::open(&saved(folder.path(), &picture), "only=0");
    let seen = picture.passages.iter().find(|passage| passage.cargo.what == "Welcome" && passage.arrived()).expect("a session");
    let (step, device) = (seen.end(), seen.cargo.to.to_string());
    // Nearer first, so that no other point is as close.
    let place = browser.value(&format!(
        "(() => {{ const view = picture.view; view.window = [{step} - 20, {step} + 20]; view.draw(); return picture.at({step}, '{device}'); }})()"
    ));
    browser.click(place["x"].as_f64().expect("a place"), place["y"].as_f64().expect("a place"));
    assert!(browser.text("step").starts_with(&format!("Step {step} at ")), "{}", browser.text("panel"));
    assert!(browser.text("entries").contains("Welcome"), "{}", browser.text("panel"));
    assert!(browser.text("standing").contains(&device));
    let facts = browser.text("facts");
    assert!(facts.contains("online") && facts.contains("connected to") && facts.contains("gateway-"), "{facts}");
    // A key goes on to the next step of the same device, and the address remembers it.
    browser.key("ArrowRight");
    let next = browser.text("step");
    assert!(next.starts_with("Step ") && !next.starts_with(&format!("Step {step} ")), "{next}");
    let number = next.split(' ').nth(1).expect("a number").to_owned();
    assert!(browser.value("location.hash").as_str().expect("text").contains(&format!("step={number}&at={device}")));
}

#[test]
fn filters_by_conversation_user_device_and_text_leave_less() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = picture(2, STRICT);
    let path = saved(folder.path(), &picture);
    let mut browser = Browser::open(&path, "only=0");
    let all = browser.text("status");
    let mut told = BTreeMap::new();
    for (name, part) in [("conversation", "conversation=0"), ("user", "who=u0"), ("lane", "who=l0"), ("text", "text=Deliver")] {
        let mut browser = Browser::open(&path, &format!("only=0&{part}"));
        let status = browser.text("status");
        assert!(counted(&status, "arrows") > 0 && counted(&status, "arrows") < counted(&all, "arrows"), "{name}: {status}");
        assert!(counted(&status, "steps") < counted(&all, "steps"), "{name}: {status}");
        told.insert(name, status);
    }
    let deliveries = picture.passages.iter().filter(|passage| passage.cargo.what == "Deliver").count() as u64;
    assert_eq!(counted(&told["text"], "arrows"), deliveries);
    assert!(counted(&told["conversation"], "lanes") < counted(&all, "lanes"));
    // A click on a lane's name is the same filter, and Escape takes it away.
    browser.value("document.querySelector('#lanes button').click()");
    assert_eq!(browser.text("status"), told["lane"]);
    browser.key("Escape");
    assert_eq!(browser.text("status"), all);
}

#[test]
fn ten_thousand_steps_are_drawn_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("long.toml");
    let text = std::fs::read_to_string(STRICT).expect("it is there").replace("[faults]", "trouble_ms = 260_000\n[faults]");
    std::fs::write(&scenario, text).expect("it is written");
    let picture = picture(2, &scenario.display().to_string());
    assert!(picture.steps.len() > 10_000, "{}", picture.steps.len());
    let mut browser = Browser::open(&saved(folder.path(), &picture), "only=0");
    assert_eq!(counted(&browser.text("status"), "arrows"), picture.passages.len() as u64);
    let took = browser.value("(() => { const begun = performance.now(); for (let n = 0; n < 5; n += 1) picture.view.draw(); return (performance.now() - begun) / 5; })()");
    assert!(took.as_f64().expect("a time") < 1_000.0, "one drawing takes {took} ms");
}

#[test]
fn the_trace_has_tracks_slices_flows_that_end_and_instants_for_faults() {
    let picture = picture(2, STRICT);
    let trace: Value = serde_json::from_str(&perfetto::trace(&picture).to_string()).expect("it is JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    let of = |phase: &'static str| events.iter().filter(move |event| event["ph"] == phase);
    let track = |event: &Value| (event["pid"].as_u64().expect("a process"), event["tid"].as_u64().expect("a thread"));
    let names = of("M").filter(|event| event["name"] == "thread_name").map(&track).collect::<BTreeSet<_>>();
    assert_eq!(names.len(), lanes(&picture).len());
    let mut slices: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
    for slice in of("X") {
        let (ts, dur) = (slice["ts"].as_u64().expect("a time"), slice["dur"].as_u64().expect("a length"));
        slices.entry(track(slice)).or_default().push((ts, ts + dur));
    }
    for (track, spans) in &mut slices {
        assert!(names.contains(track));
        spans.sort_unstable();
        assert!(spans.is_sorted_by(|one, other| one.1 <= other.0), "slices of one track lie one after the other");
    }
    // A flow begins and ends in a slice of its track, and time passes between.
    let inside = |event: &Value| {
        let ts = event["ts"].as_u64().expect("a time");
        slices[&track(event)].iter().any(|(from, to)| (*from..*to).contains(&ts))
    };
    let begins: BTreeMap<u64, &Value> = of("s").map(|event| (event["id"].as_u64().expect("an id"), event)).collect();
    let ends: Vec<&Value> = of("f").collect();
    assert!(ends.len() > 500 && ends.len() == begins.len());
    for end in ends {
        let begin = begins[&end["id"].as_u64().expect("an id")];
        assert!(inside(begin) && inside(end) && begin["ts"].as_u64() < end["ts"].as_u64() && end["bp"] == "e", "{begin} {end}");
    }
    let count = |cat: &str| of("i").filter(|event| event["cat"] == cat).count();
    assert!(count("fault") > 100 && count("lost") > 10 && count("broken") == 1);
}

#[test]
fn the_program_saves_both_and_says_what_the_run_came_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let (html, json) = (folder.path().join("run.html"), folder.path().join("run.json"));
    let replay = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_doubletick-replay")).args(arguments).output().expect("it starts");
    let (html_path, json_path) = (html.display().to_string(), json.display().to_string());
    let output = replay(&["2", STRICT, "--html", &html_path, "--perfetto", &json_path]);
    let said = String::from_utf8(output.stdout).expect("it is text");
    assert_eq!(output.status.code(), Some(11), "{said}");
    assert!(said.lines().count() == 3 && said.contains("liveness: CONVERGENCE is broken at step"), "{said}");
    let page = std::fs::read_to_string(&html).expect("it is there");
    for outside in ["http:", "https:", "src=", "@import"] {
        assert!(!page.contains(outside), "{outside}: the page needs nothing from elsewhere");
    }
    assert!(json.exists());
    let nowhere = replay(&["2", STRICT, "--html", "/nowhere/run.html"]);
    let error = String::from_utf8(nowhere.stderr).expect("it is text");
    assert_eq!((nowhere.status.code(), error.lines().count()), (Some(64), 1), "{error}");
}
