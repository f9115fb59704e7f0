//! The options of databases and transactions, by their codes.

use std::time::Duration;

use bytes::Bytes;

use crate::error::Error;
use crate::limits;

/// An option of a transaction, as it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) code: i32,
    pub(super) value: Option<Bytes>,
}

/// What the options of a transaction amount to.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) read_your_writes: bool,
    /// Snapshot reads see the transaction's writes while this is above zero.
    pub(super) snapshot_read_your_writes: i32,
    pub(super) next_write_unconflicting: bool,
    pub(super) read_system_keys: bool,
    pub(super) write_system_keys: bool,
    pub(super) timeout: Option<Duration>,
    /// How often the transaction may be run again; without end if there is none.
    pub(super) retry_limit: Option<u64>,
    pub(super) max_retry_delay: Duration,
    pub(super) size_limit: i64,
    pub(super) protect_commit: bool,
    pub(super) report_conflicting_keys: bool,
    pub(super) special_keys_relaxed: bool,
    pub(super) special_keys_writable: bool,
    pub(super) bypass_unreadable: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_your_writes: true,
            snapshot_read_your_writes: 1,
            next_write_unconflicting: false,
            read_system_keys: false,
            write_system_keys: false,
            timeout: None,
            retry_limit: None,
            max_retry_delay: Duration::from_secs(1),
            size_limit: limits::TRANSACTION,
            protect_commit: true,
            report_conflicting_keys: false,
            special_keys_relaxed: false,
            special_keys_writable: false,
            bypass_unreadable: false,
        }
    }
}

/// Options of transactions that change nothing here: they say how a cluster routes, throttles, traces and caches.
const WITHOUT_EFFECT: &[i32] = &[
    10, 20, 21, 23, 40, 50, 52, 110, 120, 200, 201, 303, 304, 400, 401, 402, 403, 404, 405, 406, 507, 508, 509, 510, 511, 700, 702, 711,
    800, 801, 900, 1000, 1101, 1102,
];

/// Options of transactions that promise something that the sandbox does not keep.
const UNSUPPORTED: &[i32] = &[130, 300, 504, 505, 710, 2000];

/// The codes of those options of transactions that stay set while a transaction is run again.
const PERSISTENT: &[i32] = &[500, 501, 502];

impl Setting {
    /// Whether the option is there at all.
    pub(super) fn known(code: i32) -> Result<(), Error> {
        let known = matches!(code, 30 | 51 | 301 | 302 | 500..=503 | 600 | 601 | 701 | 712..=714 | 1100) || WITHOUT_EFFECT.contains(&code);
        match known {
            true => Ok(()),
            false if UNSUPPORTED.contains(&code) => Err(Error::UNSUPPORTED_OPERATION),
            false => Err(Error::INVALID_OPTION),
        }
    }

    /// Whether it stays set while the transaction is run again.
    pub(super) fn is_persistent(&self) -> bool {
        PERSISTENT.contains(&self.code)
    }
}

impl Options {
    /// Sets an option.
    pub(super) fn set(&mut self, setting: &Setting) -> Result<(), Error> {
        Setting::known(setting.code)?;
        let value = setting.value.as_deref();
        match setting.code {
            30 => self.next_write_unconflicting = flag(value)?,
            51 => self.read_your_writes = !flag(value)?,
            301 => (self.read_system_keys, self.write_system_keys) = (flag(value)?, flag(value)?),
            302 => self.read_system_keys = flag(value)?,
            500 => self.timeout = Some(integer(value, 0, i64::from(i32::MAX))?).filter(|ms| *ms > 0).map(milliseconds),
            501 => self.retry_limit = u64::try_from(integer(value, -1, i64::from(i32::MAX))?).ok(),
            502 => self.max_retry_delay = milliseconds(integer(value, 0, i64::from(i32::MAX))?),
            503 => self.size_limit = integer(value, limits::LEAST_SIZE_LIMIT, limits::TRANSACTION)?,
            600 => self.snapshot_read_your_writes += i32::from(flag(value)?),
            601 => self.snapshot_read_your_writes -= i32::from(flag(value)?),
            701 => self.protect_commit = !flag(value)?,
            712 => self.report_conflicting_keys = flag(value)?,
            713 => self.special_keys_relaxed = flag(value)?,
            714 => self.special_keys_writable = flag(value)?,
            1100 => self.bypass_unreadable = flag(value)?,
            _ => {}
        }
        Ok(())
    }
}

