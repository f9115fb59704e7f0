//! Files with the rows of conversations, as they are and made anonymous.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use doubletick_audit::anonymise::Anonymiser;
use doubletick_audit::conversation::{Found, Row, next, rows_of};
use doubletick_audit::export::{Export, ExportError, FORMAT, Item, Writer, looks_like_one};
use doubletick_audit::story::{Event, Standing, Story};
use doubletick_core::change::Change;
use doubletick_core::id::{ConversationId, GroupId};
use doubletick_core::rows::{Index, LogEntry, Place, Row as _};
use doubletick_core::verify::{Problem, Proof};
use doubletick_store::readable::ReadError;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::check::{damage, do_damage};
use crate::world::{GROUP, World};

/// The rows of each conversation.
type Conversations = Vec<Vec<Row>>;

fn conversations(world: &World) -> Conversations {
    let store = world.readable();
    let found = next(&store, None, 100).unwrap();
    let conversations = found.into_iter().filter_map(|(found, _)| match found {
        Found::Conversation(conversation) => Some(conversation),
        Found::Unknown(_) => None,
    });
    conversations
        .map(|conversation| {
            let mut rows = vec![];
            rows_of(&store, conversation, |key, value| {
                rows.push((key, value));
                Ok::<_, ReadError>(())
            })
            .unwrap();
            rows
        })
        .collect()
}

fn anonymised(conversations: &Conversations, secret: u8) -> Conversations {
    let mut anonymiser = Anonymiser::new([secret; 32]);
    let made = conversations.iter().map(|rows| {
        let mut made = vec![];
        let mut give = |row| {
            made.push(row);
            Ok::<_, ()>(())
        };
        rows.iter().try_for_each(|(key, value)| anonymiser.row(key, value, &mut give)).unwrap();
        anonymiser.end_conversation(&mut give).unwrap();
        made
    });
    made.collect()
}

fn write(path: &Path, conversations: &Conversations) {
    let mut writer = Writer::create(path, false).unwrap();
    for rows in conversations {
        rows.iter().for_each(|(key, value)| writer.row(key, value).unwrap());
        writer.end_conversation().unwrap();
    }
    writer.finish().unwrap();
}

fn read(path: &Path) -> Result<Conversations, ExportError> {
    let mut conversations = vec![];
    let mut rows = vec![];
    Export::open(path)?.each(|item| {
        match item {
            Item::Row(row) => rows.push(row),
            Item::ConversationEnds => conversations.push(std::mem::take(&mut rows)),
        }
        Ok::<_, ExportError>(())
    })?;
    assert!(rows.is_empty());
    Ok(conversations)
}

/// The first thing that is wrong in each conversation.
fn problems(conversations: &Conversations) -> Vec<Problem> {
    let first = conversations.iter().filter_map(|rows| {
        let mut proof = Proof::default();
        rows.iter().for_each(|(key, value)| proof.row(*key, value));
        proof.finish().problems.into_iter().next()
    });
    first.collect()
}

fn kinds(problems: &[Problem]) -> Vec<&'static str> {
    problems.iter().map(|problem| problem.fault.name()).collect()
}

#[test]
fn what_is_written_is_read_and_proved_elsewhere() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("export");
    let conversations = conversations(&World::story());
    write(&path, &conversations);
    assert!(looks_like_one(&path));
    assert_eq!(read(&path).unwrap(), conversations);
    assert_eq!(problems(&conversations), vec![]);
    let export = Export::open(&path).unwrap();
    assert_eq!((export.rows, export.anonymised), (conversations.iter().map(Vec::len).sum::<usize>() as u64, false));
    // It is not written over.
    assert!(matches!(Writer::create(&path, false), Err(ExportError::Io { .. })));
    assert_eq!(read(&path).unwrap(), conversations);
}

