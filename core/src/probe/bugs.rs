//! The table of planted bugs.

/// What there is to know of a planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// What is wrong with it planted.
    pub what: &'static str,
    /// Where such a bug has been seen.
    pub seen: &'static str,
    /// The scenario in which it has to be found.
    pub scenario: &'static str,
    /// After how many seeds at the most: twelve times what it takes on average, so that chance alone does not let it survive.
    pub within: u64,
    /// The invariants that it breaks: it has to be found as a breach of one of these, and of no other.
    pub breaks: &'static [&'static str],
    /// Why, if it breaks several: which is seen first depends on the seed.
    pub because: &'static str,
}

/// Most bugs are found by the first seed or two.
const WITHIN: u64 = 40;

macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $name:ident breaks [$($oracle:ident),+] $(because $why:literal)?
        in $scenario:literal $(within $seeds:literal)?, as $seen:literal;)*) => {
        /// A bug that can be planted, one at a time.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug { $($(#[doc = $what])+ $name,)* }

        impl Bug {
            /// Every bug, in the order of their numbers.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];

            /// The name by which commands and reports know it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What there is to know of it.
            pub const fn about(self) -> About {
                match self {
                    $(Self::$name => About {
                        what: concat!($($what),+).trim_ascii(),
                        seen: $seen,
                        scenario: $scenario,
                        within: [$($seeds,)? WITHIN][0],
                        breaks: &[$(stringify!($oracle)),+],
                        because: [$($why,)? ""][0],
                    },)*
                }
            }
        }
    };
}

