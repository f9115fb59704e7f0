//! What an application holds: a profile on disk, and the client that runs from it.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use doubletick_core::client::{Answer, Ask, Input, Outgoing};
use doubletick_core::content::Content;
use doubletick_core::frame::{Privacy, UserCard, UserList};
use doubletick_core::id::{ConversationId, DeviceId, MessageId, Phone, Secret, Seq, UserId};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use redb::StorageBackend;
use std::fmt;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::driver::{Command, Driver, Shared, new_message_id};
use crate::model::{Chat, Event, Group, KIND_TEXT, Message, Person, Status, Stop, To};
use crate::registration::{self, RegisterError};
use crate::seam::{self, Clock};
use crate::server::Server;
use crate::storage::{Address, Author, Contact, Place, Storage, StorageError, StoredAccount, UserChange};

/// Calls that wait for the driver.
const COMMANDS: usize = 64;

/// Events that wait for their slowest reader; see [`Event::Missed`].
const EVENTS: usize = 4096;

/// A device's files, open. From here it is registered, and started.
#[derive(Debug)]
pub struct Profile {
    storage: Arc<Storage>,
    server: Server,
}

/// Who a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The device.
    pub device: DeviceId,
    /// The number under which it was registered.
    pub phone: Phone,
    /// The server's address, as it was then.
    pub server: String,
}

/// A running client. Clones are the same client; when the last is dropped, it ends.
#[derive(Clone, Debug)]
pub struct Client {
    account: Account,
    shared: Shared,
    commands: mpsc::Sender<Command>,
    clock: Arc<Mutex<Clock>>,
    stopped: watch::Receiver<Status>,
}

/// Why something that an application asked for was not done.
#[derive(Debug)]
pub enum RequestError {
    /// The server has said no.
    Refused(Reject),
    /// Nobody has this number.
    UnknownPhone(Phone),
    /// The text is longer than a message may be ([`limits::CONTENT_BYTES`]), or empty.
    Text,
    /// The name of a group is longer than it may be ([`limits::GROUP_NAME_BYTES`]), or empty.
    GroupName,
    /// It makes no sense for the reason in this sentence, which has no full stop.
    Senseless(&'static str),
    /// The client has stopped.
    Stopped(Stop),
    /// The profile does not read.
    Storage(StorageError),
}

/// What happens, from the moment at which it was asked for.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Profile {
    /// Opens the profile in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// If another process has it open, or it cannot be read or written.
    pub fn open(directory: &Path, server: Server) -> Result<Self, StorageError> {
        Ok(Self { storage: Arc::new(Storage::open(directory)?), server })
    }

    /// Opens a profile on something that takes the place of a file, such as a disk that fails on demand.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn open_on(backend: impl StorageBackend, server: Server) -> Result<Self, StorageError> {
        Ok(Self { storage: Arc::new(Storage::on(backend)?), server })
    }

    /// The same profile with another server, such as the one that [`Account::server`] names.
    #[must_use]
    pub fn with_server(self, server: Server) -> Self {
        Self { server, ..self }
    }

    /// Who the device is; `None` if it was never registered.
    ///
    /// # Errors
    /// If the profile does not read.
    pub fn account(&self) -> Result<Option<Account>, StorageError> {
        Ok(self.storage.account()?.map(Account::from))
    }

    /// Asks the server to send a verification code to a phone.
    ///
    /// # Errors
    /// If the server cannot be reached or does not want to.
    pub async fn register(&self, phone: &Phone) -> Result<(), RegisterError> {
        registration::register(&self.server, phone).await?;
        // Stored before it is first shown to the server: if the answer to that is lost, the next try is the same request.
        let secret = match self.storage.registering()? {
            Some((begun, secret)) if begun == *phone => secret,
            Some(_) | None => Secret(seam::random()),
        };
        let (storage, phone) = (self.storage.clone(), phone.clone());
        Ok(seam::blocking(move || storage.set_registering(&phone, secret)).await?)
    }

    /// Shows the code that came, and makes this profile the device of whoever has the phone. `name` is what the device is called in the
    /// list of the user's devices. After an error it may be called again.
    ///
    /// # Errors
    /// If no code was asked for, it is wrong, or the server cannot be reached.
    pub async fn verify(&self, code: &str, name: &str) -> Result<Account, RegisterError> {
        let (phone, secret) = self.storage.registering()?.ok_or(RegisterError::NotAsked)?;
        let token = registration::verify(&self.server, &phone, code, secret, name).await?;
        let account = StoredAccount { token, phone, server: self.server.to_string() };
        let (storage, stored) = (self.storage.clone(), account.clone());
        seam::blocking(move || storage.set_account(&stored)).await?;
        Ok(account.into())
    }

    /// Starts the client. It connects, and goes on trying for as long as it takes.
    ///
    /// # Errors
    /// If the device was never registered, or the profile does not read.
    pub fn start(self) -> Result<Client, StartError> {
        let stored = self.storage.account()?.ok_or(StartError::NotRegistered)?;
        let shared = Shared { storage: self.storage, events: broadcast::channel(EVENTS).0, status: watch::channel(Status::Connecting).0 };
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let driver = Driver::new(stored.token.device, stored.token.secret, self.server, shared.clone(), inbox)?;
        let stopped = shared.status.subscribe();
        seam::spawn(driver.run());
        Ok(Client { account: stored.into(), shared, commands, clock: Arc::default(), stopped })
    }
}