/// The options of a database handle.
#[derive(Clone, Debug)]
pub(super) struct DatabaseOptions {
    pub(super) max_watches: usize,
    /// What each transaction begins with.
    pub(super) defaults: Vec<Setting>,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self { max_watches: limits::WATCHES, defaults: Vec::new() }
    }
}

impl DatabaseOptions {
    /// Sets an option.
    pub(super) fn set(&mut self, code: i32, value: Option<&[u8]>) -> Result<(), Error> {
        let default = match code {
            10 | 21 | 22 | 405 | 504 | 505 | 900 => return Ok(()),
            20 => {
                self.max_watches = usize::try_from(integer(value, 0, limits::MOST_WATCHES)?).map_err(|_| Error::INVALID_OPTION_VALUE)?;
                return Ok(());
            }
            26 => 600,
            27 => 601,
            500..=503 | 701 => code,
            700 => 1100,
            702 => 712,
            506 => return Err(Error::UNSUPPORTED_OPERATION),
            _ => return Err(Error::INVALID_OPTION),
        };
        let setting = Setting { code: default, value: value.map(Bytes::copy_from_slice) };
        Options::default().set(&setting)?;
        self.defaults.push(setting);
        Ok(())
    }
}

/// Sets an option of the network. None of them changes anything here.
///
/// # Errors
/// [`Error::UNSUPPORTED_OPERATION`] for those that would make a client fail at random (the sandbox has its own faults) or load another one,
/// [`Error::INVALID_OPTION`] for those that are not there.
pub fn set_network_option(code: i32) -> Result<(), Error> {
    match code {
        10 | 20 | 30..=43 | 45..=47 | 52..=55 | 60 | 61 | 65 | 67..=72 | 84 | 90 | 91 => Ok(()),
        48..=51 | 62..=64 | 66 | 80..=83 => Err(Error::UNSUPPORTED_OPERATION),
        _ => Err(Error::INVALID_OPTION),
    }
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

fn flag(value: Option<&[u8]>) -> Result<bool, Error> {
    if value.is_none_or(<[u8]>::is_empty) { Ok(true) } else { Err(Error::INVALID_OPTION_VALUE) }
}

fn integer(value: Option<&[u8]>, least: i64, most: i64) -> Result<i64, Error> {
    let value = value.and_then(|bytes| bytes.try_into().ok()).map(i64::from_le_bytes);
    value.filter(|value| (least..=most).contains(value)).ok_or(Error::INVALID_OPTION_VALUE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(code: i32, value: Option<&[u8]>) -> Result<Options, Error> {
        let mut options = Options::default();
        options.set(&Setting { code, value: value.map(Bytes::copy_from_slice) })?;
        Ok(options)
    }

    #[test]
    fn options_check_their_values() {
        assert_eq!(set(500, Some(&250_i64.to_le_bytes())).unwrap().timeout, Some(Duration::from_millis(250)));
        assert_eq!(set(500, Some(&0_i64.to_le_bytes())).unwrap().timeout, None);
        assert_eq!(set(501, Some(&(-1_i64).to_le_bytes())).unwrap().retry_limit, None);
        for (code, value) in [(500, -1_i64), (501, -2), (503, 31), (503, 10_000_001)] {
            assert_eq!(set(code, Some(&value.to_le_bytes())).err(), Some(Error::INVALID_OPTION_VALUE), "{code}");
        }
        assert_eq!(set(500, Some(&[1])).err(), Some(Error::INVALID_OPTION_VALUE));
        assert_eq!(set(51, Some(&[1])).err(), Some(Error::INVALID_OPTION_VALUE));
    }

    #[test]
    fn an_option_that_is_not_there_or_not_kept_is_refused() {
        assert_eq!(set(99_999, None).err(), Some(Error::INVALID_OPTION));
        assert_eq!(set(504, Some(b"idempotent")).err(), Some(Error::UNSUPPORTED_OPERATION));
        assert_eq!(DatabaseOptions::default().set(1, None), Err(Error::INVALID_OPTION));
        assert_eq!((set_network_option(62), set_network_option(12)), (Err(Error::UNSUPPORTED_OPERATION), Err(Error::INVALID_OPTION)));
        assert!(WITHOUT_EFFECT.iter().all(|code| !UNSUPPORTED.contains(code) && set(*code, None).is_ok()));
    }
}
