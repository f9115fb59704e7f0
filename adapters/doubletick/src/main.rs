//! The program `doubletick`: the server, and what goes with it.
//!
//! Each sub-command has a module. Reading order: this file, [`settings`] (one table of all that can be chosen), [`serve`].

mod chat;
mod logs;
mod open_files;
mod serve;
mod settings;
mod store;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use doubletick_chat::ChatArgs;
use settings::Chosen;

/// A messenger's server.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Chosen,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server (what happens without a sub-command too).
    Serve(Chosen),
    /// Talks to people: a client for the terminal, or for scripts.
    Chat(ChatArgs),
    /// Shows how the server would be configured.
    Config(ConfigArgs),
    /// Looks into a store that is there, and changes nothing in it.
    Store {
        #[command(subcommand)]
        command: Box<store::StoreCommand>,
    },
    /// Loads a server, and checks every message while it measures.
    Bench(Box<doubletick_bench::BenchArgs>),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Checks every value and prints all of them as a configuration file.
    #[arg(long, required = true)]
    check: bool,
    #[command(flatten)]
    chosen: Chosen,
}

/// Why the program ends with an error.
#[derive(Debug)]
enum Failure {
    /// It was asked for something that makes no sense. Exit code 2, as for a flag that does not exist.
    Usage(String),
    /// It could not do what it was asked for. Exit code 1.
    Trouble(String),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(chosen) => chosen.settings().map_err(Failure::Usage).and_then(|settings| serve::serve(&settings)),
        Command::Chat(args) => return chat::chat(args),
        Command::Store { command } => match store::run(&command) {
            Ok(code) => return code,
            Err(failure) => Err(failure),
        },
        Command::Config(ConfigArgs { check: _, chosen }) => chosen.settings().map_err(Failure::Usage).map(|settings| {
            print!("{}", settings.to_toml());
        }),
        Command::Bench(args) => bench(*args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(sentence)) => {
            eprintln!("doubletick: {sentence}");
            ExitCode::from(2)
        }
        Err(Failure::Trouble(sentence)) => {
            eprintln!("doubletick: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: doubletick_bench::BenchArgs) -> Result<(), Failure> {
    open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Trouble(format!("cannot start threads: {error}")))?;
    runtime.block_on(doubletick_bench::run(args)).map_err(|error| Failure::Trouble(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_sub_command_the_server_is_meant() {
        let cli = Cli::try_parse_from(["doubletick", "--listen", "127.0.0.1:9"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.settings().unwrap().server.listen.port(), 9);
    }
}