/// Why a client did not start.
#[derive(Debug)]
pub enum StartError {
    /// The profile was never registered.
    NotRegistered,
    /// It does not read.
    Storage(StorageError),
}

impl Client {
    /// Opens a registered profile and starts it.
    ///
    /// # Errors
    /// See [`Profile::open`] and [`Profile::start`].
    pub fn open(directory: &Path, server: Server) -> Result<Self, StartError> {
        Profile::open(directory, server)?.start()
    }

    /// Who this device is.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Where the connection stands.
    pub fn status(&self) -> Status {
        self.shared.status.borrow().clone()
    }

    /// What happens from this moment on.
    pub fn events(&self) -> Events {
        Events(self.shared.events.subscribe())
    }

    /// Waits until the session is open.
    ///
    /// # Errors
    /// If the client stops before.
    pub async fn online(&self) -> Result<(), RequestError> {
        let mut status = self.stopped.clone();
        let settled = status.wait_for(|status| matches!(status, Status::Online | Status::Stopped(_))).await;
        match settled.as_deref() {
            Ok(Status::Online) => Ok(()),
            Ok(Status::Stopped(stop)) => Err(RequestError::Stopped(stop.clone())),
            Ok(Status::Connecting | Status::Waiting { .. }) | Err(_) => Err(RequestError::Stopped(Stop::Closed)),
        }
    }

    /// The conversation with whoever has a number. Where this device does not know them yet, the server is asked, which takes a
    /// connection.
    ///
    /// # Errors
    /// If nobody has it, or it is this user's own.
    pub async fn conversation(&self, phone: &Phone) -> Result<ConversationId, RequestError> {
        let user = match self.shared.storage.user_of(phone)? {
            Some(user) => user,
            None => {
                let found = self.find(vec![phone.clone()]).await?;
                found.first().map(|card| card.user).ok_or_else(|| RequestError::UnknownPhone(phone.clone()))?
            }
        };
        self.conversation_with(user)
    }

    /// The conversation with somebody.
    ///
    /// # Errors
    /// If it is this user.
    pub fn conversation_with(&self, user: UserId) -> Result<ConversationId, RequestError> {
        ConversationId::direct(self.account.device.user, user).ok_or(RequestError::Refused(Reject::Nonsense))
    }

    /// Writes a text. When this returns it is stored, and will be sent however long that takes, also by a later run of the program.
    ///
    /// Whoever is written to becomes a contact of this user's, so that they may see when this user is online, as people who write to each
    /// other expect. Someone who was taken off the contact list stays off it.
    ///
    /// # Errors
    /// If the text is empty or too long, nobody has the number, or the client has stopped.
    pub async fn send(&self, to: impl Into<To>, text: &str) -> Result<MessageId, RequestError> {
        if text.is_empty() {
            return Err(RequestError::Text);
        }
        let content = Content::shared(KIND_TEXT, text.as_bytes()).map_err(|_| RequestError::Text)?;
        let conversation = match to.into() {
            To::Conversation(conversation) => conversation,
            To::Phone(phone) => self.conversation(&phone).await?,
        };
        self.compose(conversation, content).await
    }

