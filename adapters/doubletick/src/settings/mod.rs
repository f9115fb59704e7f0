//! What can be chosen: one table of keys, from which the flags, the environment variables, the configuration file and the printed
//! configuration are made. Flags go before the environment, the environment before the file, the file before the defaults.

mod file;
mod keys;
mod value;

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use doubletick_core::time::Millis;
use doubletick_server::{Config, Stop, Tls};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::logs::Format;
use keys::{KEYS, Key};

/// All that was chosen, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) server: Config,
    pub(crate) store: StoreKind,
    pub(crate) data: PathBuf,
    pub(crate) cluster: Cluster,
    pub(crate) log_level: Targets,
    pub(crate) log_format: Format,
    /// The files for TLS, until it is known that both are there.
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// Where the data is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// On this machine's disk.
    Embedded,
    /// In the process, as long as that lives.
    Memory,
    /// On the FoundationDB cluster that a file names.
    Fdb(PathBuf),
}

/// How a FoundationDB cluster is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// What the keys of all rows begin with.
    pub(crate) prefix: String,
    /// The client library's file, if it is not where the system finds it.
    pub(crate) library: Option<PathBuf>,
}

/// What was chosen by flags and environment variables, unchecked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chosen {
    file: Option<PathBuf>,
    values: Vec<Value>,
}

/// A value for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    key: &'static str,
    text: String,
    /// Where it was chosen, for messages.
    from: String,
}

/// Commands in a transaction on a cluster, and transactions of a kind under way: what is refused because others got ahead of one command
/// is run again for all of its transaction, so large ones that run side by side hold each other up.
const CLUSTER_BATCH: usize = 32;
const CLUSTER_IN_FLIGHT: usize = 2;

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: Config::default(),
            store: StoreKind::Embedded,
            data: PathBuf::from("doubletick-data"),
            cluster: Cluster { prefix: "doubletick".into(), library: None },
            log_level: Targets::new().with_default(LevelFilter::INFO),
            log_format: Format::Compact,
            certificate: None,
            key: None,
        }
    }
}

impl Settings {
    /// All of it as a configuration file. Keys that are optional and were not chosen are left out.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for key in KEYS {
            let Some(value) = (key.show)(self) else { continue };
            let (of, name) = key.name.split_once('.').unwrap_or(("", key.name));
            if of != section {
                section = of;
                writeln!(text, "\n[{section}]").expect("a string takes everything");
            }
            writeln!(text, "{name} = {value}").expect("a string takes everything");
        }
        text
    }

    fn set(&mut self, value: &Value) -> Result<(), String> {
        let key = KEYS.iter().find(|key| key.name == value.key).expect("a value is only ever made for a key of the table");
        (key.set)(self, &value.text).ok_or_else(|| {
            let Value { key: name, text, from } = value;
            format!("{name} = {text:?} ({from}): must be {}", key.allowed)
        })
    }

    /// What depends on more than one key.
    fn finish(mut self) -> Result<Self, String> {
        self.server.tls = match (self.certificate.clone(), self.key.clone()) {
            (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err("tls.certificate is set and tls.key is not: TLS needs both".into()),
            (None, Some(_)) => return Err("tls.key is set and tls.certificate is not: TLS needs both".into()),
        };
        let Stop { drain, deadline, .. } = self.server.stop;
        if deadline < self.server.stop.length() {
            let (spread, least) = (if drain.handover == Millis(0) { "" } else { "drain_spread, " }, self.server.stop.length());
            let (least, deadline) = (value::show_length(least), value::show_length(deadline));
            return Err(format!(
                "drain_deadline = {deadline} would cut clients off: drain_notice, drain_over, {spread}and drain_handover take {least} together"
            ));
        }
        Ok(self)
    }
}

impl Chosen {
    /// Reads the file, if there is one, lays the other values over it, and checks everything.
    ///
    /// # Errors
    /// A sentence that names the key, the value, and what is allowed.
    pub(crate) fn settings(&self) -> Result<Settings, String> {
        let from_file = match &self.file {
            Some(path) => file::read(path)?,
            None => Vec::new(),
        };
        self.over(&from_file)
    }

    fn over(&self, from_file: &[Value]) -> Result<Settings, String> {
        let mut settings = Settings::default();
        let values = || from_file.iter().chain(&self.values);
        // Unless it was chosen, how a server stops depends on whether there are others, and how much it does at once on the store.
        for value in values().filter(|value| value.key == "store") {
            settings.set(value)?;
        }
        if let StoreKind::Fdb(_) = settings.store {
            settings.server.stop = Stop::AMONG_OTHERS;
            (settings.server.gateway.batch, settings.server.gateway.in_flight) = (CLUSTER_BATCH, CLUSTER_IN_FLIGHT);
        }
        // A value that another one hides is checked all the same: it would be wrong the day the other is taken away.
        for value in values() {
            settings.set(value)?;
        }
        settings.finish()
    }
}

