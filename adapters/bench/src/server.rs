//! The server under test: one that is given, or one that is started for the run.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::BenchArgs;

/// A server for a run. One that was started is stopped when this is dropped, and its data is deleted.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Where it tells its metrics.
    pub(crate) metrics: Option<SocketAddr>,
    child: Option<Child>,
    program: std::path::PathBuf,
    arguments: Vec<String>,
    /// Deleted with the server.
    data: Option<tempfile::TempDir>,
}

impl Server {
    pub(crate) fn find_or_start(args: &BenchArgs, connections: u32) -> Result<Self> {
        if let Some(address) = args.server {
            return Ok(Self {
                address,
                metrics: args.metrics,
                child: None,
                program: std::path::PathBuf::new(),
                arguments: vec![],
                data: None,
            });
        }
        let data =
            tempfile::Builder::new().prefix("doubletick-bench-").tempdir_in(".").context("making a directory for the server's data")?;
        let free = || std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port");
        // Both at a time, so that they are two.
        let (for_devices, for_operators) = (free()?, free()?);
        let (address, metrics) = (for_devices.local_addr()?, for_operators.local_addr()?);
        drop((for_devices, for_operators));
        let program = match &args.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().context("finding this program")?,
        };
        let directory = data.path().to_string_lossy().into_owned();
        let mut arguments: Vec<String> =
            ["serve", "--data", &directory, "--listen", &address.to_string(), "--store", &args.store].map(str::to_owned).into();
        arguments.extend(["--metrics-listen".to_owned(), metrics.to_string()]);
        arguments.extend(["--registration-insecure-fixed-code", &args.code, "--log-level", "error"].map(str::to_owned));
        arguments.extend(["--connections".to_owned(), (connections + 100).to_string()]);
        // The load comes from few addresses and from fewer devices than its rate is meant for.
        for rate in [
            "registration-per-address-per-minute",
            "registration-per-address-burst",
            "registration-overall-per-minute",
            "registration-overall-burst",
            "arrivals-per-second",
            "arrivals-burst",
            "gateway-send-per-second",
            "gateway-send-burst",
        ] {
            arguments.extend([format!("--{rate}"), "1000000".to_owned()]);
        }
        let mut server = Self { address, metrics: Some(metrics), child: None, program, arguments, data: Some(data) };
        server.start()?;
        Ok(server)
    }

    /// Kills the server as a power cut would kill its process, and starts it again on the same data.
    pub(crate) fn kill_and_restart(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("killing the server")?;
            child.wait()?;
        }
        self.start()
    }

    fn start(&mut self) -> Result<()> {
        let child = Command::new(&self.program).args(&self.arguments).stdout(Stdio::null()).stdin(Stdio::null()).spawn();
        self.child = Some(child.with_context(|| format!("starting {}", self.program.display()))?);
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().transpose()) {
                bail!("the server has stopped at once: {}", status?);
            }
            if std::net::TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server does not listen at {}", self.address)
    }

    /// Bytes of memory that the server occupies; `None` for a server on another machine or an operating system that does not tell.
    pub(crate) fn resident(&self) -> Option<u64> {
        resident_of(&self.child.as_ref()?.id().to_string())
    }

    /// Processor time that the server has used; likewise.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.as_ref()?.id())).ok()?;
        // Fields 14 and 15 of proc_pid_stat(5), counted after the name, which may contain anything: in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // The data goes with it, so there is nothing for it to finish.
            let _ = child.kill();
            let _ = child.wait();
        }
        drop(self.data.take());
    }
}

/// Bytes of memory that a process occupies.
pub(crate) fn resident_of(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
