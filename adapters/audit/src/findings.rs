//! What a proof has shown: the first things that are wrong, and how many more of which kind.

use std::collections::{BTreeMap, BTreeSet};

use doubletick_core::id::ConversationId;
use doubletick_core::store::Key;
use doubletick_core::verify::Problem;

/// How many are kept to be told; all are counted.
const KEPT: usize = 100;

/// Problems, in the order of their keys.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    first: BTreeMap<Key, Problem>,
    kinds: BTreeMap<&'static str, u64>,
    /// A problem in a conversation brings others after it, so of each conversation there is one.
    spoilt: BTreeSet<ConversationId>,
}

impl Findings {
    /// Notes a problem, unless it is one more of a conversation that has one.
    pub fn note(&mut self, problem: Problem) {
        if problem.conversation.is_some_and(|conversation| !self.spoilt.insert(conversation)) {
            return;
        }
        *self.kinds.entry(problem.fault.name()).or_default() += 1;
        self.first.insert(problem.key, problem);
        if self.first.len() > KEPT {
            self.first.pop_last();
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// How many there are: one for each conversation, and one for each row outside of conversations.
    pub fn count(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// The first ones.
    pub fn first(&self) -> impl Iterator<Item = &Problem> {
        self.first.values()
    }

    /// How many there are of each kind.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.kinds.iter().map(|(kind, count)| (*kind, *count))
    }
}
