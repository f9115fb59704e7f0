//! `doubletick chat`: a terminal client for people, and a line mode for scripts.
//!
//! [`run`] opens or registers a profile (`start`) and then either draws (`tui`) or reads and prints lines ([`plain`]). `words` says in
//! words what both show, and `group` is what both can do about groups.

mod group;
pub mod plain;
mod start;
mod tui;
mod words;

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use doubletick_client::{RegisterError, RequestError, StartError, Stop, StorageError};

/// What may be chosen on the command line.
#[derive(Clone, Debug, Args)]
pub struct ChatArgs {
    /// Your phone number in international form, such as +4915100000001. Needed for the first start of a profile.
    #[arg(long)]
    pub phone: Option<String>,
    /// The server's address. Without it, where the profile was registered, else http://127.0.0.1:7410.
    #[arg(long, env = "DOUBLETICK_SERVER")]
    pub server: Option<String>,
    /// A PEM file with the certificates to believe instead of those that browsers trust.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Where messages and the device's token are kept. Without it, a directory for the phone number in the user's data directory.
    #[arg(long, value_name = "DIR")]
    pub profile: Option<PathBuf>,
    /// What this device is called in the list of your devices.
    #[arg(long, default_value = "terminal")]
    pub name: String,
    /// The verification code, if it is known already.
    #[arg(long)]
    pub code: Option<String>,
    /// Reads lines from the standard input and prints one line for each event, for scripts and pipes. The format is in docs/chat.md.
    #[arg(long)]
    pub plain: bool,
    /// With --plain: how far every message must have got before the program ends after the end of its input.
    #[arg(long, value_enum, default_value = "sent")]
    pub wait: Wait,
    /// With --plain: how many seconds after the end of the input to wait for that. Without it, for as long as it takes.
    #[arg(long, value_name = "SECONDS")]
    pub give_up: Option<u64>,
}

/// How far a message has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// The server has it.
    Sent,
    /// A device of the receiver has it.
    Delivered,
}

/// Why the program ends with an error: a sentence, and an exit code.
#[derive(Debug)]
pub enum Failure {
    /// It was asked for something that makes no sense. Exit code 2.
    Usage(String),
    /// The profile cannot be opened, read or written. Exit code 3; 4 if another process has it open.
    Profile(StorageError),
    /// The device could not be registered. Exit code 5.
    Register(RegisterError),
    /// The client has stopped for good. Exit code 6.
    Stopped(Stop),
    /// Some messages were refused, or some lines were not understood. Exit code 7.
    Undone(String),
    /// Time has run out. Exit code 8.
    GaveUp(String),
    /// The terminal, the standard input or the standard output fails. Exit code 1.
    Terminal(std::io::Error),
}

/// Runs until the user or the input ends it. Needs a multi-threaded runtime of tokio with I/O and time.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: ChatArgs) -> Result<(), Failure> {
    let start = start::Start::new(&args)?;
    if args.plain { plain::run(start, &args).await } else { tui::run(start).await }
}

impl Failure {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Terminal(_) => 1,
            Self::Usage(_) => 2,
            Self::Profile(StorageError::InUse(_)) => 4,
            Self::Profile(_) => 3,
            Self::Register(_) => 5,
            Self::Stopped(_) => 6,
            Self::Undone(_) => 7,
            Self::GaveUp(_) => 8,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(sentence) | Self::Undone(sentence) | Self::GaveUp(sentence) => f.write_str(sentence),
            Self::Profile(error) => error.fmt(f),
            Self::Register(error) => error.fmt(f),
            Self::Stopped(stop) => stop.fmt(f),
            Self::Terminal(error) => write!(f, "the terminal cannot be read or written: {error}"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Profile(error) => Some(error),
            Self::Register(error) => Some(error),
            Self::Terminal(error) => Some(error),
            Self::Usage(_) | Self::Stopped(_) | Self::Undone(_) | Self::GaveUp(_) => None,
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Profile(error)
    }
}

impl From<RegisterError> for Failure {
    fn from(error: RegisterError) -> Self {
        Self::Register(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Storage(error) => Self::Profile(error),
            StartError::NotRegistered => Self::Usage(error.to_string()),
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Stopped(stop) => Self::Stopped(stop),
            RequestError::Storage(error) => Self::Profile(error),
            RequestError::Refused(_)
            | RequestError::UnknownPhone(_)
            | RequestError::Text
            | RequestError::GroupName
            | RequestError::Senseless(_) => Self::Undone(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Terminal(error)
    }
}
