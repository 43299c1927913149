//! TLS with a certificate that can be replaced while serving: whoever renews it writes the files, and new
//! connections get the new one. A file that can't be used changes nothing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The files are looked at this often: two small reads.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// What is spoken over it, the best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Certificate and key can't be used. Trying again helps once the files are others.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{} can't be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// A file is not PEM, or does not hold what it should.
    #[error("{} must hold {what} in PEM", path.display())]
    NotPem {
        /// Which.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// They do not belong together, or are of a kind that is not known.
    #[error("certificate and key can't be used together")]
    Unusable(#[source] rustls::Error),
}

/// What a server shows to prove who it is. A clone is the same.
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    shown: Arc<Shown>,
    acceptor: TlsAcceptor,
}

/// Where certificate and key are, and what was read there.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    read: RwLock<Contents>,
}

/// The bytes of both files.
#[derive(Clone, PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

impl Tls {
    /// Reads the certificate with those that vouch for it, and its key, both PEM.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let contents = Contents::read(certificate, key)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = contents.certified(certificate, key, &provider)?;
        let shown = Arc::new(Shown(RwLock::new(Arc::new(certified))));
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        let files =
            Files { certificate: certificate.to_path_buf(), key: key.to_path_buf(), read: RwLock::new(contents) };
        Ok(Self { files: Arc::new(files), shown, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Takes over what is in the files now, if it is something else than before.
    ///
    /// `Ok(true)`: new connections get a new certificate. After an error the old one stays; the same contents are
    /// not tried, and so not complained about, again.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let Files { certificate, key, read } = &*self.files;
        let contents = Contents::read(certificate, key)?;
        if *read.read() == contents {
            return Ok(false);
        }
        *read.write() = contents.clone();
        let certified = contents.certified(certificate, key, &Arc::new(aws_lc_rs::default_provider()))?;
        *self.shown.0.write() = Arc::new(certified);
        Ok(true)
    }

    /// Takes over whatever is written into the files, for ever.
    pub(crate) async fn keep_current(&self) {
        let mut unreadable = false;
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let tls = self.clone();
            // Small files; a disk that hangs must not hang the server.
            let Ok(outcome) = tokio::task::spawn_blocking(move || tls.reload()).await else { continue };
            let was_unreadable = std::mem::replace(&mut unreadable, matches!(outcome, Err(TlsError::Unreadable(..))));
            match outcome {
                Ok(true) => tracing::info!("new connections get the new certificate"),
                Ok(false) => {}
                Err(_) if was_unreadable && unreadable => {}
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the new certificate can't be used; the old one stays"
                ),
            }
        }
    }

    /// The server's side of a handshake.
    pub(super) async fn accept<I: AsyncRead + AsyncWrite + Unpin>(&self, io: I) -> io::Result<TlsStream<I>> {
        self.acceptor.accept(io).await
    }
}

impl Contents {
    fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| TlsError::Unreadable(path.to_path_buf(), error));
        Ok(Self { certificate: read(certificate)?, key: read(key)? })
    }

    /// What the bytes say; the paths are for messages.
    fn certified(
        &self,
        certificate: &Path,
        key: &Path,
        provider: &Arc<CryptoProvider>,
    ) -> Result<CertifiedKey, TlsError> {
        use rustls::pki_types::pem::Error;
        let not_pem = |path: &Path, what, source| TlsError::NotPem { path: path.to_path_buf(), what, source };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| not_pem(certificate, "certificates", error))?;
        if chain.is_empty() {
            return Err(not_pem(certificate, "certificates", Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| not_pem(key, "a private key", error))?;
        CertifiedKey::from_der(chain, key, provider).map_err(TlsError::Unusable)
    }
}

impl fmt::Debug for Tls {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.files.certificate).finish_non_exhaustive()
    }
}
