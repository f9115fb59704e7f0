//! Registration, tokens, lists.

use crate::world::*;
use doubletick_core::command::{Command, Reply};
use doubletick_core::frame::{UserCard, UserList};
use doubletick_core::id::{DeviceId, UserId};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::rows;
use doubletick_core::time::Millis;

fn request(world: &mut World, digits: &str) -> Answer {
    world.run(Command::RequestCode { phone: phone(1), code: code(1, digits) })
}

fn device(serial: u16) -> DeviceId {
    DeviceId { user: UserId(1), serial }
}

#[test]
fn a_registration_that_is_retried_hears_the_same_device() {
    let mut world = World::new();
    request(&mut world, "111111").unwrap();
    let first = world.run(register(1, "111111", token(1, 1)));
    assert!(matches!(first, Ok(Reply::Registered { device: DeviceId { user: UserId(1), serial: 1 }, .. })), "{first:?}");
    world.wait(Millis::days(1));
    assert_eq!(world.run(register(1, "111111", token(1, 1))), first);
    // A retry may carry another random id for the account.
    let retry =
        Command::Register { phone: phone(1), code: code(1, "111111"), secret: token(1, 1), new_user: UserId(77), name: "phone".into() };
    assert_eq!(world.run(retry), first);
    assert_eq!(world.run(register(1, "111111", token(1, 2))), Err(Reject::CodeVoid), "a code links one device");
}

#[test]
fn a_second_device_joins_the_account_of_the_phone_number() {
    let (mut world, [phone_device]) = World::of([1]);
    let tablet = world.link(1);
    assert_eq!([phone_device, tablet], [device(1), device(2)]);
    let card = UserCard { user: UserId(1), phone: phone(1), devices: vec![1, 2] };
    assert_eq!(world.run(Command::FindUsers { phones: vec![phone(1), phone(9)] }), Ok(Reply::Users(vec![card.clone()])));
    assert_eq!(world.run(Command::AskUser { user: UserId(1) }), Ok(Reply::Users(vec![card])));
    assert_eq!(world.run(Command::AskUser { user: UserId(9) }), Ok(Reply::Users(vec![])));
}

#[test]
fn a_wrong_code_is_counted_and_the_code_is_void_after_five() {
    let mut world = World::new();
    request(&mut world, "111111").unwrap();
    for _ in 0..limits::CODE_ATTEMPTS {
        assert_eq!(world.run(register(1, "000000", token(1, 1))), Err(Reject::WrongCode));
    }
    for digits in ["000000", "111111"] {
        assert_eq!(world.run(register(1, digits, token(1, 1))), Err(Reject::CodeVoid));
    }
    request(&mut world, "222222").unwrap();
    assert!(world.run(register(1, "222222", token(1, 1))).is_ok(), "another code is another chance");
}

#[test]
fn a_code_runs_out() {
    let mut world = World::new();
    request(&mut world, "111111").unwrap();
    world.wait(limits::CODE_LIFE);
    assert_eq!(world.run(register(1, "111111", token(1, 1))), Err(Reject::CodeVoid));
    request(&mut world, "111111").unwrap();
    assert!(world.run(register(1, "111111", token(1, 1))).is_ok(), "chance may draw the same digits again");
}

#[test]
fn a_phone_number_gets_so_many_codes_in_a_window_and_more_in_the_next() {
    let mut world = World::new();
    for digit in 0..limits::CODES_PER_WINDOW {
        assert_eq!(request(&mut world, &format!("11111{digit}")), Ok(Reply::Done));
        assert_eq!(request(&mut world, &format!("11111{digit}")), Ok(Reply::Done), "a retry is not counted");
        world.wait(Millis::seconds(60));
    }
    let left = Millis(limits::CODE_WINDOW.0 - Millis::seconds(60 * u64::from(limits::CODES_PER_WINDOW)).0);
    assert_eq!(request(&mut world, "999999"), Err(Reject::TooMany { retry_after: left }));
    assert!(world.run(register(1, "111114", token(1, 1))).is_ok(), "the last code is good all the same");
    assert_eq!(request(&mut world, "999999"), Err(Reject::TooMany { retry_after: left }), "its use does not open the window");
    world.wait(left);
    assert_eq!(request(&mut world, "999999"), Ok(Reply::Done));
}

#[test]
fn an_id_that_is_taken_is_not_given_away() {
    let (mut world, [_]) = World::of([1]);
    world.run(Command::RequestCode { phone: phone(2), code: code(2, "111111") }).unwrap();
    let taken =
        Command::Register { phone: phone(2), code: code(2, "111111"), secret: token(2, 1), new_user: UserId(1), name: "phone".into() };
    assert_eq!(world.run(taken), Err(Reject::Unavailable));
    assert!(world.run(register(2, "111111", token(2, 1))).is_ok());
}

