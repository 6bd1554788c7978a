//! Mutual TLS from PEM files, and the meaning of TLS errors.

use std::sync::Arc;

use fastbuild_spec::settings::TlsMaterial;
use rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use secrecy::ExposeSecret as _;

use crate::error::TlsProblem;

/// Builds the client side of mutual TLS, checking locally what can be checked: that the three
/// files parse and that the key belongs to the certificate.
pub(crate) fn client_config(material: &TlsMaterial) -> Result<ClientConfig, TlsProblem> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", &material.ca_pem)? {
        roots
            .add(certificate)
            .map_err(|error| TlsProblem::Unreadable {
                file: "ca",
                detail: error.to_string(),
            })?;
    }
    let chain = certificates("cert", &material.cert_pem)?;
    let key = PrivateKeyDer::from_pem_slice(material.key_pem.expose_secret().as_bytes()).map_err(
        |_| {
            // The parser's own words could quote the key.
            TlsProblem::Unreadable {
                file: "key",
                detail: "it holds no unencrypted private key in PEM form".into(),
            }
        },
    )?;
    // The provider is named here: a process-wide default would depend on which crates are linked.
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsProblem::Other(error.to_string()))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsProblem::KeyMismatch,
            other => TlsProblem::Unreadable {
                file: "key",
                detail: other.to_string(),
            },
        })
}

fn certificates(file: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsProblem::Unreadable {
            file,
            detail: error.to_string(),
        })?;
    if found.is_empty() {
        return Err(TlsProblem::Unreadable {
            file,
            detail: "it holds no certificate in PEM form".into(),
        });
    }
    Ok(found)
}

/// What a TLS error means between us and `host`.
pub(crate) fn problem(error: &rustls::Error, host: &str) -> TlsProblem {
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            // A CA that happens to have the same name gives a bad signature instead.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                TlsProblem::UnknownIssuer
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsProblem::ServerCertificateExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsProblem::WrongHost(host.to_owned())
            }
            other => TlsProblem::Other(other.to_string()),
        },
        rustls::Error::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError),
        ) => TlsProblem::ClientCertificateRefused(format!("{alert:?}")),
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => TlsProblem::PortIsPlain,
        other => TlsProblem::Other(other.to_string()),
    }
}
