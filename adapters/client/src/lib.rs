//! A device of Doubletick as a library.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use doubletick_client::{Client, Event, Phone, Profile, Server};
//!
//! let server = Server::parse("http://127.0.0.1:7410")?;
//! let profile = Profile::open("my-profile".as_ref(), server)?;
//! let me = Phone::parse("+4915100000001").ok_or("no number")?;
//! profile.register(&me).await?;
//! profile.verify("123456", "laptop").await?;
//!
//! let client: Client = profile.start()?;
//! let mut events = client.events();
//! client.send(Phone::parse("+4915100000002").ok_or("no number")?, "hello").await?;
//! while let Some(event) = events.next().await {
//!     if let Event::Message(conversation, message) = event {
//!         println!("{}", message.body.display());
//!         if let Some(seq) = message.place.seq() {
//!             client.mark_read(conversation, seq).await?;
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The promises are kept by the pure machine of [`doubletick_core::client`]; here it meets a disk, a socket and a clock. In reading
//! order, as a message travels: `client` (what an application holds; `groups` for groups), `driver` (the task that drives the machine), `storage` (what
//! survives), `socket` and `server` (the way out), and back; `registration` is for the first start; `model` is what is shown. `seam` holds
//! the few names by which all of this reaches the world.

mod client;
mod driver;
mod groups;
mod model;
mod registration;
mod seam;
mod server;
mod socket;
mod storage;

pub use client::{Account, Client, Events, Profile, RequestError, StartError, refusal};
pub use doubletick_core::change::{Change, Settings};
pub use doubletick_core::frame::{CloseReason, Presence, Privacy, UserCard};
pub use doubletick_core::id::{ConversationId, DeviceId, MessageId, Phone, Seq, UserId};
pub use doubletick_core::reject::Reject;
pub use doubletick_core::time::{Millis, Timestamp};
pub use model::{Body, Chat, Event, Group, Member, Message, Party, Person, State, Status, Stop, To};
pub use registration::RegisterError;
pub use server::{Server, ServerError};
pub use storage::{Contact, Place, StorageError};