#[test]
fn a_torn_file_is_told_wherever_it_was_torn() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("export");
    write(&path, &conversations(&World::story()));
    let whole = fs::read(&path).unwrap();
    let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        match Export::open(&path).unwrap_err() {
            ExportError::NotOurs { .. } => assert!(length <= first_line),
            ExportError::Torn { at, .. } => assert_eq!(at, length as u64),
            other => panic!("{length}: {other}"),
        }
    }
    fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
    assert!(Export::open(&path).unwrap_err().to_string().contains("something after its end"));
}

#[test]
fn a_file_in_which_any_byte_was_changed_is_told() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("export");
    write(&path, &conversations(&World::story()));
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, changed).unwrap();
        assert!(Export::open(&path).is_err(), "{at}");
    }
}

#[test]
fn a_file_of_another_version_says_whose_it_is() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("export");
    let newer = FORMAT + 1;
    fs::write(&path, format!("doubletick-export {newer} 7.8.9 original\nwhatever")).unwrap();
    let error = Export::open(&path).unwrap_err().to_string();
    assert!(error.contains("made by version 7.8.9") && error.contains(&format!("format {newer}")), "{error}");
    for other in ["", "something else\n", "doubletick-export\n", "doubletick-export 1 0.1.0 strange\n"] {
        fs::write(&path, other).unwrap();
        assert!(matches!(Export::open(&path), Err(ExportError::NotOurs { .. })), "{other:?}");
    }
    assert!(matches!(Export::open(&dir.path().join("none")), Err(ExportError::Io { .. })));
}

/// What a conversation tells.
fn told(rows: &[Row]) -> (Vec<Event>, Story) {
    let mut story = Story::default();
    let events = rows.iter().filter_map(|(key, value)| story.row(key, value)).collect();
    story.end();
    (events, story)
}

