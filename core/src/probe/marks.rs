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
    /// A message was sent again that is known, although its sender and its receiver are blocked from each other by now.
    RetryAfterBlock;
}
