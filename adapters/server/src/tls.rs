//! TLS from certificate and key files.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, version};

use crate::config::Tls;

/// What accepts TLS connections with the certificate of these files.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, String> {
    let in_file = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(&tls.certificate).and_then(Iterator::collect).map_err(|error| in_file(&tls.certificate, &error))?;
    if chain.is_empty() {
        return Err(in_file(&tls.certificate, &"holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| in_file(&tls.key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| in_file(&tls.key, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