#[test]
fn a_story_has_every_message_and_how_everybody_stands() {
    let world = World::story();
    let (events, story) = told(&conversations(&world)[0]);
    assert_eq!(events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(events[0].bodies, [(None, 1, "first words of ann".len())]);
    let people: Vec<_> =
        story.people.values().map(|Standing { receipt, unread, .. }| (receipt.delivered.0, receipt.read.0, *unread)).collect();
    // Ann has read nothing of Ben's one answer; Ben has read the first of Ann's two messages.
    assert_eq!(people, [(0, 0, 1), (2, 1, 1)]);
    let devices: Vec<_> = story.devices.values().map(|reached| (reached.acknowledged.0, reached.marked.map(|marked| marked.0))).collect();
    assert_eq!(devices, [(0, Some(2)), (2, Some(3)), (0, Some(3))]);
}

#[test]
fn a_group_is_told_with_its_changes_and_who_has_read_what() {
    let (events, story) = told(&conversations(&World::with_group())[2]);
    assert_eq!(story.conversation, Some(GROUP));
    let changes: Vec<_> = events.iter().filter(|event| event.change.is_some()).map(|event| event.seq.0).collect();
    assert_eq!(changes, [1, 4, 5, 6, 7]);
    let people: Vec<_> = story.people.values().map(|standing| (standing.joined.map(|joined| joined.0), standing.unread)).collect();
    // Ann has read Cid's last words and not Ben's; who writes has read what stands before.
    assert_eq!(people, [(Some(1), 1), (Some(1), 0)]);
}

#[test]
fn an_anonymous_copy_keeps_lengths_and_times_and_verifies() {
    let originals = conversations(&World::with_group());
    // Some of the secrets turn the sides of a conversation, some do not.
    for secret in 0..20 {
        let copies = anonymised(&originals, secret);
        assert_eq!(problems(&copies), vec![]);
        for (original, copy) in originals.iter().zip(&copies) {
            let ((events, story), (copied, other)) = (told(original), told(copy));
            let shape = |events: &[Event]| {
                events.iter().map(|event| (event.seq, event.at, event.sender.serial, event.bodies.clone())).collect::<Vec<_>>()
            };
            assert_eq!(shape(&events), shape(&copied));
            let standings = |story: &Story| {
                let mut all: Vec<_> =
                    story.people.values().map(|Standing { receipt, unread, .. }| (receipt.read, receipt.delivered, *unread)).collect();
                all.sort_unstable();
                all
            };
            assert_eq!(standings(&story), standings(&other));
            let sizes = |rows: &[Row]| {
                let mut sizes: Vec<_> = rows.iter().map(|(key, value)| (key.as_bytes().len(), value.len())).collect();
                sizes.sort_unstable();
                sizes
            };
            assert_eq!(sizes(original), sizes(copy));
        }
    }
    assert_ne!(anonymised(&originals, 1), anonymised(&originals, 2));
    assert_eq!(anonymised(&originals, 1), anonymised(&originals, 1));
}

#[test]
fn an_anonymous_copy_holds_nothing_by_which_anybody_could_be_known() {
    let originals = conversations(&World::with_group());
    let mut names: BTreeMap<Vec<u8>, String> = BTreeMap::new();
    let texts = [
        "first words of ann",
        "what ben answered",
        "last words of ann",
        "cid says hello",
        "telephone of ",
        "+4915100000",
        "4915100000",
        "words to all of them",
        "the first name",
        "a better name",
        "where the picture is",
        "cid has had enough",
    ];
    names.extend(texts.iter().map(|text| (text.as_bytes().to_vec(), (*text).to_owned())));
    for user in 1..=3_u64 {
        let id = crate::world::user(user).0;
        names.insert(id.to_be_bytes().to_vec(), format!("user {user}"));
        names.insert(id.to_le_bytes().to_vec(), format!("user {user}"));
    }
    let ConversationId::Group(GroupId(group)) = GROUP else { panic!("it is a group") };
    names.insert(group.to_vec(), "the group".into());
    for (key, value) in originals.iter().flatten() {
        match Place::of(key).unwrap() {
            Place::Log(..) => {
                let entry = LogEntry::decode(value).unwrap();
                names.insert(entry.id.0.to_vec(), format!("message {:?}", entry.id));
                names.insert(entry.chain.0.to_vec(), format!("link {:?}", entry.chain));
            }
            Place::Index(..) => {
                let digest = Index::decode(value).unwrap().digest;
                // Of words that anybody says.
                if digest == Change::Left.content().digest() {
                    continue;
                }
                names.insert(digest.0.to_vec(), format!("digest {digest:?}"));
            }
            _ => {}
        }
    }
    let bytes = |conversations: &Conversations| {
        conversations.iter().flatten().flat_map(|(key, value)| [key.as_bytes(), value].concat()).collect::<Vec<_>>()
    };
    let holds = |bytes: &[u8], name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    let (original, copy) = (bytes(&originals), bytes(&anonymised(&originals, 7)));
    for (name, what) in &names {
        assert!(holds(&original, name), "{what} is in the original");
        assert!(!holds(&copy, name), "{what} is in the copy");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_wrong_is_wrong_in_the_same_way_in_an_anonymous_copy(row in any::<prop::sample::Index>(), damage in damage(), secret in any::<u8>()) {
        let world = World::with_group();
        do_damage(&world, row, &damage);
        let originals = conversations(&world);
        let (was, is) = (problems(&originals), problems(&anonymised(&originals, secret)));
        prop_assert_eq!(kinds(&was), kinds(&is), "{:?} {:?}", was, is);
    }

    #[test]
    fn conversations_with_more_than_one_damage_are_wrong_in_an_anonymous_copy_too(
        damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 2..5),
        secret in any::<u8>(),
    ) {
        let world = World::with_group();
        for (row, damage) in &damages {
            do_damage(&world, *row, damage);
        }
        let originals = conversations(&world);
        let (was, is) = (problems(&originals), problems(&anonymised(&originals, secret)));
        prop_assert_eq!(was.len(), is.len(), "{:?} {:?}", was, is);
    }
}
