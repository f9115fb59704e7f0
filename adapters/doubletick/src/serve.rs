//! `doubletick serve`: the server from its start to its stop.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use doubletick_embedded::{Embedded, Options};
use doubletick_server::{Running, Server, StartError};
use doubletick_store::Store;
use doubletick_store::memory::Memory;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::settings::{Settings, StoreKind};
use crate::{Failure, logs, open_files};

/// Runs the server until it is told to stop.
pub(crate) fn serve(settings: &Settings) -> Result<(), Failure> {
    logs::start(settings.log_format, settings.log_level.clone());
    let files = open_files::raise_limit();
    if let Some(fit) = open_files::too_few_for(settings.server.connections, files) {
        tracing::warn!(
            limit = files,
            "this process may open {files} files, which is enough for {fit} connections and not for {}: raise the limit (ulimit -n), \
             or set `connections` lower",
            settings.server.connections
        );
    }
    match &settings.store {
        StoreKind::Fdb(file) => serve_on_cluster(settings, file),
        StoreKind::Embedded => {
            let store = Embedded::open(&settings.data, Options::default()).map_err(|error| Failure::Trouble(error.to_string()))?;
            serve_with(settings, store)
        }
        StoreKind::Memory => {
            tracing::warn!("the store is in memory: everything is gone when the server stops");
            serve_with(settings, Memory::new())
        }
    }
}

#[cfg(feature = "fdb")]
fn serve_on_cluster(settings: &Settings, file: &Path) -> Result<(), Failure> {
    let trouble = |error: &dyn std::fmt::Display| Failure::Trouble(error.to_string());
    let network = doubletick_fdb::Network::start(settings.cluster.library.as_deref()).map_err(|error| trouble(&error))?;
    tracing::info!(version = network.version(), "FoundationDB's client library is loaded");
    let options = doubletick_fdb::Options { prefix: settings.cluster.prefix.clone(), ..doubletick_fdb::Options::new(file) };
    let waiting = tokio::runtime::Builder::new_current_thread().build().map_err(|error| trouble(&error))?;
    let store = waiting.block_on(doubletick_fdb::Fdb::open(&network, options)).map_err(|error| trouble(&error))?;
    // The network goes last.
    let served = serve_with(settings, store);
    drop(network);
    served
}

#[cfg(not(feature = "fdb"))]
fn serve_on_cluster(_: &Settings, _: &Path) -> Result<(), Failure> {
    Err(Failure::Usage("this program was built without FoundationDB: build it with `cargo build --release --features fdb`".into()))
}

fn serve_with<S: Store>(settings: &Settings, store: S) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Trouble(format!("cannot start threads: {error}")))?;
    let served = runtime.block_on(run(settings, store.clone()));
    // What still runs ends here, so that the handle of the store that goes last goes in this thread, and may take its time.
    drop(runtime);
    drop(store);
    served
}

async fn run<S: Store>(settings: &Settings, store: S) -> Result<(), Failure> {
    // Before the server says that it is there: a signal that comes right after that is heard.
    let mut signals = Signals::new().map_err(|error| Failure::Trouble(format!("cannot listen for signals: {error}")))?;
    let mut running = Server::start(settings.server.clone(), store).await.map_err(|error| Failure::Trouble(advice(&error)))?;
    if let Some(code) = &settings.server.registration.insecure_fixed_code {
        tracing::warn!("INSECURE: every verification code is {code}, so anyone can register any phone number");
    }
    print!("{}", banner(settings, running.addr()));
    tracing::info!(addr = %running.addr(), shards = settings.server.shards, "serving");
    tokio::select! {
        biased;
        () = running.failed() => {
            tracing::error!("a part of the server has failed, so all of it stops; the panic above says where");
            return Err(Failure::Trouble("the server has failed".into()));
        }
        () = signals.next() => {}
    }
    stop(running, signals).await
}

async fn stop(running: Running, mut signals: Signals) -> Result<(), Failure> {
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        biased;
        () = signals.next() => Err(Failure::Trouble("stopped at once".into())),
        () = running.stop() => {
            tracing::info!("stopped");
            Ok(())
        }
    }
}

/// What asks the server to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn advice(error: &StartError) -> String {
    if let StartError::Listen { error: system, .. } = error
        && system.kind() == io::ErrorKind::AddrInUse
    {
        return format!("{error}; choose another address with --listen");
    }
    error.to_string()
}

fn banner(settings: &Settings, addr: SocketAddr) -> String {
    // Cargo tells the programs that it runs where it is itself.
    let program = if std::env::var_os("CARGO").is_some() { "cargo run --release --" } else { "doubletick" };
    let data = match &settings.store {
        StoreKind::Fdb(file) => format!("keeps its data on the cluster of {}", file.display()),
        StoreKind::Embedded => format!("keeps its data in {}", settings.data.display()),
        StoreKind::Memory => "keeps its data in memory only".to_owned(),
    };
    format!(
        "Doubletick listens on {addr} and {data}.\n\
         To chat, open two more terminals and type:\n\
         \x20   {program} chat --phone +4915100000001\n\
         \x20   {program} chat --phone +4915100000002\n\
         Verification codes appear in this terminal. Ctrl-C stops the server.\n"
    )
}
