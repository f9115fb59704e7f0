//! `doubletick-sim`: runs seeds and says what came of them.

fn main() {
    let run = doubletick_sim::run(&doubletick_sim::Scenario::default(), 1);
    println!("{:?}", run.verdict);
}