    pub(crate) async fn compose(&self, conversation: ConversationId, content: Content) -> Result<MessageId, RequestError> {
        let id = self.new_id();
        let (stored, waits) = oneshot::channel();
        self.command(Command::Compose(Outgoing { conversation, id, content }, stored)).await?;
        self.hear(waits).await?;
        Ok(id)
    }

    /// A UUIDv7 of this moment.
    pub(crate) fn new_id(&self) -> MessageId {
        new_message_id(self.clock.lock().unwrap_or_else(PoisonError::into_inner).now())
    }

    /// The user was shown a conversation up to a position.
    ///
    /// # Errors
    /// If the client has stopped.
    pub async fn mark_read(&self, conversation: ConversationId, upto: Seq) -> Result<(), RequestError> {
        self.command(Command::Input(Input::Show { conversation, upto })).await
    }

    /// The user is typing, or has stopped. Without a connection it is forgotten.
    ///
    /// # Errors
    /// If the client has stopped.
    pub async fn typing(&self, conversation: ConversationId, active: bool) -> Result<(), RequestError> {
        self.command(Command::Input(Input::Typing { conversation, active })).await
    }

    /// Hear of somebody's coming and going, as [`Event::Presence`], or no more.
    ///
    /// # Errors
    /// If the client has stopped.
    pub async fn watch(&self, user: UserId, active: bool) -> Result<(), RequestError> {
        self.command(Command::Input(Input::Watch { user, active })).await
    }

    /// Connect at once, without waiting for the next try.
    ///
    /// # Errors
    /// If the client has stopped.
    pub async fn hurry(&self) -> Result<(), RequestError> {
        self.command(Command::Input(Input::Hurry)).await
    }

    /// Which of these numbers have accounts. Waits for a connection, as do all of the following.
    ///
    /// # Errors
    /// If the server refuses it, or the client stops.
    pub async fn find(&self, phones: Vec<Phone>) -> Result<Vec<UserCard>, RequestError> {
        let mut found = vec![];
        for phones in phones.chunks(limits::BATCH_ITEMS) {
            if let Answer::Users(users) = self.ask(Ask::FindUsers(phones.to_vec())).await? {
                found.extend(users);
            }
        }
        Ok(found)
    }

    /// Wants to have nothing to do with somebody's messages, typing and presence.
    ///
    /// # Errors
    /// If the server refuses it, or the client stops.
    pub async fn block(&self, user: UserId) -> Result<(), RequestError> {
        self.list(UserList::Blocked, user, true, UserChange::Blocked(true)).await
    }

    /// The end of [`Self::block`].
    ///
    /// # Errors
    /// If the server refuses it, or the client stops.
    pub async fn unblock(&self, user: UserId) -> Result<(), RequestError> {
        self.list(UserList::Blocked, user, false, UserChange::Blocked(false)).await
    }

    /// Puts somebody on the contact list: they may see this user's presence under [`Privacy::Contacts`].
    ///
    /// # Errors
    /// If the server refuses it, or the client stops.
    pub async fn add_contact(&self, user: UserId) -> Result<(), RequestError> {
        self.list(UserList::Contacts, user, true, UserChange::Contact(Contact::Listed)).await
    }

    /// Takes somebody off the contact list, also when they are written to later.
    ///
    /// # Errors
    /// If the server refuses it, or the client stops.
    pub async fn remove_contact(&self, user: UserId) -> Result<(), RequestError> {
        self.list(UserList::Contacts, user, false, UserChange::Contact(Contact::Removed)).await
    }

    /// Who may see this user's presence.
    ///
    /// # Errors
    /// If the server refuses it, or the client stops.
    pub async fn set_privacy(&self, privacy: Privacy) -> Result<(), RequestError> {
        self.ask(Ask::SetPrivacy(privacy)).await.map(drop)
    }

