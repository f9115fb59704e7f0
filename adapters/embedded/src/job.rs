//! A transaction that was submitted: what the committer does with it, whatever its type.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use doubletick_core::store::{Commit, Failure, Missing, Snapshot, Transaction, Write};
use doubletick_store::limits::check_writes;
use tokio::sync::oneshot;

/// What a panic was about.
pub(crate) type Panic = Box<dyn Any + Send>;

/// What the one who submitted it hears: an answer, or the panic of the transaction, to be raised where it was submitted.
pub(crate) type Reply<A> = Result<Result<A, Panic>, Failure>;

/// How a run ended.
pub(crate) enum Ran {
    /// It wants this written; the answer is kept.
    Wants(Vec<Write>),
    /// It said that something is missing.
    Missing,
    /// It panicked, and was told so.
    Panicked,
}

/// A transaction of some type.
pub(crate) trait Job: Send {
    /// Runs it. It has no effect but that its answer is kept.
    fn run(&mut self, snapshot: &mut dyn Snapshot) -> Ran;

    /// Raises a mistake of the transaction where it was submitted.
    fn blame(&mut self, mistake: &'static str);

    /// Tells the one who submitted it: the answer kept, or why there is none.
    fn settle(self: Box<Self>, outcome: Result<(), Failure>);
}

pub(crate) struct Submitted<T: Transaction> {
    transaction: T,
    answer: Option<T::Answer>,
    reply: Option<oneshot::Sender<Reply<T::Answer>>>,
}

impl<T: Transaction> Submitted<T> {
    /// The job, and where its reply comes.
    pub(crate) fn channel(transaction: T) -> (Box<dyn Job>, oneshot::Receiver<Reply<T::Answer>>) {
        let (reply, receiver) = oneshot::channel();
        (Box::new(Self { transaction, answer: None, reply: Some(reply) }), receiver)
    }

    fn tell(&mut self, reply: Reply<T::Answer>) {
        if let Some(sender) = self.reply.take() {
            // Who dropped the future does not want to know.
            let _ = sender.send(reply);
        }
    }
}

impl<T: Transaction> Job for Submitted<T> {
    fn run(&mut self, snapshot: &mut dyn Snapshot) -> Ran {
        // A panic leaves nothing half done: the function changes nothing, and what it was given is not used again.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let commit = self.transaction.run(snapshot)?;
            check_writes(&commit.writes);
            Ok::<_, Missing>(commit)
        }));
        match ran {
            Ok(Ok(Commit { writes, answer })) => {
                self.answer = Some(answer);
                Ran::Wants(writes)
            }
            Ok(Err(Missing(_))) => Ran::Missing,
            Err(panic) => {
                self.tell(Ok(Err(panic)));
                Ran::Panicked
            }
        }
    }

    fn blame(&mut self, mistake: &'static str) {
        self.tell(Ok(Err(Box::new(mistake))));
    }

    fn settle(mut self: Box<Self>, outcome: Result<(), Failure>) {
        let reply = outcome.map(|()| Ok(self.answer.take().expect("it was run and wanted to be committed")));
        self.tell(reply);
    }
}
