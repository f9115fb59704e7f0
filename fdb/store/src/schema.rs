//! The stamp that says which schema the rows are of.
//!
//! ```text
//! prefix 0x00 "schema"    the schema's number, eight bytes little-endian
//! prefix 0x01 key         a row
//! ```

use std::path::Path;

use foundationdb::FdbError;

use crate::fate::{Fate, fate};
use crate::{Fdb, OpenError};

/// The schema of the rows that this program writes, and the newest that it reads.
pub const SCHEMA: u64 = 1;

/// What the names of all rows begin with.
pub(crate) fn rows(prefix: &str) -> Vec<u8> {
    [prefix.as_bytes(), &[1]].concat()
}

/// Reads the stamp, and writes it where there is none, if that is allowed.
pub(crate) async fn check(store: &Fdb, cluster_file: &Path, prefix: &str, may_stamp: bool) -> Result<(), OpenError> {
    let name = [prefix.as_bytes(), b"\0schema"].concat();
    match stamp(store, &name, may_stamp).await {
        Ok(Ok(SCHEMA)) => Ok(()),
        Ok(Ok(NO_STAMP)) => Err(OpenError::Nothing { prefix: prefix.into() }),
        Ok(Ok(found)) => Err(OpenError::Newer { prefix: prefix.into(), found }),
        Ok(Err(NotAStamp)) => Err(OpenError::Foreign { prefix: prefix.into() }),
        Err(error) => Err(OpenError::Unreachable { path: cluster_file.to_path_buf(), reason: error.message().to_owned() }),
    }
}

struct NotAStamp;

/// No schema has this number.
const NO_STAMP: u64 = 0;

async fn stamp(store: &Fdb, name: &[u8], may_write: bool) -> Result<Result<u64, NotAStamp>, FdbError> {
    let mut attempt = store.begin()?;
    loop {
        let error = match attempt.get(name, false).await {
            Ok(Some(value)) => return Ok((&*value).try_into().map(u64::from_le_bytes).map_err(|_| NotAStamp)),
            Ok(None) if !may_write => return Ok(Ok(NO_STAMP)),
            Ok(None) => {
                attempt.set(name, &SCHEMA.to_le_bytes());
                match attempt.commit().await {
                    Ok(_) => return Ok(Ok(SCHEMA)),
                    Err(error) => {
                        // Also one that may have been written: then it is found.
                        let code = FdbError::from_code(error.code());
                        if fate(code, true) == Fate::Unavailable {
                            return Err(code);
                        }
                        attempt = error.on_error().await?;
                        continue;
                    }
                }
            }
            Err(error) => error,
        };
        if fate(error, false) != Fate::Again {
            return Err(error);
        }
        attempt = attempt.on_error(error).await?;
    }
}
