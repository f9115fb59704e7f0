//! People who talk, in a store in memory whose rows can be damaged.

use std::sync::Arc;

use doubletick_core::change::{Change, Settings};
use doubletick_core::command::{Command, Reply, code_digest};
use doubletick_core::content::Content;
use doubletick_core::id::{ConversationId, DeviceId, Digest, GroupId, MessageId, Phone, Seq, UserId};
use doubletick_core::rows::{self, At, Row};
use doubletick_core::store::{Commit, Key, Missing, Snapshot, Transaction, Write};
use doubletick_core::time::Timestamp;
use doubletick_core::transact::Batch;
use doubletick_core::verify::{Report, verify};
use doubletick_store::Store;
use doubletick_store::conformance::{AllRows, block_on};
use doubletick_store::memory::Memory;
use doubletick_store::readable::{ReadOnly, Readable};

/// The group of the story.
pub(crate) const GROUP: ConversationId = ConversationId::Group(GroupId([1, 2, 3, 4, 5, 6, 0x77, 8, 0x99, 10, 11, 12, 13, 14, 15, 16]));

/// When everything begins.
const START: u64 = 1_800_000_000_000;

/// A store, and a clock that goes on with every command.
pub(crate) struct World {
    pub(crate) store: Memory,
    now: u64,
    sent: u128,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { store: Memory::with_rounds(), now: START, sent: 0 }
    }

    /// Ann has one device, Ben two, Cid one. Ann and Ben have exchanged three messages, of which Ben's phone has two and has shown one; Cid has
    /// written to Ann.
    pub(crate) fn story() -> Self {
        let mut world = Self::new();
        let [ann, ben, _, cid] = [world.link(1), world.link(2), world.link(2), world.link(3)];
        world.send(ann, ben, "first words of ann");
        world.send(ben, ann, "what ben answered");
        world.send(ann, ben, "last words of ann");
        world.acknowledge(ben, ann, 2, 1);
        world.send(cid, ann, "cid says hello");
        world
    }

    pub(crate) fn run(&mut self, command: Command) -> Reply {
        self.now += 1000;
        let batch = Batch { now: Timestamp::from_millis(self.now), commands: vec![command] };
        block_on(self.store.execute(Arc::new(batch))).unwrap().replies.pop().unwrap().unwrap()
    }

    pub(crate) fn link(&mut self, user: u64) -> DeviceId {
        let phone = Phone::parse(&format!("+4915100000{user:03}")).unwrap();
        let code = code_digest(&phone, "123456");
        self.run(Command::RequestCode { phone: phone.clone(), code });
        self.now += 1;
        let secret = Digest([self.now as u8; 32]);
        let name = format!("telephone of {user}");
        match self.run(Command::Register { phone, code, secret, new_user: self::user(user), name }) {
            Reply::Registered { device, .. } => device,
            other => panic!("{other:?}"),
        }
    }

    /// The story, and a group besides: Ann has made it with Ben and Cid, Cid has left, and it has another name and a picture.
    pub(crate) fn with_group() -> Self {
        let mut world = Self::story();
        let [ann, ben, cid] = [1, 2, 3].map(device);
        let settings = Settings::default();
        world.change(ann, &Change::Created { name: "the first name".into(), members: vec![ben.user, cid.user], settings });
        world.say(ann, "words to all of them", 1);
        world.say(cid, "cid has had enough", 1);
        world.change(cid, &Change::Left);
        world.change(ann, &Change::Renamed { name: "a better name".into() });
        world.change(ann, &Change::AvatarSet { avatar: b"where the picture is".to_vec() });
        world.change(ann, &Change::RoleSet { user: ben.user, admin: true });
        world.say(ben, "without cid then", 2);
        world.run(Command::Acknowledge { device: ann, conversation: GROUP, delivered: Seq(8), read: Seq(3) });
        world
    }

    pub(crate) fn change(&mut self, from: DeviceId, change: &Change) -> Seq {
        self.put_in(from, GROUP, change.content(), 0)
    }

    pub(crate) fn say(&mut self, from: DeviceId, text: &str, roster: u64) -> Seq {
        self.put_in(from, GROUP, Content::shared(1, text.as_bytes()).unwrap(), roster)
    }

    pub(crate) fn send(&mut self, from: DeviceId, to: DeviceId, text: &str) -> Seq {
        self.put_in(from, talk(from, to), Content::shared(1, text.as_bytes()).unwrap(), 0)
    }

    fn put_in(&mut self, from: DeviceId, conversation: ConversationId, content: Content, roster: u64) -> Seq {
        self.sent += 1;
        // In no order, as the ids of many devices are.
        let id = MessageId((self.sent.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).to_be_bytes());
        match self.run(Command::Send { from, conversation, id, content, roster }) {
            Reply::Sent { seq, .. } => seq,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn acknowledge(&mut self, device: DeviceId, with: DeviceId, delivered: u64, read: u64) {
        self.run(Command::Acknowledge { device, conversation: talk(device, with), delivered: Seq(delivered), read: Seq(read) });
    }

    /// Changes rows behind everybody's back.
    pub(crate) fn plant(&self, writes: Vec<Write>) {
        block_on(self.store.execute(Plant(writes))).unwrap();
    }

    pub(crate) fn remove(&self, key: Key) {
        self.plant(vec![Write::Clear(key)]);
    }

    pub(crate) fn edit<R: Row>(&self, at: At<R>, edit: impl FnOnce(&mut R)) {
        let value = self.rows().into_iter().find(|(key, _)| *key == at.key).unwrap().1;
        let mut row = R::decode(&value).unwrap();
        edit(&mut row);
        self.plant(vec![Write::Set(at.key, row.encode())]);
    }

    /// The store, to be read.
    pub(crate) fn readable(&self) -> ReadOnly<Memory> {
        ReadOnly::new(self.store.clone())
    }

    /// All durable rows.
    pub(crate) fn rows(&self) -> Vec<(Key, Vec<u8>)> {
        self.readable().read(AllRows).unwrap()
    }

    /// The proof of all rows at once, as the simulator does it.
    pub(crate) fn proof(&self) -> Report {
        verify(self.rows())
    }
}

pub(crate) fn talk(one: DeviceId, other: DeviceId) -> ConversationId {
    ConversationId::direct(one.user, other.user).unwrap()
}

/// The people of the story. Their ids are such as nothing else looks like.
pub(crate) fn user(number: u64) -> UserId {
    UserId((number << 56) | 0x00b1_c2d3_e4f5_a697)
}

/// Their first devices.
pub(crate) fn device(number: u64) -> DeviceId {
    DeviceId { user: user(number), serial: 1 }
}

struct Plant(Vec<Write>);

impl Transaction for Plant {
    type Answer = ();

    fn run(&self, _: &mut dyn Snapshot) -> Result<Commit<()>, Missing> {
        Ok(Commit { writes: self.0.clone(), answer: () })
    }
}

/// The receipt of Ben in his talk with Ann.
pub(crate) fn receipt_of_ben() -> At<rows::Receipt> {
    rows::receipt(talk(device(1), device(2)), user(2))
}
