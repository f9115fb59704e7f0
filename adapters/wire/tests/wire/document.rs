//! The tables in `docs/protocol.md` say what the code does.

use doubletick_core::frame::CloseReason;
use doubletick_core::id::Seq;
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::time::Millis;
use doubletick_wire::SUBPROTOCOL;
use std::path::Path;

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md")).unwrap()
}

/// The rows of the table under a heading, cell by cell, without the two lines above them.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let rows = section.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

/// The name of a variant, without its fields.
fn name(value: impl std::fmt::Debug) -> String {
    format!("{value:?}").split_whitespace().next().unwrap().into()
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.into()
}

#[test]
fn the_table_of_rejects_is_the_one_in_the_code() {
    let known = (0..1000).filter_map(|code| Reject::from_code(code, 1));
    let code: Vec<_> = known
        .map(|reject| {
            let detail = if reject == (Reject::BeyondHead { head: Seq(1) }) {
                "position"
            } else if reject == (Reject::TooMany { retry_after: Millis(1) }) {
                "milliseconds"
            } else if reject == (Reject::GroupFull { limit: 1 }) {
                "members"
            } else if reject == (Reject::StaleRoster { epoch: 1 }) {
                "roster epoch"
            } else {
                "–"
            };
            [reject.code().to_string(), name(reject), yes_or_no(reject.is_for_now()), detail.into()]
        })
        .collect();
    let page: Vec<_> = table(&page(), "Reject numbers").into_iter().map(|row| row[..4].to_vec()).collect();
    assert_eq!(page, code);
}

#[test]
fn the_table_of_close_codes_is_the_one_in_the_code() {
    let row = |reason: CloseReason| [reason.code().to_string(), name(reason), yes_or_no(!reason.is_final())];
    let page: Vec<_> = table(&page(), "Close codes").into_iter().map(|row| row[..3].to_vec()).collect();
    assert_eq!(page, CloseReason::ALL.map(row));
}

#[test]
fn the_table_of_limits_is_the_one_in_the_code() {
    let milliseconds = |time: Millis| time.0.to_string();
    let code = [
        ("FRAME_BYTES", limits::FRAME_BYTES.to_string()),
        ("CONTENT_BYTES", limits::CONTENT_BYTES.to_string()),
        ("BODIES_PER_MESSAGE", limits::BODIES_PER_MESSAGE.to_string()),
        ("DEVICES_PER_USER", limits::DEVICES_PER_USER.to_string()),
        ("BATCH_ITEMS", limits::BATCH_ITEMS.to_string()),
        ("PAGE_ENTRIES", limits::PAGE_ENTRIES.to_string()),
        ("PAGE_CONVERSATIONS", limits::PAGE_CONVERSATIONS.to_string()),
        ("HANDLES_PER_SESSION", limits::HANDLES_PER_SESSION.to_string()),
        ("WATCHES_PER_SESSION", limits::WATCHES_PER_SESSION.to_string()),
        ("CONTACTS_PER_USER", limits::CONTACTS_PER_USER.to_string()),
        ("GROUP_MEMBERS", limits::GROUP_MEMBERS.to_string()),
        ("GROUPS_PER_USER", limits::GROUPS_PER_USER.to_string()),
        ("GROUP_NAME_BYTES", limits::GROUP_NAME_BYTES.to_string()),
        ("PAGE_MEMBERS", limits::PAGE_MEMBERS.to_string()),
        ("HEARTBEAT", milliseconds(limits::HEARTBEAT)),
        ("DEAD_AFTER", milliseconds(limits::DEAD_AFTER)),
        ("TOKEN_LIFE", milliseconds(limits::TOKEN_LIFE)),
        ("TOKEN_GRACE", milliseconds(limits::TOKEN_GRACE)),
    ];
    let page: Vec<_> = table(&page(), "Limits").into_iter().map(|row| (row[0].clone(), row[1].replace(',', ""))).collect();
    assert_eq!(page, code.map(|(name, value)| (name.to_string(), value)));
}

#[test]
fn the_document_names_the_sub_protocol() {
    assert!(page().contains(&format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\n")));
}
