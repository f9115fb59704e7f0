//! The job that marks the devices of a large group as behind. A group has at most one, however many messages it is for: it holds the highest
//! position, and one pass over the members serves all messages up to there. Any gateway may carry on with it at any time, and twice: marks
//! are maxima.

use super::{devices_of_users, members_of_page};
use crate::command::Reply;
use crate::event::Event;
use crate::id::{ConversationId, Seq, UserId};
use crate::limits;
use crate::rows::{self, Counter, FanOut};
use crate::store::Key;
use crate::transact::Decision;
use crate::view::{Stop, View};
use alloc::vec;
use alloc::vec::Vec;

/// Marks the devices of some members, and notes how far the pass has got.
pub(crate) fn run(view: &mut View, conversation: ConversationId) -> Result<Decision, Stop> {
    let (due, progress) = (rows::fan_out_due(conversation), rows::fan_out(conversation));
    view.need(&[due.key, progress.key])?;
    // A damaged job is done from the beginning: the marks that it makes are maxima.
    let Some(due) = view.find(&due)?.map(|Counter(upto)| Seq(upto)) else {
        mark!(FanOutIsDone);
        return Ok(Decision::reply(Reply::FannedOut { more: false }));
    };
    let progress = view.find(&progress)?;
    let upto = progress.map_or(due, |progress| progress.upto);
    let entry = rows::log(conversation, upto);
    // Both are asked for before either is judged, so that one round fetches both.
    let members = members_of_page(view, conversation, progress.map(|progress| progress.after), limits::FAN_OUT_MEMBERS);
    view.need(&[entry.key])?;
    let members = members?;
    let last = members.last().map(|(user, _)| *user).filter(|_| members.len() as u32 == limits::FAN_OUT_MEMBERS);
    let last = last.filter(|_| !planted!(FanOutForgetsItsPlace));
    // Who has joined later sees nothing of it. A damaged row is marked all the same: what is behind the mark is judged when it is read.
    let behind = members.into_iter().filter(|(_, member)| member.is_none_or(|member| member.joined <= upto));
    let behind = behind.filter(|(_, member)| !planted!(FanOutSkipsTheNew if member.is_some_and(|member| member.joined == upto)));
    let users: Vec<UserId> = behind.map(|(user, _)| user).collect();
    let devices = devices_of_users(view, &users)?;
    let entry = view.find(&entry)?;
    let mut events = vec![Event::MarkedBehind { conversation, upto, devices, entry }];
    let more = if let Some(after) = last {
        events.push(Event::FanOutMoved { conversation, progress: FanOut { upto, after } });
        true
    } else {
        // What was sent meanwhile needs another pass.
        let again = due > upto;
        mark!(FanOutGoesRoundAgain if again);
        let again = again && !planted!(FanOutForgetsWhatCame);
        events.push(Event::FanOutDone { conversation, again });
        again
    };
    Ok(Decision::of(events, Reply::FannedOut { more }))
}

/// Jobs that wait or are being done, each with a stamp that changes whenever it moves on.
pub(crate) fn waiting(view: &mut View) -> Result<Decision, Stop> {
    let due =
        view.scan_stored(&rows::fan_outs(None, limits::PAGE_CONVERSATIONS), |key, due| Some((rows::fan_out_of(&key)?, due.to_vec())))?;
    let due: Vec<(ConversationId, Vec<u8>)> = due.into_iter().flatten().collect();
    view.need(&due.iter().map(|(conversation, _)| rows::fan_out(*conversation).key).collect::<Vec<Key>>())?;
    let mut jobs = vec![];
    for (conversation, mut state) in due {
        if let Some(FanOut { upto, after }) = view.find(&rows::fan_out(conversation))? {
            state.extend(upto.0.to_le_bytes());
            state.extend(after.0.to_le_bytes());
        }
        jobs.push((conversation, crate::command::stamp(&state)));
    }
    Ok(Decision::reply(Reply::FanOuts(jobs)))
}
