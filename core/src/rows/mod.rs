//! The rows of the store: which there are, their keys, their values.
//!
//! | row | key | value | written by | conflicts with |
//! |---|---|---|---|---|
//! | head | conversation | last position, chain, time, tallies | a send | every send into the conversation, every acknowledgement |
//! | log | conversation, position | one entry | a send, once | readers of the page that it ends |
//! | index | conversation, sender, message id | position, time, digest | a send, once | a retry of the same message |
//! | receipt | conversation, user | delivered, read | acknowledgements | the same user's acknowledgements, questions for receipts |
//! | group | group | name, settings, counts, roster epoch | changes, and a member's devices coming and going | sends into the group, changes |
//! | member | group, user | role, since when | changes | sends and acknowledgements of the member, fan-out |
//! | past member | group, user | the times of membership before | a member's leaving | page reads of the user |
//! | sent | group, user | last own message, a maximum | a send | chat lists |
//! | trimmed | conversation | position, a maximum | trimming | trimming by another gateway |
//! | fan-out due | group | position, a maximum | sends into a large group; cleared by the job | the job |
//! | fan-out | group | how far the job has got | the job | the job at another gateway |
//! | reached | group | how far all members have got | the sum of their receipts | questions for receipts, the sum at another gateway |
//! | sum due | group | whether a sum waits or is being made | acknowledgements, changes; cleared by the sum | the first acknowledgement after each of those |
//! | account | user | phone, devices, privacy | registration, settings | sends to and from the user (they read it) |
//! | chat | user, conversation | since when | a conversation's first send | chat lists |
//! | contact, block | owner, user | since when | list changes | sends, typing and watches between the two |
//! | last seen | user | time, a maximum | heartbeats, session ends | questions for presence |
//! | group count | user | how many groups they are in | changes | whoever makes the user a member of another |
//! | device | device | token digests and their ends | registration, renewal | the opening of the device's sessions |
//! | dirty | device, conversation | position, a maximum | sends; cleared by acknowledgements | acknowledgements, the opening of sessions |
//! | cursor | device, conversation | position | acknowledgements | the device's acknowledgements, page reads from the cursor |
//! | phone | phone number | user | an account's beginning | registrations of the number |
//! | verification | phone number | code digest, attempts | code requests, registrations | the same |
//! | *session* | device | gateway, epoch | the opening and end of sessions | sends and acknowledgements that tell the device |
//! | *session of* | gateway, device | epoch | the same | the reaper |
//! | *wake* | gateway, device, topic | what to look at or pass on | sends, acknowledgements, comings and goings | the taking of wake-ups |
//! | *bell* | gateway | a counter, watched | whoever writes a wake | nobody |
//! | *lease* | gateway | when it runs out | its gateway; ended by the reaper | the reaper |
//! | *watcher* | user, watching device | gateway | watches | comings and goings of the user |
//!
//! The other way of member is chat: a user has a chat row for each group that they are in.
//!
//! Rows in *italics* are ephemeral: they say something about a running process. All rows of one conversation, and all of one device,
//! stand next to each other, so that one message touches few pages.

mod envelope;
mod group;
mod key;
mod place;
mod shared;
mod told;
mod v1;

pub use envelope::{Damage, Row};
pub use group::{FanOut, Group, Lowest, Member, PastMember, Reached, Span};
pub use key::{
    At, Topic, account, all_members, bell, beside_log, block, chat, chat_of, chats, contact, conversation_end, conversation_of,
    conversations, cursor, device, device_of_session, dirty, dirty_of, dirty_set, fan_out, fan_out_due, fan_out_of, fan_outs, group,
    group_count, groups, head, index, index_rows, last_seen, lease, lease_of, leases, listed, log, log_of, log_page, log_rows, member,
    member_of, members, past_member, people, phone, reached, receipt, sent, session, session_of, sessions_of, sum_due, sum_due_of,
    sums_due, trimmed, verification, wake, wake_of, wakes, watcher, watcher_of, watchers,
};
pub use place::Place;
pub use told::told;
pub use v1::{
    Account, ChatRow, Counter, Cursor, Device, Head, Index, Lease, LinkedDevice, Listed, LogEntry, PhoneRow, Receipt, Session, SessionOf,
    StoredBody, StoredContent, StoredEntry, StoredPresence, StoredWake, Tally, Verification, Watcher,
};
