//! A client with its network thread, for one test.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::sync::Arc;
use std::thread::JoinHandle;

use doubletick_fdb_sandbox::Error;
use doubletick_fdb_sandbox::client::{Client, Database, Future, Transaction, Value};
use doubletick_fdb_sandbox::faults::Faults;

pub(crate) struct World {
    client: Client,
    database: Arc<Database>,
    network: Option<JoinHandle<()>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let client = Client::new();
        let network = client.network().clone();
        let database = client.open_text("test:test@127.0.0.1:4500").unwrap();
        Self { client, database, network: Some(std::thread::spawn(move || network.run())) }
    }

    /// A world in which things go wrong.
    pub(crate) fn with(faults: &str) -> Self {
        let world = Self::new();
        world.set_faults(faults);
        world
    }

    pub(crate) fn set_faults(&self, faults: &str) {
        self.database.cluster().set_faults(Faults::parse(faults).unwrap());
    }

    pub(crate) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// Another handle to the same cluster.
    pub(crate) fn another_handle(&self) -> Arc<Database> {
        self.client.open_text("test:test@127.0.0.1:4500").unwrap()
    }

    pub(crate) fn transaction(&self) -> Arc<Transaction> {
        self.database.transaction()
    }

    /// Waits for a result.
    pub(crate) fn done(&self, future: &Future) -> Result<Value, Error> {
        future.wait().unwrap().clone()
    }

    /// The value of a row, read by itself.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let transaction = self.transaction();
        let found = self.done(&transaction.get(key, false)).unwrap();
        let Value::Row(row) = found else { panic!("{found:?}") };
        row.map(|value| value.to_vec())
    }

    /// Sets a row, by itself.
    pub(crate) fn set(&self, key: &[u8], value: &[u8]) {
        let transaction = self.transaction();
        transaction.set(key, value);
        self.done(&transaction.commit()).unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.client.network().stop();
        self.network.take().unwrap().join().unwrap();
    }
}
