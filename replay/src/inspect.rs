//! The state of a part of the world after a step.

use crate::case::Case;
use crate::tree::Tree;
use doubletick_sim::cli::panics::quietly;
use doubletick_sim::inspect::{Fact, Part};
use doubletick_sim::player::Player;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// What was asked for: a part, and the way from it to something in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    part: Part,
    way: Vec<String>,
}

impl Wanted {
    /// Reads `device-4`, `device-4/app/chats`, `network`, or a conversation's id.
    ///
    /// # Errors
    /// A line that says what there is.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut way = text.split('/');
        let name = way.next().unwrap_or_default();
        let part = name.parse().map_err(|()| {
            format!(
                "{name}: a part is world, network, transactions, due, store, slot-N, gateway-N, device-N, user-N or a conversation's id"
            )
        })?;
        Ok(Self { part, way: way.map(str::to_owned).collect() })
    }
}

/// Trees, each under its name.
pub type Named = Vec<(String, Tree)>;

/// The facts of a part as trees, under their names.
pub fn trees(facts: &[Fact]) -> Named {
    facts.iter().map(|fact| (fact.name.clone(), Tree::read(&fact.text))).collect()
}

/// Goes to a step and tells what is so there: of a part, or which parts there are.
///
/// # Errors
/// Outside: a line about a step or a part that there is not. Inside: nobody reads what is written.
pub(crate) fn tell(case: &Case, step: u64, wanted: Option<&Wanted>, as_json: bool, out: &mut dyn Write) -> Result<io::Result<()>, String> {
    let (player, _) = quietly(|| {
        let mut player = Player::play(&case.scenario, case.seed);
        player.go(step);
        player
    });
    let last = player.run().steps;
    if step > last {
        return Err(format!("step {step}: there is none, the run ends with step {last}"));
    }
    let Some(Wanted { part, way }) = wanted else {
        let parts: Vec<String> = player.parts().iter().map(Part::to_string).collect();
        return Ok(if as_json { writeln!(out, "{}", json!(parts)) } else { writeln!(out, "{}", parts.join("\n")) });
    };
    let facts = player
        .inspect(*part)
        .ok_or_else(|| format!("{part}: there is no such part after step {step}; --inspect {step} tells which there are"))?;
    let found = follow(trees(&facts), way).map_err(|(name, known)| format!("{part} has no {name}; there is {}", known.join(", ")))?;
    if as_json {
        let state: Map<String, Value> = found.iter().map(|(name, tree)| (name.clone(), tree.json())).collect();
        return Ok(writeln!(out, "{}", json!({"step": step, "part": part.to_string(), "state": state})));
    }
    let mut lines = vec![format!("{part} after step {step}")];
    found.iter().for_each(|(name, tree)| tree.lines(name, 1, &mut lines));
    Ok(lines.iter().try_for_each(|line| writeln!(out, "{line}")))
}

/// Along the way; else what was looked for in vain, and what there was.
fn follow(all: Named, way: &[String]) -> Result<Named, (String, Vec<String>)> {
    let [first, rest @ ..] = way else { return Ok(all) };
    let found = all.iter().find(|(name, _)| name == first).map(|(_, tree)| tree);
    let mut tree = found.ok_or_else(|| (first.clone(), all.iter().map(|(name, _)| name.clone()).collect()))?;
    let mut name = first;
    for next in rest {
        let known = || tree.parts.iter().enumerate().map(|(nth, (name, _))| name.clone().unwrap_or_else(|| nth.to_string())).collect();
        tree = tree.part(next).ok_or_else(|| (next.clone(), known()))?;
        name = next;
    }
    Ok(vec![(name.clone(), tree.clone())])
}