#[test]
fn a_token_is_exchanged_and_the_old_one_is_good_until_the_new_one_was_used() {
    let (mut world, [ann]) = World::of([1]);
    let (old, new) = (token(1, 1), token(1, 9));
    world.open(ann, WEST, 1);
    world.wait(Millis::days(20));
    let renewed = world.run(renew(ann, 1, new));
    assert_eq!(renewed, Ok(Reply::Renewed { expires: world.now + limits::TOKEN_LIFE }));
    let accepted = |world: &World, secret| match world.clone().run(open(ann, secret, WEST, 2)) {
        Ok(Reply::Opened { expires, .. }) => Some(expires),
        Err(Reject::BadToken) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(accepted(&world, new), Some(world.now + limits::TOKEN_LIFE));
    assert_eq!(accepted(&world, old), Some(START + limits::TOKEN_LIFE));
    world.wait(Millis::days(60));
    assert_eq!(world.run(renew(ann, 1, new)), renewed, "a retry does not make the token live longer");
    assert!(accepted(&world, old).is_some(), "its holder may never have heard of the new one");
    assert_eq!(accepted(&world, token(1, 3)), None, "another secret");
    world.run(open(ann, new, WEST, 2)).unwrap();
    assert_eq!(accepted(&world, old), None);
    assert!(accepted(&world, new).is_some());
}

#[test]
fn a_token_is_still_good_when_every_answer_to_its_exchange_was_lost() {
    let (mut world, [ann]) = World::of([1]);
    for lost in 1..=3 {
        world.open(ann, WEST, lost);
        world.run(renew(ann, lost, token(1, 10 + lost))).unwrap();
        world.wait(Millis::days(7));
    }
    world.open(ann, WEST, 4);
    world.run(renew(ann, 4, token(1, 14))).unwrap();
    world.run(open(ann, token(1, 14), WEST, 5)).unwrap();
    assert_eq!(world.run(open(ann, token(1, 1), WEST, 6)), Err(Reject::BadToken));
}

#[test]
fn a_late_exchange_of_an_older_session_does_not_undo_one_that_was_heard_of() {
    let (mut world, [ann]) = World::of([1]);
    world.open(ann, WEST, 1);
    world.open(ann, WEST, 2);
    world.run(renew(ann, 2, token(1, 12))).unwrap();
    assert_eq!(world.run(renew(ann, 1, token(1, 11))), Err(Reject::Unavailable));
    assert!(world.run(open(ann, token(1, 12), WEST, 3)).is_ok());
}

#[test]
fn a_token_that_has_run_out_opens_a_session_for_a_while_and_says_so() {
    let (mut world, [ann]) = World::of([1]);
    world.wait(limits::TOKEN_LIFE);
    world.wait(Millis(limits::TOKEN_GRACE.0 - 1));
    let opened = world.run(open(ann, token(1, 1), WEST, 1));
    assert!(matches!(opened, Ok(Reply::Opened { expires, .. }) if expires < world.now), "{opened:?}");
    world.wait(Millis(1));
    assert_eq!(world.run(open(ann, token(1, 1), WEST, 2)), Err(Reject::BadToken));
}

#[test]
fn a_list_is_kept_once_and_refuses_its_owner_and_strangers() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    for list in [UserList::Contacts, UserList::Blocked] {
        let set = |user, listed| Command::SetListed { owner: ann.user, list, user, listed };
        assert_eq!(world.run(set(ann.user, true)), Err(Reject::Nonsense));
        assert_eq!(world.run(set(UserId(9), true)), Err(Reject::UnknownUser));
        assert_eq!(world.run(set(UserId(9), false)), Ok(Reply::Done));
        world.run(set(ben.user, true)).unwrap();
        let before = world.rows.clone();
        world.wait(Millis::days(1));
        assert_eq!(world.run(set(ben.user, true)), Ok(Reply::Done));
        assert_eq!(world.rows, before, "a retry does not change since when");
        assert_eq!(world.run(set(ben.user, false)), Ok(Reply::Done));
    }
    assert_eq!(world.row(&rows::block(ann.user, ben.user)), None);
    assert_eq!(world.row(&rows::contact(ann.user, ben.user)), None);
}

#[test]
fn a_list_that_is_full_takes_nobody_else() {
    let (mut world, [ann, ben]) = World::of([1, 2]);
    for user in 0..limits::CONTACTS_PER_USER {
        world.set(&rows::block(ann.user, UserId(1000 + u64::from(user))), &rows::Listed { since: START });
    }
    let set = |user, listed| Command::SetListed { owner: ann.user, list: UserList::Blocked, user, listed };
    assert_eq!(world.batch_once([set(ben.user, true)]), [Err(Reject::ListFull)]);
    assert_eq!(world.batch_once([set(UserId(1000), false), set(ben.user, true)]), [Ok(Reply::Done), Ok(Reply::Done)]);
}
