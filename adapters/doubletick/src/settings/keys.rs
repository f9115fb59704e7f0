//! The table of keys.

use std::path::PathBuf;

use doubletick_core::gateway::Retention;
use doubletick_core::limits;
use doubletick_core::time::Millis;
use tracing_subscriber::filter::LevelFilter;

use super::value::{length, number, show_length, show_number, show_text};
use super::{Settings, StoreKind};
use crate::logs::Format;

/// Something that can be chosen.
#[derive(Debug)]
pub(super) struct Key {
    /// Its name in the file, with its section before a dot. The flag and the environment variable are made of it.
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// What it may be, as the end of the sentence "it must be".
    pub(super) allowed: &'static str,
    /// Takes a value, unless that is not allowed.
    pub(super) set: fn(&mut Settings, &str) -> Option<()>,
    /// The value as a file holds it; `None` for one that is optional and not there.
    pub(super) show: fn(&Settings) -> Option<toml::Value>,
}

const _: () = assert!(limits::COMMANDS_PER_TRANSACTION == 256, "the table says how many commands a transaction takes");

/// All of them; those of one section stand together, and those of none come first, as a file wants it.
pub(super) const KEYS: &[Key] = &[
    Key {
        name: "listen",
        help: "Where to listen",
        allowed: "an address and port, such as 127.0.0.1:7410 or [::]:7410",
        set: |settings, text| put(&mut settings.server.listen, text.parse().ok()),
        show: |settings| Some(show_text(settings.server.listen)),
    },
    Key {
        name: "store",
        help: "Where the data is kept",
        allowed: "embedded, memory, or fdb: and the path of a cluster file, such as fdb:/etc/foundationdb/fdb.cluster",
        set: |settings, text| {
            settings.store = match (text, text.strip_prefix("fdb:")) {
                ("embedded", _) => StoreKind::Embedded,
                ("memory", _) => StoreKind::Memory,
                (_, Some(file)) => StoreKind::Fdb(path(file)?),
                _ => return None,
            };
            Some(())
        },
        show: |settings| {
            Some(match &settings.store {
                StoreKind::Embedded => show_text("embedded"),
                StoreKind::Memory => show_text("memory"),
                StoreKind::Fdb(file) => show_text(format_args!("fdb:{}", file.display())),
            })
        },
    },
    Key {
        name: "metrics_listen",
        help: "Where to tell operators what is counted: plain HTTP, /metrics, /live and /ready; not to be reached from outside",
        allowed: "an address and port, such as 127.0.0.1:7411 or [::]:7411",
        set: |settings, text| put(&mut settings.server.metrics, text.parse().ok().map(Some)),
        show: |settings| settings.server.metrics.map(show_text),
    },
    Key {
        name: "data",
        help: "The directory of the embedded store",
        allowed: "a path",
        set: |settings, text| put(&mut settings.data, path(text)),
        show: |settings| Some(show_text(settings.data.display())),
    },
    Key {
        name: "proxied",
        help: "Whether each connection begins with a PROXY protocol header of version 2, as HAProxy's send-proxy-v2 writes it; only where nobody else can reach the port",
        allowed: "true or false",
        set: |settings, text| put(&mut settings.server.proxied, text.parse().ok()),
        show: |settings| Some(toml::Value::Boolean(settings.server.proxied)),
    },
    Key {
        name: "shards",
        help: "Gateways, each a task of its own; one for each core is best",
        allowed: "a whole number from 1 to 256",
        set: |settings, text| put(&mut settings.server.shards, number(text, 1..=256)),
        show: |settings| Some(show_number(settings.server.shards)),
    },
    Key {
        name: "connections",
        help: "Connections at a time",
        allowed: "a whole number from 1 to 1000000",
        set: |settings, text| put(&mut settings.server.connections, number(text, 1..=1_000_000)),
        show: |settings| Some(show_number(settings.server.connections)),
    },
    Key {
        name: "handshake",
        help: "How long a connection may take for its TLS handshake, for its first request, and for its greeting",
        allowed: "a length of time from 100ms to 5m, such as 500ms, 10s, 2m or 1h",
        set: |settings, text| {
            let length = length(text, Millis(100)..=Millis::seconds(300))?;
            settings.server.handshake = length;
            settings.server.gateway.handshake = length;
            Some(())
        },
        show: |settings| Some(show_length(settings.server.handshake)),
    },
    Key {
        name: "linger",
        help: "How long a connection stays open after the server's goodbye",
        allowed: "a length of time from 0s to 1m, such as 500ms, 10s, 2m or 1h",
        set: |settings, text| put(&mut settings.server.linger, length(text, Millis(0)..=Millis::seconds(60))),
        show: |settings| Some(show_length(settings.server.linger)),
    },
    Key {
        name: "drain_notice",
        help: "How long a server that is to stop says that it is not ready before it sends its clients away",
        allowed: "a length of time from 0s to 10m, such as 500ms, 10s, 2m or 1h",
        set: |settings, text| put(&mut settings.server.stop.notice, length(text, Millis(0)..=Millis::seconds(600))),
        show: |settings| Some(show_length(settings.server.stop.notice)),
    },
    Key {
        name: "drain_over",
        help: "A stopping server sends its clients away evenly over this time",
        allowed: "a length of time from 0s to 10m, such as 500ms, 10s, 2m or 1h",
        set: |settings, text| put(&mut settings.server.stop.drain.over, length(text, Millis(0)..=Millis::seconds(600))),
        show: |settings| Some(show_length(settings.server.stop.drain.over)),
    },
    Key {
        name: "drain_spread",
        help: "Each of them is told to come back at a random time within this",
        allowed: "a length of time from 0s to 10m, such as 500ms, 10s, 2m or 1h",
        set: |settings, text| put(&mut settings.server.stop.drain.spread, length(text, Millis(0)..=Millis::seconds(600))),
        show: |settings| Some(show_length(settings.server.stop.drain.spread)),
    },
    Key {
        name: "drain_handover",
        help: "How long after that a session waits to be opened at another server; 0s if there is no other",
        allowed: "a length of time from 0s to 10m, such as 500ms, 10s, 2m or 1h",
        set: |settings, text| put(&mut settings.server.stop.drain.handover, length(text, Millis(0)..=Millis::seconds(600))),
        show: |settings| Some(show_length(settings.server.stop.drain.handover)),
    },
    Key {
        name: "drain_deadline",
        help: "How long stopping may take in all; what is still under way then is cut off",
        allowed: "a length of time from 0s to 10m, such as 500ms, 10s, 2m or 1h",
        set: |settings, text| put(&mut settings.server.stop.deadline, length(text, Millis(0)..=Millis::seconds(600))),
        show: |settings| Some(show_length(settings.server.stop.deadline)),
    },
    Key {
        name: "retention",
        help: "How long the server keeps what was said: forever, until all devices have it (delivered), or for so long whoever has it",
        allowed: "forever, delivered, or a length of time from 1h to 3650d, such as 30d",
        set: |settings, text| {
            let limits = Millis::seconds(3600)..=Millis::days(3650);
            settings.server.gateway.retention = match text {
                "forever" => Retention::Forever,
                "delivered" => Retention::UntilDelivered,
                _ => Retention::For(length(text, limits)?),
            };
            Some(())
        },
        show: |settings| {
            Some(match settings.server.gateway.retention {
                Retention::Forever => show_text("forever"),
                Retention::UntilDelivered => show_text("delivered"),
                Retention::For(length) => show_length(length),
            })
        },
    },
    Key {
        name: "arrivals.per_second",
        help: "New connections each second; clients that come faster are told when to come back",
        allowed: "a whole number from 1 to 1000000",
        set: |settings, text| put(&mut settings.server.arrivals.per_second, number(text, 1..=1_000_000)),
        show: |settings| Some(show_number(settings.server.arrivals.per_second)),
    },
    Key {
        name: "arrivals.burst",
        help: "New connections at once after a rest",
        allowed: "a whole number from 1 to 1000000",
        set: |settings, text| put(&mut settings.server.arrivals.burst, number(text, 1..=1_000_000)),
        show: |settings| Some(show_number(settings.server.arrivals.burst)),
    },
    Key {
        name: "fdb.prefix",
        help: "What the keys of all rows in a FoundationDB cluster begin with",
        allowed: "from 1 to 64 bytes",
        set: |settings, text| put(&mut settings.cluster.prefix, (1..=64).contains(&text.len()).then(|| text.to_owned())),
        show: |settings| Some(show_text(&settings.cluster.prefix)),
    },
    Key {
        name: "fdb.library",
        help: "FoundationDB's client library; without it, where the system has libfdb_c.so",
        allowed: "the path of a file",
        set: |settings, text| put(&mut settings.cluster.library, path(text).map(Some)),
        show: |settings| settings.cluster.library.as_ref().map(|path| show_text(path.display())),
    },
    Key {
        name: "tls.certificate",
        help: "Certificate chain for TLS; without it there is no TLS",
        allowed: "the path of a PEM file",
        set: |settings, text| put(&mut settings.certificate, path(text).map(Some)),
        show: |settings| settings.certificate.as_ref().map(|path| show_text(path.display())),
    },
    Key {
        name: "tls.key",
        help: "Private key for TLS",
        allowed: "the path of a PEM file",
        set: |settings, text| put(&mut settings.key, path(text).map(Some)),
        show: |settings| settings.key.as_ref().map(|path| show_text(path.display())),
    },
    Key {
        name: "log.level",
        help: "What is logged",
        allowed: "off, error, warn, info, debug or trace, or a list by part, such as warn,doubletick_server=debug",
        set: |settings, text| {
            let known = |item: &str| item.rsplit('=').next().is_some_and(|level| level.parse::<LevelFilter>().is_ok());
            if !text.split(',').all(known) {
                return None;
            }
            settings.log_level = text.parse().ok()?;
            Some(())
        },
        show: |settings| Some(show_text(&settings.log_level)),
    },
    Key {
        name: "log.format",
        help: "How log lines look",
        allowed: "compact or json",
        set: |settings, text| {
            settings.log_format = match text {
                "compact" => Format::Compact,
                "json" => Format::Json,
                _ => return None,
            };
            Some(())
        },
        show: |settings| {
            Some(show_text(match settings.log_format {
                Format::Compact => "compact",
                Format::Json => "json",
            }))
        },
    },
    Key {
        name: "registration.per_address_per_minute",
        help: "Requests for registration from one address, each minute",
        allowed: "a whole number from 1 to 1000000",
        set: |settings, text| put(&mut settings.server.registration.per_address.per_minute, number(text, 1..=1_000_000)),
        show: |settings| Some(show_number(settings.server.registration.per_address.per_minute)),
    },
    Key {
        name: "registration.per_address_burst",
        help: "The same, at once after a rest",
        allowed: "a whole number from 1 to 1000000",
        set: |settings, text| put(&mut settings.server.registration.per_address.burst, number(text, 1..=1_000_000)),
        show: |settings| Some(show_number(settings.server.registration.per_address.burst)),
    },
    Key {
        name: "registration.overall_per_minute",
        help: "Requests for registration from everywhere, each minute",
        allowed: "a whole number from 1 to 1000000",
        set: |settings, text| put(&mut settings.server.registration.overall.per_minute, number(text, 1..=1_000_000)),
        show: |settings| Some(show_number(settings.server.registration.overall.per_minute)),
    },
    Key {
        name: "registration.overall_burst",
        help: "The same, at once after a rest",
        allowed: "a whole number from 1 to 1000000",
        set: |settings, text| put(&mut settings.server.registration.overall.burst, number(text, 1..=1_000_000)),
        show: |settings| Some(show_number(settings.server.registration.overall.burst)),
    },
    Key {
        name: "registration.insecure_fixed_code",
        help: "INSECURE, for tests and measurements only: the code of every verification, so that anyone can register any number",
        allowed: "4 to 8 digits",
        set: |settings, text| {
            let right = (4..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            settings.server.registration.insecure_fixed_code = Some(right.then(|| text.to_owned())?);
            Some(())
        },
        show: |settings| settings.server.registration.insecure_fixed_code.as_ref().map(show_text),
    },
    Key {
        name: "gateway.window",
        help: "Messages that a session may have sent without having heard of them",
        allowed: "a whole number from 1 to 4096",
        set: |settings, text| put(&mut settings.server.gateway.window, number(text, 1..=4_096)),
        show: |settings| Some(show_number(settings.server.gateway.window)),
    },
    Key {
        name: "gateway.requests",
        help: "Other requests that a session may have under way",
        allowed: "a whole number from 1 to 4096",
        set: |settings, text| put(&mut settings.server.gateway.requests, number(text, 1..=4_096)),
        show: |settings| Some(show_number(settings.server.gateway.requests)),
    },
    Key {
        name: "gateway.deliveries",
        help: "Messages that a session may have been sent without having acknowledged them",
        allowed: "a whole number from 64 to 65536",
        set: |settings, text| put(&mut settings.server.gateway.deliveries, number(text, 64..=65_536)),
        show: |settings| Some(show_number(settings.server.gateway.deliveries)),
    },
    Key {
        name: "gateway.ack_timeout",
        help: "How long a device may take to acknowledge",
        allowed: "a length of time from 1s to 1h, such as 500ms, 10s, 2m or 1h",
        set: |settings, text| put(&mut settings.server.gateway.ack_timeout, length(text, Millis::seconds(1)..=Millis::seconds(3600))),
        show: |settings| Some(show_length(settings.server.gateway.ack_timeout)),
    },
    Key {
        name: "gateway.unflushed",
        help: "Bytes on their way to a device above which it is taken for one that does not read",
        allowed: "a whole number from 262144 to 67108864",
        set: |settings, text| put(&mut settings.server.gateway.unflushed, number(text, 262_144..=67_108_864)),
        show: |settings| Some(show_number(settings.server.gateway.unflushed)),
    },
    Key {
        name: "gateway.reread",
        help: "How often a session looks again for what it may have missed",
        allowed: "a length of time from 1s to 1h, such as 500ms, 10s, 2m or 1h",
        set: |settings, text| put(&mut settings.server.gateway.reread, length(text, Millis::seconds(1)..=Millis::seconds(3600))),
        show: |settings| Some(show_length(settings.server.gateway.reread)),
    },
    Key {
        name: "gateway.retention_walk",
        help: "How long after all conversations were looked at for what need not be kept they are looked at again",
        allowed: "a length of time from 1s to 1d, such as 500ms, 10s, 2m or 1h",
        set: |settings, text| put(&mut settings.server.gateway.retention_walk, length(text, Millis::seconds(1)..=Millis::days(1))),
        show: |settings| Some(show_length(settings.server.gateway.retention_walk)),
    },
    Key {
        name: "gateway.send_per_second",
        help: "Messages that a session may send each second",
        allowed: "a whole number from 1 to 1000000",
        set: |settings, text| put(&mut settings.server.gateway.send_rate.per_second, number(text, 1..=1_000_000)),
        show: |settings| Some(show_number(settings.server.gateway.send_rate.per_second)),
    },
    Key {
        name: "gateway.send_burst",
        help: "The same, at once after a rest",
        allowed: "a whole number from 1 to 1000000",
        set: |settings, text| put(&mut settings.server.gateway.send_rate.burst, number(text, 1..=1_000_000)),
        show: |settings| Some(show_number(settings.server.gateway.send_rate.burst)),
    },
    Key {
        name: "gateway.lookup_per_second",
        help: "Look-ups of users that a session may make each second",
        allowed: "a whole number from 1 to 1000000",
        set: |settings, text| put(&mut settings.server.gateway.lookup_rate.per_second, number(text, 1..=1_000_000)),
        show: |settings| Some(show_number(settings.server.gateway.lookup_rate.per_second)),
    },
    Key {
        name: "gateway.lookup_burst",
        help: "The same, at once after a rest",
        allowed: "a whole number from 1 to 1000000",
        set: |settings, text| put(&mut settings.server.gateway.lookup_rate.burst, number(text, 1..=1_000_000)),
        show: |settings| Some(show_number(settings.server.gateway.lookup_rate.burst)),
    },
    Key {
        name: "gateway.batch",
        help: "Commands in one transaction",
        allowed: "a whole number from 1 to 256",
        set: |settings, text| put(&mut settings.server.gateway.batch, number(text, 1..=256)),
        show: |settings| Some(show_number(settings.server.gateway.batch)),
    },
    Key {
        name: "gateway.in_flight",
        help: "Transactions of one kind that are under way at a time",
        allowed: "a whole number from 1 to 256",
        set: |settings, text| put(&mut settings.server.gateway.in_flight, number(text, 1..=256)),
        show: |settings| Some(show_number(settings.server.gateway.in_flight)),
    },
];

/// Puts a value in its place, if there is one.
fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sections_stand_together() {
        let mut sections: Vec<&str> = KEYS.iter().map(|key| key.name.split_once('.').map_or("", |(section, _)| section)).collect();
        sections.dedup();
        let distinct: std::collections::BTreeSet<_> = sections.iter().collect();
        assert_eq!(distinct.len(), sections.len(), "{sections:?}");
        assert_eq!(sections[0], "");
        let names: std::collections::BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!(names.len(), KEYS.len());
    }

    #[test]
    fn what_a_range_says_is_what_it_takes() {
        let mut ranges = 0;
        for key in KEYS {
            let Some((from, to)) = key.allowed.strip_prefix("a whole number from ").and_then(|range| range.split_once(" to ")) else {
                continue;
            };
            ranges += 1;
            let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
            let taken = [from - 1, from, to, to + 1].map(|number| (key.set)(&mut Settings::default(), &number.to_string()).is_some());
            assert_eq!(taken, [false, true, true, false], "{}", key.name);
        }
        assert!(ranges > 10);
    }

    #[test]
    fn every_default_is_allowed() {
        for key in KEYS {
            let Some(value) = (key.show)(&Settings::default()) else { continue };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert!((key.set)(&mut Settings::default(), &text).is_some(), "{} = {text}", key.name);
        }
    }
}
