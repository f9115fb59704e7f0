//! A limit on everything, in one file, with the relations between them checked when core is compiled.
//!
//! What an operator may choose is in [`crate::gateway::Config`]; what is here is part of the protocol or of the stored format.

use crate::time::Millis;

/// Devices that a user may have linked at one time.
pub const DEVICES_PER_USER: usize = 8;
/// Bytes of a message's content, all bodies together.
pub const CONTENT_BYTES: usize = 64 * 1024;
/// Bodies of one message: one for each device of both people of a direct conversation.
pub const BODIES_PER_MESSAGE: usize = 2 * DEVICES_PER_USER;
/// Bytes of a device's or user's displayed name.
pub const NAME_BYTES: usize = 64;
/// Bytes of a WebSocket message in either direction: a content and what stands around it.
pub const FRAME_BYTES: usize = 96 * 1024;
/// Bytes of a stored value (FoundationDB allows 100,000).
pub const VALUE_BYTES: usize = 80 * 1024;
/// Rows that one transaction writes at the most, so that it stays well under FoundationDB's 10 MB and five seconds.
pub const COMMANDS_PER_TRANSACTION: usize = 256;
/// Bytes of content that the commands of one transaction carry together.
pub const TRANSACTION_BYTES: usize = 512 * 1024;
/// Entries in one page of a log.
pub const PAGE_ENTRIES: u32 = 64;
/// Bytes after which a page of a log takes no further entry.
pub const PAGE_BYTES: usize = 64 * 1024;
/// Conversations in one page of a device's dirty set or of a chat list.
pub const PAGE_CONVERSATIONS: u32 = 128;
/// Phone numbers in one look-up, and conversations in one question for receipts.
pub const BATCH_ITEMS: usize = 100;
/// Wake-ups that a gateway takes at a time.
pub const PAGE_WAKES: u32 = 512;
/// Bytes of an entry up to which it rides along with its wake-up, so that a device that is up to date gets it without another read.
pub const WAKE_ENTRY_BYTES: usize = 4 * 1024;
/// Conversations that a session refers to by a short handle; the ones beyond are named in full.
pub const HANDLES_PER_SESSION: usize = 1024;
/// Conversations of which a session keeps how far they were delivered; more of them wait in the device's dirty set until others are done.
pub const CHATS_PER_SESSION: usize = 2 * HANDLES_PER_SESSION;
/// Requests other than messages that a client has under way at a time: half of what a gateway allows by default, because some are not answered.
pub const REQUESTS_AT_ONCE: usize = 16;
/// Users whose presence a session watches at one time.
pub const WATCHES_PER_SESSION: usize = 64;
/// Devices that are told of one user's coming and going.
pub const WATCHERS_PER_USER: u32 = 256;
/// Members that a group may have; its admins may set it lower.
pub const GROUP_MEMBERS: u32 = 1024;
/// Groups that a user may be in at one time.
pub const GROUPS_PER_USER: u32 = 1024;
/// Bytes of a group's name.
pub const GROUP_NAME_BYTES: usize = 256;
/// Times that a user may have left a group and not yet have fetched what was said there until then.
pub const SPANS_PER_MEMBER: usize = 32;
/// Members up to which a message into a group marks every device in its own transaction. In a larger group that is a job's work.
pub const SYNCHRONOUS_FAN_OUT: u32 = 16;
/// Members whose devices a fan-out job marks in one transaction.
pub const FAN_OUT_MEMBERS: u32 = 128;
/// How long the acknowledgements of a group's members gather before their senders are told of them, as one.
pub const SUM_AFTER: Millis = Millis(250);
/// Senders who are told of a sum of receipts in one transaction.
pub const SUM_SENDERS: usize = 128;
/// Conversations that one look for something to trim passes: each costs a round of reads.
pub const CONVERSATIONS_LOOKED_AT: u32 = 16;
/// Entries whose contents are trimmed in one transaction, which reads them.
pub const ENTRIES_TRIMMED: u32 = 32;
/// Members in one page of a group's roster.
pub const PAGE_MEMBERS: u32 = 256;
/// Contacts of a user, and likewise users on a block list.
pub const CONTACTS_PER_USER: u32 = 4096;
/// A verification code is good for this long.
pub const CODE_LIFE: Millis = Millis::seconds(10 * 60);
/// Wrong answers after which a verification code is void.
pub const CODE_ATTEMPTS: u8 = 5;
/// Verification codes that one phone number may ask for within [`CODE_WINDOW`].
pub const CODES_PER_WINDOW: u8 = 5;
/// See [`CODES_PER_WINDOW`].
pub const CODE_WINDOW: Millis = Millis::seconds(60 * 60);
/// How long a device's token is good for.
pub const TOKEN_LIFE: Millis = Millis::days(30);
/// How long after its end a token may still be exchanged for a new one.
pub const TOKEN_GRACE: Millis = Millis::days(90);
/// A client that has nothing to say sends a ping after this long.
pub const HEARTBEAT: Millis = Millis::seconds(30);
/// A peer that was not heard for this long is taken for dead.
pub const DEAD_AFTER: Millis = Millis::seconds(90);
/// A gateway whose lease was not renewed for this long is taken for dead.
pub const LEASE: Millis = Millis::seconds(30);
/// How often a gateway renews its lease, and looks for leases that have run out.
pub const LEASE_RENEWAL: Millis = Millis::seconds(10);
/// Gateways that a look at the leases sees.
pub const GATEWAYS: u32 = 4096;
/// Sessions of a dead gateway that are ended in one transaction.
pub const PAGE_SESSIONS: u32 = 64;

const _: () = {
    assert!(CONTENT_BYTES + 8 * 1024 < VALUE_BYTES, "a content fits into a log entry");
    assert!(CONTENT_BYTES + 8 * 1024 < FRAME_BYTES, "a content fits into a frame");
    assert!(PAGE_BYTES <= CONTENT_BYTES && PAGE_BYTES + CONTENT_BYTES < 2 * FRAME_BYTES, "a page is at most one entry over its bytes");
    assert!(WAKE_ENTRY_BYTES * (PAGE_WAKES as usize) < 4 * 1024 * 1024, "a page of wake-ups is a small transaction");
    assert!(8 * (GROUP_MEMBERS as usize) + 2 * GROUP_NAME_BYTES < CONTENT_BYTES, "a group is created with all its members at once");
    assert!(2 * HEARTBEAT.0 < DEAD_AFTER.0, "one lost ping does not end a session");
    assert!(3 * LEASE_RENEWAL.0 <= LEASE.0, "two failed renewals do not end a lease");
    assert!(LEASE.0 + 2 * LEASE_RENEWAL.0 < DEAD_AFTER.0, "no presence outlives its gateway by more than DEAD_AFTER");
};