impl Args for Chosen {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .env("DOUBLETICK_CONFIG")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("A configuration file (TOML)");
        KEYS.iter().fold(command.arg(file), |command, key| command.arg(key.arg()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Chosen {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = KEYS.iter().filter_map(|key| {
            let text = matches.get_one::<String>(key.name)?.clone();
            let from_environment = matches.value_source(key.name) == Some(ValueSource::EnvVariable);
            let from = if from_environment { key.variable() } else { format!("--{}", key.flag()) };
            Some(Value { key: key.name, text, from })
        });
        Ok(Self { file: matches.get_one("config").cloned(), values: values.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Key {
    fn flag(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }

    fn variable(&self) -> String {
        format!("DOUBLETICK_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    fn arg(&self) -> Arg {
        let help = format!("{} [{}]", self.help, self.allowed);
        let arg = Arg::new(self.name)
            .long(self.flag())
            .env(self.variable())
            .value_name("VALUE")
            .help(help)
            .hide_env_values(true)
            .hide_short_help(self.name.contains('.'));
        match self.name.split_once('.') {
            Some((section, _)) => arg.help_heading(section),
            None => arg,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(values: &[(&'static str, &str)]) -> Chosen {
        let values = values.iter().map(|(key, text)| Value { key, text: (*text).into(), from: "test".into() });
        Chosen { file: None, values: values.collect() }
    }

    fn from_file(text: &str) -> Result<Vec<Value>, String> {
        file::parse(text, "f.toml")
    }

    #[test]
    fn flags_go_before_the_file_and_the_file_before_the_defaults() {
        let file = from_file("shards = 3\nhandshake = \"4s\"\n[gateway]\nwindow = 7").unwrap();
        let settings = chosen(&[("gateway.window", "9")]).over(&file).unwrap();
        assert_eq!(settings.server.shards, 3);
        assert_eq!(settings.server.gateway.window, 9);
        assert_eq!(settings.server.gateway.requests, Config::default().gateway.requests);
        assert_eq!((settings.server.handshake.0, settings.server.gateway.handshake.0), (4_000, 4_000));
    }

    #[test]
    fn the_printed_configuration_reads_as_itself() {
        let values = [("listen", "[::1]:80"), ("tls.certificate", "a \"b\".pem"), ("tls.key", "k.pem"), ("log.level", "warn,x=debug")];
        for chosen in [chosen(&[]), chosen(&values)] {
            let printed = chosen.settings().unwrap().to_toml();
            let again = Chosen::default().over(&from_file(&printed).unwrap()).unwrap();
            assert_eq!(again.to_toml(), printed);
        }
    }

    #[test]
    fn a_bad_value_is_told_with_its_key_its_place_and_what_is_allowed() {
        for (key, text, allowed) in [
            ("gateway.window", "0", "a whole number from 1 to 4096"),
            ("listen", "localhost", "an address and port, such as 127.0.0.1:7410 or [::]:7410"),
            ("handshake", "10", "a length of time from 100ms to 5m, such as 500ms, 10s, 2m or 1h"),
            ("store", "sqlite", "embedded, memory, or fdb: and the path of a cluster file"),
        ] {
            let error = chosen(&[(key, text)]).settings().unwrap_err();
            assert!(error.starts_with(&format!("{key} = {text:?} (test): must be {allowed}")), "{error}");
        }
        let error = Chosen::default().over(&from_file("[gateway]\nwindow = 0").unwrap()).unwrap_err();
        assert_eq!(error, "gateway.window = \"0\" (f.toml): must be a whole number from 1 to 4096");
    }

    #[test]
    fn a_bad_value_that_another_one_hides_is_told_too() {
        let file = from_file("shards = 0").unwrap();
        assert!(chosen(&[("shards", "2")]).over(&file).is_err());
    }

    #[test]
    fn a_server_on_a_cluster_stops_slowly_and_batches_modestly_unless_something_else_was_chosen() {
        let stop = |values: &[(&'static str, &str)]| chosen(values).settings().map(|settings| settings.server.stop);
        assert_eq!(stop(&[]).unwrap(), Stop::ALONE);
        assert_eq!(stop(&[("store", "fdb:f.cluster")]).unwrap(), Stop::AMONG_OTHERS);
        let batch = |values: &[(&'static str, &str)]| chosen(values).settings().unwrap().server.gateway.batch;
        assert_eq!(batch(&[]), Config::default().gateway.batch);
        assert_eq!(batch(&[("store", "fdb:f.cluster")]), CLUSTER_BATCH);
        assert_eq!(batch(&[("gateway.batch", "7"), ("store", "fdb:f.cluster")]), 7);
        let chosen = stop(&[("drain_over", "1m"), ("drain_deadline", "2m"), ("store", "fdb:f.cluster")]).unwrap();
        assert_eq!((chosen.drain.over, chosen.deadline), (Millis::seconds(60), Millis::seconds(120)));
        assert_eq!(chosen.notice, Stop::AMONG_OTHERS.notice);
        let error = stop(&[("drain_over", "1m"), ("store", "fdb:f.cluster")]).unwrap_err();
        assert!(error.starts_with("drain_deadline = \"1m\" would cut clients off"), "{error}");
    }

    #[test]
    fn tls_needs_both_of_its_files() {
        assert!(chosen(&[("tls.key", "k.pem")]).settings().unwrap_err().contains("tls.certificate is not"));
        assert!(chosen(&[("tls.certificate", "c.pem")]).settings().unwrap_err().contains("tls.key is not"));
    }

    #[test]
    fn flags_and_variables_are_named_after_their_key() {
        let key = KEYS.iter().find(|key| key.name == "gateway.ack_timeout").unwrap();
        assert_eq!((key.flag().as_str(), key.variable().as_str()), ("gateway-ack-timeout", "DOUBLETICK_GATEWAY_ACK_TIMEOUT"));
    }
}
