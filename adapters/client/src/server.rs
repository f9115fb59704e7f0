//! Where the server is, and a stream of bytes to it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use doubletick_core::time::Millis;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version};

use crate::seam;

/// How long a connection may take to be made, with TLS and all.
pub(crate) const PATIENCE: Millis = Millis::seconds(20);

/// A server's address, and whom to believe that it is there.
#[derive(Clone)]
pub struct Server {
    address: Address,
    /// `None` speaks without TLS.
    tls: Option<TlsConnector>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    tls: bool,
    host: String,
    port: u16,
}

/// Why text or a file is no server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError(String);

/// Bytes both ways.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Bytes for S {}

/// A stream to a server, whatever it is made of.
pub(crate) type Stream = Box<dyn Bytes>;

impl Server {
    /// Reads `http://host[:port]`, `https://host[:port]`, or the same with `ws` and `wss`. With TLS the server's certificate must lead to
    /// one of the roots that browsers trust.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(url: &str) -> Result<Self, ServerError> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Self::with_roots(url, roots)
    }

    /// The same, but the certificate must lead to one of those in a PEM file (RFC 7468).
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse_with_ca(url: &str, ca: &Path) -> Result<Self, ServerError> {
        let error = |error: &dyn fmt::Display| ServerError(format!("the CA file {}: {error}", ca.display()));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).map_err(|e| error(&e))? {
            roots.add(certificate.map_err(|e| error(&e))?).map_err(|e| error(&e))?;
        }
        if roots.is_empty() {
            return Err(error(&"holds no certificate"));
        }
        Self::with_roots(url, roots)
    }

    fn with_roots(url: &str, roots: RootCertStore) -> Result<Self, ServerError> {
        let address: Address = url.parse()?;
        let tls = address.tls.then(|| {
            let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(&[&version::TLS13, &version::TLS12])
                .expect("ring has the cipher suites of both versions")
                .with_root_certificates(roots)
                .with_no_client_auth();
            TlsConnector::from(Arc::new(config))
        });
        Ok(Self { address, tls })
    }

    /// Host and port as the `Host` field of HTTP has them (RFC 9110 §7.2).
    pub(crate) fn authority(&self) -> String {
        let Address { host, port, .. } = &self.address;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// Why there is none: a sentence without its full stop.
    pub(crate) async fn connect(&self) -> Result<Stream, String> {
        let connecting = async {
            let tcp = seam::connect(&self.address.host, self.address.port)
                .await
                .map_err(|error| format!("the server at {} cannot be reached: {error}", self.authority()))?;
            let Some(tls) = &self.tls else { return Ok(Box::new(tcp) as Stream) };
            let failed = |error: &dyn fmt::Display| format!("no secure connection to {}: {error}", self.authority());
            let name = ServerName::try_from(self.address.host.clone()).map_err(|error| failed(&error))?;
            let stream = tls.connect(name, tcp).await.map_err(|error| failed(&error))?;
            Ok(Box::new(stream) as Stream)
        };
        let late = || format!("the server at {} does not answer", self.authority());
        seam::within(PATIENCE, connecting).await.unwrap_or_else(|| Err(late()))
    }
}

impl FromStr for Address {
    type Err = ServerError;

    fn from_str(url: &str) -> Result<Self, ServerError> {
        let wrong = |why: &str| ServerError(format!("{url:?} is no address of a server: {why}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it begins with http:// or https://"))?;
        let (tls, default_port) = match scheme {
            "http" | "ws" => (false, 80),
            "https" | "wss" => (true, 443),
            _ => return Err(wrong("it begins with http:// or https://")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(wrong("it ends with the host and the port"));
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(|| wrong("a port follows a colon"))?)),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("the port is a number from 1 to 65535"))?,
            None => default_port,
        };
        if host.is_empty() {
            return Err(wrong("there is no host in it"));
        }
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.address.tls { "https" } else { "http" }, self.authority())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_scheme_a_host_and_a_port() {
        for (url, read) in [
            ("http://127.0.0.1:7410", Some("http://127.0.0.1:7410")),
            ("ws://localhost/", Some("http://localhost:80")),
            ("https://chat.example", Some("https://chat.example:443")),
            ("wss://[::1]:9", Some("https://[::1]:9")),
            ("http://[::1]", Some("http://[::1]:80")),
            ("chat.example", None),
            ("ftp://chat.example", None),
            ("http://", None),
            ("http://host:0", None),
            ("http://host:99999", None),
            ("http://host/path", None),
            ("http://user@host", None),
            ("http://[::1]9", None),
        ] {
            assert_eq!(Server::parse(url).ok().map(|server| server.to_string()).as_deref(), read, "{url}");
        }
    }
}
