//! Keys from `\xff\xff` on, which stand for something else than rows.

use bytes::Bytes;

use super::cluster::faults_of;
use super::transaction::{State, Transaction};
use super::{Database, Value};
use crate::error::Error;
use crate::limits::SPECIAL;
use crate::model::Ranges;

/// The settings of the cluster's faults: to be read, and to be written with the option `special_key_space_enable_writes`.
const FAULTS: &[u8] = b"\xff\xff/sandbox/faults";
const COUNTS: &[u8] = b"\xff\xff/sandbox/counts";
const SANDBOX: &[u8] = b"\xff\xff/sandbox/";
const READS: &[u8] = b"\xff\xff/transaction/read_conflict_range/";
const WRITES: &[u8] = b"\xff\xff/transaction/write_conflict_range/";
const CONFLICTING: &[u8] = b"\xff\xff/transaction/conflicting_keys/";
const TRANSACTION: &[u8] = b"\xff\xff/transaction/";
const STATUS: &[u8] = b"\xff\xff/status/json";
const FILE: &[u8] = b"\xff\xff/cluster_file_path";
const CONNECTION: &[u8] = b"\xff\xff/connection_string";

/// The groups of special keys, each the keys that begin with its bytes. A read of a range stays within one.
const MODULES: [&[u8]; 5] = [TRANSACTION, SANDBOX, STATUS, FILE, CONNECTION];

/// The value of a special key.
pub(super) fn get(transaction: &Transaction, state: &State, key: &[u8]) -> Result<Value, Error> {
    if !state.options.special_keys_relaxed && !MODULES.iter().any(|module| key.starts_with(module)) {
        return Err(Error::SPECIAL_KEYS_NO_MODULE_FOUND);
    }
    let found = rows(transaction, state).into_iter().find(|(there, _)| *there == key);
    Ok(Value::Row(found.map(|(_, value)| value)))
}

/// The special rows of a range, the nearest to the beginning, or to the end, first.
pub(super) fn range(
    transaction: &Transaction,
    state: &State,
    begin: &[u8],
    end: &[u8],
    most: usize,
    reverse: bool,
) -> Result<Value, Error> {
    let meets = |module: &&&[u8]| begin < &*after_prefix(module) && end > **module;
    let modules = MODULES.iter().filter(meets).count();
    match modules {
        0 if !state.options.special_keys_relaxed => return Err(Error::SPECIAL_KEYS_NO_MODULE_FOUND),
        2.. if !state.options.special_keys_relaxed => return Err(Error::SPECIAL_KEYS_CROSS_MODULE_READ),
        _ => {}
    }
    let mut found = rows(transaction, state);
    found.retain(|(key, _)| begin <= &**key && &**key < end);
    found.sort();
    if reverse {
        found.reverse();
    }
    let more = found.len() > most;
    found.truncate(most);
    Ok(Value::Rows(found, more))
}

/// Notes a write to a special key.
pub(super) fn set(state: &mut State, key: &[u8], value: &[u8]) -> Result<(), Error> {
    if !state.options.special_keys_writable {
        return Err(Error::SPECIAL_KEYS_WRITE_DISABLED);
    }
    if key != FAULTS {
        return Err(Error::SPECIAL_KEYS_NO_WRITE_MODULE_FOUND);
    }
    state.special.push(Bytes::copy_from_slice(value));
    Ok(())
}

/// Changes the faults of a cluster as a write to their key says.
pub(super) fn apply(database: &Database, settings: &[u8]) -> Result<(), Error> {
    let settings = std::str::from_utf8(settings).map_err(|_| Error::SPECIAL_KEYS_API_FAILURE)?;
    database.cluster().set_faults(faults_of(settings).map_err(|_| Error::SPECIAL_KEYS_API_FAILURE)?);
    Ok(())
}

/// A text in JSON that says how the client is.
pub(super) fn client_status(database: &Database) -> String {
    let connection = json_string(database.cluster().connection());
    format!("{{\"Healthy\":true,\"ClusterID\":\"sandbox\",\"Coordinators\":[{connection}],\"Connections\":[]}}")
}

/// A text in JSON that says how the cluster is, as far as a client looks into it before it begins.
fn status(database: &Database) -> String {
    let (up, file) = (!database.cluster().faults().unreachable(), json_string(&database.file.to_string_lossy()));
    let client =
        format!("{{\"cluster_file\":{{\"path\":{file},\"up_to_date\":true}},\"database_status\":{{\"available\":{up},\"healthy\":{up}}}}}");
    format!("{{\"client\":{client},\"cluster\":{{\"sandbox\":true}}}}")
}

fn json_string(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

fn rows(transaction: &Transaction, state: &State) -> Vec<(Bytes, Bytes)> {
    let database = &transaction.database;
    let cluster = database.cluster();
    let texts = [
        (STATUS, status(database)),
        (FILE, database.file.to_string_lossy().into_owned()),
        (CONNECTION, cluster.connection().to_owned()),
        (FAULTS, cluster.faults().to_string()),
        (COUNTS, cluster.counts()),
    ];
    let texts = texts.into_iter().map(|(key, text)| (Bytes::from_static(key), Bytes::from(text)));
    let conflicts = [(READS, &state.reads.merged()), (WRITES, &state.writes.merged()), (CONFLICTING, &state.conflicting)];
    texts.chain(conflicts.into_iter().flat_map(|(prefix, ranges)| bounds(prefix, ranges))).collect()
}

/// Ranges as rows: `1` at each beginning, `0` at each end.
fn bounds(prefix: &[u8], ranges: &Ranges) -> impl Iterator<Item = (Bytes, Bytes)> {
    let row = |prefix: &[u8], key: &[u8], value: &'static [u8]| (Bytes::from([prefix, key].concat()), Bytes::from_static(value));
    ranges.iter().flat_map(move |(begin, end)| [row(prefix, begin, b"1"), row(prefix, end, b"0")])
}

fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut after = prefix.to_vec();
    *after.last_mut().expect("no module is empty") += 1;
    after
}

/// Whether a range lies among the special keys.
pub(super) fn is_range(begin: &[u8], end: &[u8]) -> bool {
    begin.starts_with(SPECIAL) && end >= SPECIAL
}