bugs! {
    /// A message is known again only for ten seconds after it was accepted.
    DedupForgets breaks [DEDUP] in "storm",
        as "queues whose deduplication has a window: a phone that comes out of a tunnel later than that sends twice";
    /// Only the last message of each sender is known again.
    DedupKnowsOnlyTheLast breaks [DEDUP] in "storm",
        as "servers that keep one `last message id` for each sender: a whole outbox is sent again, not just its end";
    /// Messages are known by the millisecond of their ids alone.
    DedupByTime breaks [NO_LOSS, LOG_PROOF]
        because "the second message is lost to its sender, and its row in the index names the first"
        in "storm",
        as "ids cut down to their time to save space: two messages of one burst are taken for one";
    /// A retry is judged by the rules that hold for new messages before it is looked up.
    RulesBeforeRetry breaks [DEDUP] in "privacy" within 100,
        as "a sender who was blocked between message and retry is told that it failed, and the receiver has it";
    /// The time of a message is the gateway's clock, even if an earlier one in the conversation is later.
    TimeGoesBack breaks [LOG_PROOF] in "storm",
        as "histories that jump after a clock was set, or when two servers' clocks differ";
    /// A message is not marked for devices that were linked since the one before it.
    StaleDeviceList breaks [AT_LEAST_ONCE, NO_LOSS, LOG_PROOF]
        because "the mark in the dirty set is missing: the device that is not sent the message sees it, and the proof that compares marks with cursors"
        in "storm",
        as "a cached list of devices: the first message after a phone was linked never reaches it";
    /// The sender's own other devices are not told of a message.
    OwnDevicesForgotten breaks [AT_LEAST_ONCE, NO_LOSS, LOG_PROOF]
        because "the mark in the dirty set is missing: the device that is not sent the message sees it, and the proof that compares marks with cursors"
        in "storm",
        as "sent messages that are missing on the desktop";
    /// A message is queued only for devices that are offline; those that are online just get a wake-up.
    QueuedOnlyIfOffline breaks [AT_LEAST_ONCE] in "storm",
        as "routers that push to the online and store for the offline: whoever loses the connection in between loses the message";
    /// Any acknowledgement clears the conversation from the device's queue.
    QueueClearedByAnyAck breaks [AT_LEAST_ONCE] in "storm",
        as "offline queues that are dropped once the client says anything about the conversation";
    /// The queue is cleared when a session opens, as if sending were delivering.
    QueueClearedAtLogin breaks [AT_LEAST_ONCE] in "storm",
        as "offline queues that are read and deleted at login: the connection dies while the backlog is on its way";
    /// The gateway acknowledges what it has sent, for the device.
    AcknowledgedAtSend breaks [RECEIPT_TRUTH] in "storm",
        as "a cursor that moves when the bytes are handed to the socket";
    /// The delivered watermark is that of the device that spoke last.
    DeliveredGoesBack breaks [RECEIPT_TRUTH] in "storm",
        as "two devices, and the slower one takes the second tick away again";
    /// The sender is told only of deliveries, and of reading when something else comes.
    ReadIsNotTold breaks [CONVERGENCE] in "storm" within 200,
        as "blue ticks that appear after the app was started again";
    /// The end of a session does not compare connections: the late end of an older one ends the newer one.
    EndOfTheWrongConnection breaks [PRESENCE] in "logins",
        as "a page is loaded again, and the late close of the old socket logs the new one out";
    /// The end of a session does not compare gateways.
    EndAtTheWrongGateway breaks [PRESENCE] in "logins" within 100,
        as "connection numbers that are taken for unique across servers";
    /// An older run of the app takes a newer one's place.
    OlderRunTakesOver breaks [PRESENCE] in "storm" within 100,
        as "a late login of a killed app logs out the one that was started after it";
    /// Of two openings at one gateway, the one that is run last wins, not the newer one.
    LateOpeningTakesOver breaks [PRESENCE] in "logins" within 400,
        as "a login that was retried comes after the next login, and takes the user's connection away";
    /// A session is opened although its gateway's lease is lost.
    OpenedWithoutLease breaks [PRESENCE, CONVERGENCE]
        because "a session that nobody holds shows its user online, and is not among those that gateways hold"
        in "storm" within 100,
        as "registrations by a server that the cluster has given up: nobody ever cleans them up";
    /// A user goes offline with the first of their devices.
    OfflineWithTheFirstDevice breaks [PRESENCE] in "privacy" within 100,
        as "the phone locks, and the user is offline although the desktop is open";
    /// Wake-ups are cleared as they are read.
    WakesClearedAsRead breaks [AT_LEAST_ONCE] in "storm",
        as "queues that delete on read: an answer that is lost takes its items with it";
    /// A wake-up that was seen is cleared even if it says something newer by now.
    WakeClearedAlthoughChanged breaks [AT_LEAST_ONCE] in "storm",
        as "acknowledging a key rather than what was read under it";
    /// Wake-ups are looked for only when the bell rings.
    BellIsTrusted breaks [CONVERGENCE] in "no-bells" within 200,
        as "a notification that is lost, and work that waits for the next one";
    /// A client that connects again is told that another has taken its place.
    ReplacedByItself breaks [CONVERGENCE] in "logins" within 200,
        as "apps that say `connection replaced` after every change of network, and stop";
    /// Watchers are not told that somebody has gone.
    OfflineIsNotTold breaks [PRESENCE] in "privacy" within 100,
        as "contacts that stay online until the chat is opened again";
    /// Nobody is told of the sessions that end with a dead gateway.
    ReaperTellsNobody breaks [PRESENCE] in "privacy" within 400,
        as "a server is killed, and its users are online for ever";
    /// A late unwatch takes a watch away that was begun at another gateway.
    UnwatchedFromElsewhere breaks [PRESENCE] in "privacy" within 100,
        as "presence that stops after a change of server";
    /// A gateway whose lease was ended begins it again and goes on.
    LeaseRevived breaks [PRESENCE] in "logins" within 100,
        as "a process that was paused for longer than its lease, and acts on after it wakes up";
    /// The answer to a question for receipts is the asker's own watermark.
    OwnReceiptAsked breaks [RECEIPT_TRUTH] in "storm",
        as "blue ticks for what one has read oneself";
    /// Being blocked hides nobody's presence.
    PresenceDespiteBlock breaks [VISIBILITY] in "privacy",
        as "blocked people who still see `last seen`";
    /// Presence for contacts is shown to those who have the user as a contact, not the other way round.
    ContactsTheWrongWayRound breaks [VISIBILITY] in "privacy",
        as "privacy rules that anybody passes by adding a number";
    /// Watchers are not told that somebody hides from them, or shows again.
    HidingIsNotTold breaks [PRESENCE] in "privacy",
        as "blocked people who see one online until they open the chat again";
    /// Who watches anew is answered without asking whether they may see it.
    AnyoneMayAsk breaks [VISIBILITY] in "privacy",
        as "rules that hold for what is pushed, and not for what is asked for";
    /// Only a block of one's own keeps messages away, not one by the other side.
    BlockedMayWrite breaks [VISIBILITY] in "privacy",
        as "blocks that are checked on the device only";
    /// Everything delivered counts as read in the chat list.
    UnreadFromDelivered breaks [UNREAD] in "storm",
        as "badges that clear by themselves";
    /// The chat list counts the user's own messages as unread, and not the others'.
    UnreadCountsOwn breaks [UNREAD] in "storm",
        as "badges that grow while one writes";
    /// A new conversation is put on one side's chat list.
    ChatListedOnOneSide breaks [UNREAD, LOG_PROOF]
        because "the list lacks a conversation, which its reader sees, and the proof that compares it with the log"
        in "storm",
        as "conversations that are missing until the other side writes again";
    /// The hash chain begins anew at a message that came in the same millisecond as the one before.
    ChainOverNothing breaks [LOG_PROOF] in "storm",
        as "logs whose links are computed in parallel";
    /// A newly linked device begins at the end of the conversation, even if nobody of its user has all of it.
    NewcomerBeginsAtHead breaks [AT_LEAST_ONCE] in "storm",
        as "an acknowledgement by the new phone claims what only the lost one could have had";
    /// Last seen is when the connection was closed, not when the user was last heard.
    LastSeenIsNow breaks [PRESENCE] in "storm",
        as "half-open connections make people look active for minutes";
    /// A session whose opening was under way when its connection broke is never ended.
    OpeningLeftBehind breaks [PRESENCE, CONVERGENCE]
        because "a session that nobody holds shows its user online, and is not among those that gateways hold"
        in "storm" within 200,
        as "logins that are cut off leave a session behind";
    /// A connection that is silent is never given up.
    SilentStaysOnline breaks [PRESENCE] in "half-open" within 100,
        as "servers without heartbeats: a dead socket is online for hours";
    /// An acknowledgement that comes late takes a device's cursor back.
    CursorGoesBack breaks [AT_LEAST_ONCE] in "storm" within 200,
        as "a position that is set and not raised: after a retry everything comes again";
    /// A gateway that stops sends all of its clients away at once.
    DrainAtOnce breaks [BOUNDED] in "storm",
        as "a rolling restart that brings down the next server, which takes everybody at once";
    /// A gateway that stops ends the sessions of those whom it sends elsewhere.
    EndedAtHandover breaks [PRESENCE] in "storm",
        as "everybody goes offline and online again at each deployment";
    /// A session that is to be opened elsewhere waits for that for as long as it takes.
    HandoverWaitsForEver breaks [PRESENCE, CONVERGENCE]
        because "a session that nobody ends shows its user online, and keeps its gateway from stopping"
        in "storm" within 100,
        as "a failover that does not come: the user is online until the old process is killed by hand";
    /// A session's next transaction does not wait for the one before.
    TwoTransactionsAtATime breaks [SENDER_ORDER] in "storm" within 200,
        as "workers that take messages of one connection in parallel";
    /// An opening whose outcome is not known is given up if the store then refuses work.
    DoubtfulOpeningGivenUp breaks [PRESENCE] in "logins" within 8000,
        as "a timeout taken for a failure, and the write comes through later";
    /// Acknowledgements are dropped while the store refuses work.
    AcknowledgementDroppedInOverload breaks [CONVERGENCE] in "store-trouble" within 200,
        as "acks shed under load: the sender's second tick never comes";
    /// Messages behind one that was refused for the moment are taken if they come in with an older attempt.
    OlderAttemptAdmitted breaks [SENDER_ORDER, BOUNDED]
        because "what is taken out of turn stands out of order, and counts in the window after the client was told that it is refused"
        in "storm" within 200,
        as "pipelined sends behind a refused one";
    /// Messages that share a transaction with an earlier one that is refused for the moment are taken all the same.
    BatchOvertakesRefused breaks [SENDER_ORDER] in "group-churn",
        as "a batch that is answered item by item: what follows a refused message is accepted before it is sent again";
    /// Messages that wait behind one that was refused for the moment stay in line.
    QueueOvertakesRefused breaks [SENDER_ORDER] in "storm" within 400,
        as "a refused message is retried behind those that followed it";
    /// Acknowledgements make no room for further deliveries.
    DeliveriesNotGivenBack breaks [BOUNDED] in "storm",
        as "flow control that leaks: delivery stops after a window full";
    /// The end of an old connection takes away what the newer one watches.
    WatchOfNewerSessionEnded breaks [PRESENCE] in "half-open" within 800,
        as "presence that stops after a reconnection";
    /// A refused message does not give its place in the window back.
    WindowNotGivenBack breaks [BOUNDED] in "storm" within 200,
        as "permits that are not released on the error path";
    /// The device has its own message, so everything before it counts as sent to it.
    OwnMessageHidesGap breaks [AT_LEAST_ONCE, CONVERGENCE]
        because "what is missing was never sent to the device, and keeps it from coming to rest"
        in "storm",
        as "a cursor that is set to the position of what one has sent";
    /// An answer about somebody's presence that is older than the news is told all the same.
    OldPresenceWins breaks [PRESENCE] in "privacy" within 1600,
        as "a subscription whose first snapshot overwrites the update that overtook it";
    /// Of two waiting acknowledgements the later one counts, even if it says less.
    LaterAcknowledgementWins breaks [CONVERGENCE] in "storm" within 200,
        as "coalescing by last write: `delivered` swallows the `read` before it";
    /// A live message is passed on, and taken, although something before it is missing.
    LiveOvertakesBacklog breaks [AT_LEAST_ONCE, TOTAL_ORDER, VISIBLE_ONCE]
        because "the entry is delivered before those that precede it, stored after a gap, and stored again with the backlog"
        in "storm",
        as "a live message arrives before the backlog, and the client takes it for its position";
    /// The sender is told of acceptance before the commit.
    AcceptedBeforeCommit breaks [DEDUP, TOTAL_ORDER, NO_LOSS, BOUNDED]
        because "the position that was told goes to another message, or to none, and the place in the window is given back too early"
        in "storm",
        as "a tick when the message is in memory";
    /// A commit whose result is unknown counts as failed for ever.
    UnknownIsRefused breaks [NO_LOSS] in "storm",
        as "`failed to send` on a message that the other side is reading";
    /// A commit whose result is unknown counts as done.
    UnknownIsCommitted breaks [CONVERGENCE, PRESENCE]
        because "what was not committed is missing in the end, and if that is the end of a session, its user stays online"
        in "storm" within 400,
        as "a timeout taken for success";
    /// An entry that comes again is shown before it is looked up.
    ShownBeforeDedup breaks [VISIBLE_ONCE, TOTAL_ORDER]
        because "what is stored again is shown twice, and follows what comes after it"
        in "storm",
        as "doubled bubbles after a reconnection";
    /// The client acknowledges what is not on its disk yet.
    AcknowledgedBeforeSync breaks [RECEIPT_TRUTH, AT_LEAST_ONCE]
        because "both the receipt and the cursor say that a device has what it lost"
        in "storm",
        as "the app is killed after the second tick, and the message is gone";
    /// What was read is told once, and not again if the connection broke.
    ReadToldOnlyOnce breaks [CONVERGENCE] in "storm",
        as "read receipts that are lost in a tunnel";
    /// An older receipt takes ticks away.
    TicksGoBack breaks [RECEIPT_TRUTH] in "storm" within 100,
        as "receipts applied in the order in which they arrive";
    /// A client that connects does not ask how far its messages have got.
    TicksNotAskedFor breaks [CONVERGENCE] in "storm",
        as "grey ticks on what was read while one was offline";
    /// Of a message that was sent again it is not asked how far it has got.
    TicksOfRetriesNotAskedFor breaks [CONVERGENCE] in "storm" within 200,
        as "one message without its second tick, until the next start";
    /// A client never gives up on a server that is silent.
    SilenceIsTrusted breaks [CONVERGENCE] in "storm",
        as "`connected`, for hours, behind a router that has forgotten the connection";
    /// A message is sent again under another id.
    RetryUnderAnotherId breaks [VISIBILITY] in "storm",
        as "ids that are made when a message is sent rather than when it is written";
    /// What was sent is forgotten, answered or not.
    SentIsForgotten breaks [SENDER_ORDER, CONVERGENCE]
        because "a message that is refused for the moment is never sent again, while those behind it are"
        in "storm",
        as "an outbox that is emptied by the write to the socket";
    /// What one device of a user has is taken for what all of them have, when contents are trimmed.
    TrimmedAtDelivered breaks [NO_LOSS] in "retention",
        as "servers that delete at the second tick: the desktop that was off gets nothing but a placeholder";
    /// Contents are trimmed when the devices of one of the two people have them.
    TrimmedAfterOneSide breaks [NO_LOSS] in "retention",
        as "a clean-up that asks the sender's devices only";
    /// The last admin leaves, and nobody becomes one.
    NobodySucceeds breaks [GROUP_RULES] in "admin-race",
        as "groups that nobody can manage any more";
    /// The member with the lowest id becomes admin, not the one who has been there for longest.
    HeirById breaks [GROUP_RULES] in "admin-race" within 400,
        as "succession in the order in which the rows happen to come";
    /// The last admin can give up being one.
    LastAdminStepsDown breaks [GROUP_RULES] in "admin-race",
        as "a rule for leaving that was not made for demotion";
    /// Every member can remove every other.
    AnybodyRemoves breaks [GROUP_RULES] in "group-churn",
        as "a check of roles that only the client makes";
    /// Who has blocked somebody can be added to a group by them.
    AdderIsNotAskedAbout breaks [GROUP_RULES] in "group-churn" within 400,
        as "people who are pulled into groups by those whom they have blocked";
    /// Of several who are added at once, those who are members already are passed over and made members anew.
    AddedAsFarAsPossible breaks [GROUP_RULES] in "group-churn",
        as "bulk operations that are half done when one item fails";
    /// The limit is compared with how many members there are, not with how many there will be.
    LimitBeforeAdding breaks [GROUP_RULES] in "group-churn" within 200,
        as "groups of 1026: a check of the count before several are added";
    /// A message is taken whatever roster it was made for.
    StaleRosterIsTaken breaks [GROUP_RULES] in "group-churn",
        as "messages that are encrypted for somebody who was removed, and not for who was added";
    /// The roster epoch counts members only: a device that is linked does not raise it.
    EpochIsOfMembersOnly breaks [GROUP_RULES] in "group-churn",
        as "a new phone that cannot decrypt the group until somebody joins";
    /// Who has come back sees everything since they were first a member.
    SeenSinceTheFirstTime breaks [VISIBILITY] in "group-churn" within 100,
        as "history of the time between that is shown after rejoining";
    /// Who has left reads on.
    WhoLeftReadsOn breaks [VISIBILITY] in "group-churn",
        as "membership that is checked when a message is sent, and not when it is fetched";
    /// Whoever is removed or leaves is not told, if the group is small.
    LeaverIsNotTold breaks [GROUP_RULES] in "group-churn",
        as "groups that stay on the list of the one who was removed";
    /// The group stays on the chat list of whoever has left it.
    LeftButStillListed breaks [GROUP_RULES] in "group-churn",
        as "two tables for one membership, of which one is forgotten";
    /// Unread messages of a group are counted from its beginning, not from when the user became a member.
    UnreadSinceTheBeginning breaks [UNREAD] in "group-churn",
        as "a new member with nine hundred unread messages, none of which can be opened";
    /// A job marks the first part of the members only.
    FanOutForgetsItsPlace breaks [AT_LEAST_ONCE] in "full-group",
        as "a cursor over the members that is lost between two runs: the same ones are always served";
    /// A job ends although something was sent while it was under way.
    FanOutForgetsWhatCame breaks [AT_LEAST_ONCE] in "full-group",
        as "a queue item that is deleted although it was updated: the last message of a burst is missing";
    /// A job passes over those who became members by the entry that it tells of.
    FanOutSkipsTheNew breaks [AT_LEAST_ONCE] in "full-group",
        as "people who do not learn that they were added until somebody writes";
    /// The device by which somebody leaves a large group is not marked for what no job had marked it for yet.
    LeaverMissesWhatCameBefore breaks [GROUP_RULES]
        in "full-group" within 200,
        as "a farewell that overtakes the last messages, which never come";
    /// A device that was marked for what it had acknowledged stays marked.
    LateMarkStays breaks [CONVERGENCE] in "full-group" within 200,
        as "an unread dot that nothing takes away until the app is started again";
    /// A job that has lost its gateway is left alone.
    JobDiesWithItsGateway breaks [CONVERGENCE, NO_LOSS]
        because "the job waits for ever, and so does who was not marked by it; which is seen first depends on who is alive"
        in "full-group" within 100,
        as "work that is kept in a worker's memory: a deployment loses it";
}

const _: () = {
    let mut nth = 0;
    while nth < Bug::ALL.len() {
        let about = Bug::ALL[nth].about();
        assert!((about.breaks.len() > 1) != about.because.is_empty(), "a bug that breaks several invariants says why, and no other does");
        nth += 1;
    }
};
