//! A data directory or a cluster, open to be read.

use std::path::PathBuf;

use doubletick_embedded::Reader;
use doubletick_store::readable::{ReadError, Readable, Reading};

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine.
    Directory(PathBuf),
    /// On a FoundationDB cluster.
    Cluster {
        /// The cluster file.
        file: PathBuf,
        /// What the keys of all rows begin with.
        prefix: String,
        /// The client library's file, if it is not where the system finds it.
        library: Option<PathBuf>,
    },
}

/// A store, open to be read.
#[derive(Debug)]
pub enum Source {
    /// A data directory that no server uses.
    Directory(Reader),
    /// A cluster, which servers may be using.
    #[cfg(feature = "fdb")]
    Cluster(cluster::Cluster),
}

impl Source {
    /// Opens it.
    ///
    /// # Errors
    /// One line about what is wrong, and what to do.
    pub fn open(place: &Place) -> Result<Self, String> {
        match place {
            Place::Directory(path) => Reader::open(path).map(Self::Directory).map_err(|error| error.to_string()),
            #[cfg(feature = "fdb")]
            Place::Cluster { file, prefix, library } => cluster::Cluster::open(file, prefix, library.as_deref()).map(Self::Cluster),
            #[cfg(not(feature = "fdb"))]
            Place::Cluster { .. } => Err("this program was built without FoundationDB: build it with `--features fdb`".into()),
        }
    }

    /// How many readings at a time serve it best.
    pub fn readers(&self) -> usize {
        match self {
            Self::Directory(_) => std::thread::available_parallelism().map_or(1, usize::from),
            // They wait for the network, not for this machine.
            #[cfg(feature = "fdb")]
            Self::Cluster(_) => 16,
        }
    }
}

impl Readable for Source {
    fn read<R: Reading>(&self, reading: R) -> Result<R::Answer, ReadError> {
        match self {
            Self::Directory(reader) => reader.read(reading),
            #[cfg(feature = "fdb")]
            Self::Cluster(cluster) => cluster.read(reading),
        }
    }
}

#[cfg(feature = "fdb")]
mod cluster {
    use std::fmt;
    use std::path::Path;

    use doubletick_fdb::{Fdb, Network, Options};
    use doubletick_store::readable::{ReadError, ReadOnly, Readable, Reading};
    use doubletick_store::waiting::block_on;

    /// A database on a cluster.
    pub struct Cluster {
        store: ReadOnly<Fdb>,
        // It goes last.
        _network: Network,
    }

    impl Cluster {
        pub(super) fn open(file: &Path, prefix: &str, library: Option<&Path>) -> Result<Self, String> {
            let network = Network::start(library).map_err(|error| error.to_string())?;
            let options = Options { prefix: prefix.to_owned(), ..Options::new(file) };
            let store = block_on(Fdb::open_read_only(&network, options)).map_err(|error| error.to_string())?;
            Ok(Self { store, _network: network })
        }
    }

    impl Readable for Cluster {
        fn read<R: Reading>(&self, reading: R) -> Result<R::Answer, ReadError> {
            self.store.read(reading)
        }
    }

    impl fmt::Debug for Cluster {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Cluster").finish_non_exhaustive()
        }
    }
}
