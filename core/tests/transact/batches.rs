//! Commands that share a transaction.

use crate::world::*;
use doubletick_core::command::{Command, Reply};
use doubletick_core::id::{Seq, UserId};
use doubletick_core::reject::Reject;

fn positions(answers: &[Answer]) -> Vec<Result<u64, Reject>> {
    let position = |answer: &Answer| match answer {
        Ok(Reply::Sent { seq, .. }) => Ok(seq.0),
        Ok(other) => panic!("{other:?}"),
        Err(reject) => Err(*reject),
    };
    answers.iter().map(position).collect()
}

#[test]
fn one_refusal_does_not_touch_the_commands_beside_it() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    let answers = world.batch([
        send(ann, ben.user, "one"),
        send(ann, UserId(9), "lost"),
        send_as(ann, ben.user, id_of("one"), "other body"),
        send(ben, ann.user, "two"),
    ]);
    assert_eq!(positions(&answers), [Ok(1), Err(Reject::UnknownUser), Err(Reject::MessageIdReused), Ok(2)]);
    assert_eq!(world.texts(ben, ann, Some(0)), ["one", "two"]);
    world.prove();
}

#[test]
fn a_command_sees_what_those_before_it_wrote() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    let conversation = talk(ann.user, ben.user);
    let answers = world.batch([
        send(ann, ben.user, "one"),
        send(ann, ben.user, "one"),
        Command::ReadLog { device: ben, conversation, after: None },
        acknowledge(ben, ann.user, 1, 1),
        Command::ReadDirty { device: ben, after: None },
        Command::RemoveDevice { device: ann },
        send(ann, ben.user, "two"),
    ]);
    assert_eq!(positions(&answers[..2]), [Ok(1), Ok(1)]);
    assert!(matches!(&answers[2], Ok(Reply::Page { entries, head: Seq(1), .. }) if entries.len() == 1));
    assert!(matches!(&answers[4], Ok(Reply::Dirty(page)) if page.conversations.is_empty()));
    assert_eq!(answers[6], Err(Reject::DeviceRemoved));
    assert_eq!(world.receipt(ben, ann), (1, 1));
    world.prove();
}

#[test]
fn commands_in_one_batch_come_to_the_same_as_one_after_the_other() {
    let (mut together, [ann, ben]) = World::of([1, 2]);
    together.open(ben, WEST, 1);
    let mut apart = together.clone();
    let commands = [
        send(ann, ben.user, "one"),
        acknowledge(ben, ann.user, 1, 0),
        send(ben, ann.user, "two"),
        acknowledge(ann, ben.user, 2, 2),
        send(ann, ben.user, "three"),
        acknowledge(ben, ann.user, 3, 3),
    ];
    let answers = together.batch(commands.clone());
    assert_eq!(commands.map(|command| apart.run(command)).to_vec(), answers);
    // The bell rings once for a transaction, and a gateway cannot tell.
    let bell = doubletick_core::rows::bell(WEST).key;
    together.rows.remove(&bell);
    apart.rows.remove(&bell);
    assert_eq!(together.rows, apart.rows);
}