    /// The numbers of this user's devices.
    ///
    /// # Errors
    /// If the server refuses it, or the client stops.
    pub async fn devices(&self) -> Result<Vec<u16>, RequestError> {
        let answer = self.ask(Ask::User(self.account.device.user)).await?;
        Ok(if let Answer::Users(users) = answer { users.into_iter().flat_map(|card| card.devices).collect() } else { vec![] })
    }

    /// Ends one of this user's devices.
    ///
    /// # Errors
    /// If the server refuses it, or the client stops.
    pub async fn remove_device(&self, serial: u16) -> Result<(), RequestError> {
        self.ask(Ask::RemoveDevice(serial)).await.map(drop)
    }

    /// Gives somebody a name on this device; an empty one takes it away.
    ///
    /// # Errors
    /// If the client has stopped.
    pub async fn set_name(&self, user: UserId, name: &str) -> Result<(), RequestError> {
        self.note(user, UserChange::Name(name.to_owned())).await
    }

    /// The conversations, the one with the latest message first. Reads the disk.
    ///
    /// # Errors
    /// If the profile does not read.
    pub fn chats(&self) -> Result<Vec<Chat>, StorageError> {
        self.shared.storage.chats(self.account.device.user)
    }

    /// At most `limit` messages of a conversation in their order, the last ones, or the last ones before a place. Reads the disk.
    ///
    /// # Errors
    /// If the profile does not read.
    pub fn history(&self, conversation: ConversationId, before: Option<Place>, limit: usize) -> Result<Vec<Message>, StorageError> {
        self.shared.storage.history(conversation, before, limit)
    }

    /// One message of this user's. Reads the disk.
    ///
    /// # Errors
    /// If the profile does not read.
    pub fn own_message(&self, conversation: ConversationId, id: MessageId) -> Result<Option<Message>, StorageError> {
        self.shared.storage.message(conversation, Author::Own, id)
    }

    /// What is known of a group. Reads the disk.
    ///
    /// # Errors
    /// If the profile does not read.
    pub fn group(&self, group: ConversationId) -> Result<Group, StorageError> {
        self.shared.storage.group(group)
    }

    /// What is known of somebody. Reads the disk.
    ///
    /// # Errors
    /// If the profile does not read.
    pub fn person(&self, user: UserId) -> Result<Person, StorageError> {
        let address: Address = self.shared.storage.address(user)?;
        Ok(Person::new(user, address))
    }

    /// Ends the client once everything that waits to be stored is stored, with a goodbye to the server.
    pub async fn close(self) {
        // It may have stopped before.
        drop(self.commands.send(Command::Close).await);
        let mut status = self.stopped;
        drop(self.commands);
        drop(self.shared);
        // An error means that the driver is gone.
        let _gone = status.wait_for(|status| matches!(status, Status::Stopped(Stop::Closed | Stop::Storage(_)))).await;
    }

    async fn list(&self, list: UserList, user: UserId, listed: bool, change: UserChange) -> Result<(), RequestError> {
        self.ask(Ask::SetListed(list, user, listed)).await?;
        self.note(user, change).await
    }

    pub(crate) fn user_of(&self, phone: &Phone) -> Result<Option<UserId>, StorageError> {
        self.shared.storage.user_of(phone)
    }

    async fn note(&self, user: UserId, change: UserChange) -> Result<(), RequestError> {
        let (stored, waits) = oneshot::channel();
        self.command(Command::Note(user, change, stored)).await?;
        self.hear(waits).await
    }

