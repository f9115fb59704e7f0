//! The table of coverage marks.

macro_rules! marks {
    ($($(#[doc = $what:literal])+ $name:ident;)*) => {
        /// A rare branch that a long run has to take.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark { $($(#[doc = $what])+ $name,)* }

        impl Mark {
            /// Every mark, in the order of their numbers.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];

            /// The name by which reports know it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What has happened where it stands.
            pub fn what(self) -> &'static str {
                match self { $(Self::$name => concat!($($what),+).trim_ascii(),)* }
            }
        }
    };
}

marks! {
    /// A message was sent again and is known.
    RetryIsKnown;
    /// A message was sent again that is known, although one of both has blocked the other since.
    RetryAfterBlock;
    /// A message came at a gateway whose clock is behind the last one's.
    ClockIsBehind;
    /// A newly linked device gets what no older device of its user has.
    NewcomerIsBehind;
    /// A message was sent again that is known, and its sender has left the group since.
    RetryAfterLeaving;
    /// The last admin has left, and another member has become one.
    HeirIsNamed;
    /// Somebody becomes a member again.
    MemberComesBack;
    /// A message was made for another roster than the group has.
    RosterIsStale;
    /// A device is linked whose user's others lack something of a group.
    NewcomerIsBehindInAGroup;
    /// A page of a group's log passes over what was said while the user was no member.
    PagePassesOver;
    /// A job was to be carried on that is done.
    FanOutIsDone;
    /// Something was sent while a job was under way.
    FanOutGoesRoundAgain;
    /// A device was marked for what it had acknowledged.
    MarkedAfterAcknowledging;
    /// A job that nobody did was taken over.
    FanOutIsTakenOver;
    /// A page of the log was asked for that is empty.
    PageIsEmpty;
    /// An opening was run again after it had been committed.
    OpeningIsKnown;
    /// An earlier run of an app greeted after a later one.
    EarlierRunIsTurnedAway;
    /// A session was to be opened by a gateway whose lease is lost.
    OpeningWithoutLease;
    /// A session was replaced by one at another gateway.
    ReplacedAtAnotherGateway;
    /// A new token was used, and the old one is good no more.
    OldTokenIsDropped;
    /// The end of a session came after another had taken its place.
    LateEndEndsNothing;
    /// A session ended, and its user has another.
    UserHasAnotherSession;
    /// A wake-up that was seen says something newer by now.
    WakeChangedSinceSeen;
    /// A gateway that was judged dead has renewed its lease since.
    ReaperMetLiveGateway;
    /// Sessions of a dead gateway were ended.
    ReaperEndedSessions;
    /// A gateway found out that its lease was ended.
    LeaseIsGone;
    /// A device acknowledged less than it had acknowledged before.
    AcknowledgementOfLess;
    /// A device acknowledged what another of its user had already.
    AnotherDeviceIsAhead;
    /// Somebody was to be told of a presence whose session is gone.
    WatcherIsGone;
    /// A watcher may not see a presence.
    HiddenFromWatcher;
    /// A watch came from a session that was replaced.
    WatchesFromElsewhere;
    /// The outcome of a transaction is not known.
    ResultUnknown;
    /// A transaction whose outcome was not known has its answer.
    DoubtIsOver;
    /// An opening in doubt is run again although the store refuses work.
    OpeningInDoubtIsRunAgain;
    /// A connection ended before its session was to be opened.
    GoneBeforeTheOpening;
    /// A session's next message does not fit into a batch.
    NoRoomInTheBatch;
    /// An acknowledgement is kept while the store refuses work.
    AcknowledgementIsKept;
    /// A message came with an older attempt.
    OlderAttemptIsRefused;
    /// Messages that waited behind a refused one were refused too.
    WaitingMessagesAreRefused;
    /// A message stood in a batch behind one that was refused for the moment.
    BatchIsHeldBack;
    /// A session sends faster than it may.
    SenderIsSlowedDown;
    /// A wake-up came while the session was being opened.
    WokenWhileOpening;
    /// News of a presence came before the answer about it.
    PresenceAnswerIsStale;
    /// A presence was told while news about it were handed in as seen.
    AnsweredWhileNewsWereCleared;
    /// A gateway has not renewed its lease for its whole length.
    GatewayIsJudgedDead;
    /// A live entry is not the next one for its session.
    LiveEntryIsNotNext;
    /// A live entry is the next one, and its session has no room for it.
    LiveEntryFindsNoRoom;
    /// A connection was silent for too long.
    ConnectionIsDead;
    /// A device did not acknowledge in time.
    DeviceDoesNotAcknowledge;
    /// A connection does not read what it is given.
    ReaderIsTooSlow;
    /// A gateway whose lease is gone had sessions.
    LeaseEndsSessions;
    /// An entry came that the device has.
    EntryComesAgain;
    /// A message of the device's own stands behind others that it does not have.
    OwnMessageIsNotNext;
    /// A receipt says less than an earlier one.
    ReceiptIsOlder;
    /// A client gave up on a silent server.
    ServerIsSilent;
    /// A message was refused for the moment, and is sent again.
    RefusedForNow;
    /// A message was accepted although one after it has been refused for the moment since it was sent.
    AcceptedUnderEarlierAttempt;
    /// A message was refused for ever.
    RefusedForEver;
}
