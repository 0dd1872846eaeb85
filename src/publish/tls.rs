//! TLS towards the broker: PEM files in, a rustls configuration out, and words for what goes wrong. The only home of rustls.
//! There is one crypto provider, ring, named here and not left to a process-wide default.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::config;

/// Where Debian, Yocto and most others keep the authorities that the system trusts.
const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {what}; a PEM file with {wanted} is needed")]
    Content {
        /// Which.
        path: PathBuf,
        /// What was found.
        what: String,
        /// What would be right.
        wanted: &'static str,
    },
    /// No authority was named, and the system has none.
    #[error(
        "no authorities to trust: the system has no {SYSTEM_BUNDLE}; install ca-certificates or name a file in mqtt.ca_file"
    )]
    NoSystemBundle,
    /// Certificate and key were read, but do not fit each other.
    #[error("{key}: is not the key of the certificate in {cert}")]
    KeyMismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The host cannot stand in a certificate.
    #[error("mqtt.url: {host:?} is neither a host name nor an address, so that no certificate can be valid for it")]
    Host {
        /// What was configured.
        host: String,
    },
    /// rustls refuses the rest.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Reads and checks all that TLS needs, so that a mistake shows at start and not with the first connection.
pub(super) fn client_config(host: &str, tls: &config::Tls) -> Result<Arc<ClientConfig>, TlsError> {
    ServerName::try_from(host).map_err(|_| TlsError::Host { host: host.to_owned() })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities(tls.ca_file.as_deref())?);
    let config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let chain = certificates(&client.cert_file)?;
            let key = private_key(&client.key_file)?;
            builder.with_client_auth_cert(chain, key).map_err(|e| match e {
                rustls::Error::InconsistentKeys(_) => {
                    TlsError::KeyMismatch { cert: client.cert_file.clone(), key: client.key_file.clone() }
                }
                e => TlsError::Content {
                    path: client.cert_file.clone(),
                    what: e.to_string(),
                    wanted: "a certificate whose key we hold",
                },
            })?
        }
    };
    Ok(Arc::new(config))
}

fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let Some(path) = ca_file else {
        let bundle = Path::new(SYSTEM_BUNDLE);
        if !bundle.exists() {
            return Err(TlsError::NoSystemBundle);
        }
        // A bundle of a hundred authorities may hold one that rustls cannot parse; the others are good all the same.
        store.add_parsable_certificates(certificates(bundle)?);
        return if store.is_empty() { Err(TlsError::NoSystemBundle) } else { Ok(store) };
    };
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|e| TlsError::Content {
            path: path.to_owned(),
            what: e.to_string(),
            wanted: "the certificates of the authorities to trust",
        })?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const WANTED: &str = "at least one certificate (-----BEGIN CERTIFICATE-----)";
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|e| pem_error(path, e, WANTED))?.collect();
    let all = all.map_err(|e| pem_error(path, e, WANTED))?;
    if all.is_empty() {
        return Err(TlsError::Content {
            path: path.to_owned(),
            what: "holds no certificate".to_owned(),
            wanted: WANTED,
        });
    }
    Ok(all)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    const WANTED: &str = "an unencrypted private key (PKCS#8, PKCS#1 or SEC1)";
    PrivateKeyDer::from_pem_file(path).map_err(|e| pem_error(path, e, WANTED))
}

fn pem_error(path: &Path, e: pem::Error, wanted: &'static str) -> TlsError {
    let path = path.to_owned();
    match e {
        pem::Error::Io(source) => TlsError::Read { path, source },
        pem::Error::NoItemsFound => TlsError::Content { path, what: "holds none".to_owned(), wanted },
        e => TlsError::Content { path, what: e.to_string(), wanted },
    }
}

/// What a failed handshake means, in words of the configuration. None when the error is not one of TLS.
pub(super) fn explain(error: &std::io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let text = match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the broker's certificate comes from an authority that we do not trust; is mqtt.ca_file the right one?"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("the broker's certificate is for another host ({error})"),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("the broker's certificate has expired, or our clock is wrong ({error})")
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => format!("the broker's certificate is not valid yet, or our clock is wrong ({error})"),
        rustls::Error::AlertReceived(alert) => {
            format!(
                "the broker refused our side of TLS: {alert:?}; does it want a client certificate (mqtt.cert_file, mqtt.key_file)?"
            )
        }
        e => format!("TLS: {e}"),
    };
    Some(text)
}
