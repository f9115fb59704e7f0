use super::*;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use doubletick_sim::watch::Entry;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

const STRICT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/strict.toml");

fn case() -> Case {
    Case::find(&["2".into(), STRICT.into()], None).expect("it is there")
}

fn press(walk: &mut Walk<'_>, keys: &[KeyCode]) {
    for key in keys {
        assert!(walk.press(KeyEvent::new(*key, KeyModifiers::NONE)), "it goes on after {key:?}");
    }
}

fn write(walk: &mut Walk<'_>, text: &str) {
    let keys: Vec<KeyCode> = text.chars().map(KeyCode::Char).chain([KeyCode::Enter]).collect();
    press(walk, &keys);
}

fn screen(walk: &Walk<'_>, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it is in memory");
    terminal.draw(|frame| walk.draw(frame)).expect("it is drawn");
    let buffer = terminal.backend().buffer();
    (0..height).map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned()).collect()
}

#[test]
fn a_walk_begins_at_the_failure_and_says_what_is_broken() {
    let case = case();
    let walk = Walk::new(&case);
    let screen = screen(&walk, 160, 40);
    assert_eq!(walk.at(), walk.last());
    assert!(screen[0].contains("CONVERGENCE is broken: device 0: online true"), "{screen:#?}");
    assert!(screen[1].contains(" story ") && screen[1].contains(" world "), "{screen:#?}");
    assert!(screen.iter().any(|line| line.contains("healed: true")), "{screen:#?}");
    assert!(screen[39].contains("f/F fault"), "{screen:#?}");
}

#[test]
fn steps_are_the_same_forwards_and_backwards() {
    let case = case();
    let mut walk = Walk::new(&case);
    write(&mut walk, "g100");
    let there = screen(&walk, 120, 30);
    assert!(there[0].starts_with(" step 100 of"), "{there:#?}");
    press(&mut walk, &[KeyCode::Right, KeyCode::Right, KeyCode::PageDown, KeyCode::Left, KeyCode::Left, KeyCode::PageUp]);
    assert_eq!(screen(&walk, 120, 30), there);
    press(&mut walk, &[KeyCode::Home, KeyCode::Left]);
    assert_eq!((walk.at(), walk.story.len()), (0, 1));
    press(&mut walk, &[KeyCode::End, KeyCode::Right]);
    assert_eq!(walk.at(), walk.last());
}

#[test]
fn faults_and_messages_of_the_conversation_that_is_shown_are_gone_to() {
    let case = case();
    let mut walk = Walk::new(&case);
    press(&mut walk, &[KeyCode::Home, KeyCode::Char('f')]);
    let first = walk.at();
    let faulty = |walk: &Walk<'_>| {
        walk.story.last().is_some_and(|step| step.entries.iter().any(|entry| matches!(entry, Entry::Fault(_) | Entry::Fired(_))))
    };
    assert!(first > 0 && faulty(&walk));
    press(&mut walk, &[KeyCode::Char('f')]);
    assert!(walk.at() > first && faulty(&walk));
    press(&mut walk, &[KeyCode::Char('F')]);
    assert_eq!(walk.at(), first);
    press(&mut walk, &[KeyCode::End]);
    let talk = walk.player.parts().into_iter().rfind(|part| matches!(part, Part::Conversation(_))).expect("people have talked");
    write(&mut walk, &format!("p{talk}"));
    assert_eq!(walk.part, talk);
    press(&mut walk, &[KeyCode::Home, KeyCode::Char('m')]);
    let logged = walk.story.last().is_some_and(|step| {
        step.entries
            .iter()
            .any(|entry| matches!(entry, Entry::Row(Some(of), text) if Part::Conversation(*of) == talk && text.starts_with("Log(")))
    });
    assert!(logged && !walk.changed.is_empty(), "{}", walk.at());
    press(&mut walk, &[KeyCode::Char('M')]);
    assert!(screen(&walk, 100, 20)[19].starts_with("there is no message before this step"));
}

#[test]
fn what_a_step_has_changed_is_marked() {
    let case = case();
    let mut walk = Walk::new(&case);
    write(&mut walk, "pworld");
    write(&mut walk, "g1000");
    let now = walk.state.iter().position(|line| line.starts_with("now_ms: ")).expect("the time is told");
    let options = walk.state.iter().position(|line| line.starts_with("options")).expect("so are the options");
    let changes = (1000..1020).any(|step| {
        walk.go(step);
        walk.changed.contains(&now)
    });
    assert!(changes && !walk.changed.contains(&options));
}

#[test]
fn what_is_typed_wrongly_is_told_and_changes_nothing() {
    let case = case();
    let mut walk = Walk::new(&case);
    let at = walk.at();
    write(&mut walk, "gx1");
    assert_eq!(screen(&walk, 90, 20)[19], format!("x1: a step is a number up to {at}"));
    write(&mut walk, "pnobody");
    assert_eq!(screen(&walk, 90, 20)[19], "nobody: there is no such part; Tab shows one after the other");
    assert_eq!(walk.at(), at);
    let parts = walk.player.parts().len();
    let first = walk.part;
    press(&mut walk, &vec![KeyCode::Tab; parts]);
    assert_eq!(walk.part, first);
    press(&mut walk, &[KeyCode::Char('g'), KeyCode::Char('1'), KeyCode::Esc]);
    assert_eq!(walk.at(), at);
    assert!(!walk.press(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)));
    for (width, height) in [(1, 1), (20, 5), (300, 100)] {
        screen(&walk, width, height);
    }
}