    /// Asks again with the next connection if this one ends before the answer: all questions may be asked twice.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer, RequestError> {
        loop {
            self.online().await?;
            let (answer, waits) = oneshot::channel();
            self.command(Command::Ask(ask.clone(), answer)).await?;
            match self.hear(waits).await? {
                Answer::Refused(reject) => return Err(RequestError::Refused(reject)),
                Answer::Lost => {}
                answer @ (Answer::Done | Answer::Users(_) | Answer::Chats(..) | Answer::Page(..) | Answer::Roster { .. }) => {
                    return Ok(answer);
                }
            }
        }
    }

    async fn command(&self, command: Command) -> Result<(), RequestError> {
        self.commands.send(command).await.map_err(|_| self.why_stopped())
    }

    async fn hear<T>(&self, waits: oneshot::Receiver<T>) -> Result<T, RequestError> {
        // The driver answers everything, so it is gone.
        match unless_stopped(waits, self.stopped.clone()).await {
            Some(Ok(heard)) => Ok(heard),
            Some(Err(_)) | None => Err(self.why_stopped()),
        }
    }

    fn why_stopped(&self) -> RequestError {
        match self.status() {
            Status::Stopped(stop) => RequestError::Stopped(stop),
            Status::Connecting | Status::Online | Status::Waiting { .. } => RequestError::Stopped(Stop::Closed),
        }
    }
}

/// `None` if the driver is gone before.
async fn unless_stopped<F: Future>(future: F, mut status: watch::Receiver<Status>) -> Option<F::Output> {
    tokio::select! {
        biased;
        done = future => Some(done),
        _ = status.wait_for(|status| matches!(status, Status::Stopped(Stop::Closed | Stop::Storage(_)))) => None,
    }
}

impl Events {
    /// The next event; `None` when the client is gone.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next event if it is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        match self.0.try_recv() {
            Ok(event) => Some(event),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => None,
        }
    }
}

impl From<StoredAccount> for Account {
    fn from(stored: StoredAccount) -> Self {
        let StoredAccount { token, phone, server } = stored;
        Self { device: token.device, phone, server }
    }
}

impl From<StorageError> for RequestError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<StorageError> for StartError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reject) => f.write_str(refusal(*reject)),
            Self::UnknownPhone(phone) => write!(f, "nobody with the number {phone} is registered"),
            Self::Text => write!(f, "a message has between 1 and {} bytes of text", limits::CONTENT_BYTES),
            Self::GroupName => write!(f, "the name of a group has between 1 and {} bytes", limits::GROUP_NAME_BYTES),
            Self::Senseless(why) => f.write_str(why),
            Self::Stopped(stop) => stop.fmt(f),
            Self::Storage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Storage(error) => Some(error),
            Self::Refused(_) | Self::UnknownPhone(_) | Self::Text | Self::GroupName | Self::Senseless(_) | Self::Stopped(_) => None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegistered => f.write_str("this profile is not registered"),
            Self::Storage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotRegistered => None,
            Self::Storage(error) => Some(error),
        }
    }
}

/// A refusal in words: a sentence without its full stop.
pub fn refusal(reject: Reject) -> &'static str {
    match reject {
        Reject::OutOfTurn | Reject::UnknownHandle | Reject::Superseded => "the server and this client have lost step",
        Reject::BadToken => "the server does not know this device",
        Reject::TokenExpired => "the device's token has run out",
        Reject::DeviceRemoved => "the device was removed from its account",
        Reject::UnknownUser => "no such user",
        Reject::NotMember => "you take no part in that conversation",
        Reject::MessageIdReused => "the message's id was used before",
        Reject::BadContent => "the message is too large",
        Reject::BeyondHead { .. } => "the server does not know this much of the conversation",
        Reject::TooMany { .. } => "too much at once",
        Reject::TooManyDevices => "the account has its full number of devices",
        Reject::ListFull => "the list is full",
        Reject::WrongCode => "the verification code is wrong",
        Reject::CodeVoid => "the verification code is void",
        Reject::Unavailable => "the server cannot store anything for the moment",
        Reject::Damaged => "the server cannot read something that this needs",
        Reject::Nonsense => "that makes no sense",
        Reject::NotAllowed => "one of you has blocked the other",
        Reject::NotAdmin => "only an admin of the group may do that",
        Reject::GroupFull { .. } => "the group would have more members than it may",
        Reject::AlreadyMember => "somebody who was to be added is a member of the group",
        Reject::NoSuchMember => "the user is no member of the group",
        Reject::LastAdmin => "the group would be left without an admin",
        Reject::GroupExists => "there is a group of this name",
        Reject::StaleRoster { .. } => "the group has other members or devices than the message was made for",
        Reject::TooManyGroups => "somebody who was to be added is in too many groups",
    }
}
