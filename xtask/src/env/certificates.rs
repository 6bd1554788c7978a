//! The certificate authority of the parts, what it signed, and the archives for `config-fastbuild`.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use super::packages::HOST_CA_BUNDLE;

const DAY: Duration = Duration::from_hours(24);
const TEN_YEARS: Duration = Duration::from_hours(3650 * 24);

/// Paths of everything this module makes.
pub(super) struct Certificates {
    folder: PathBuf,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

struct Pair {
    certificate: String,
    key: String,
}

impl Certificates {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    pub(super) fn client_tar(&self) -> PathBuf {
        self.file("client-tls.tar")
    }

    pub(super) fn wrong_ca_tar(&self) -> PathBuf {
        self.file("wrong-ca-tls.tar")
    }

    pub(super) fn expired_client_tar(&self) -> PathBuf {
        self.file("expired-client-tls.tar")
    }

    /// `ca.pem`, `cert.pem` and `key.pem`, the names the Docker command line looks for.
    pub(super) fn docker_client(&self) -> PathBuf {
        self.file("docker-client")
    }

    /// The authorities this machine trusts and ours, for the engines.
    pub(super) fn trust_bundle(&self) -> PathBuf {
        self.file("trust.pem")
    }

    /// Makes everything unless it is there. The archive that is written last tells that the set is complete.
    pub(super) fn ensure(&self) -> Result<()> {
        if self.expired_client_tar().exists() {
            return Ok(());
        }
        let now = now();
        let authority = authority("FastBuild environment CA", now)?;
        let stranger = authority_pem("FastBuild unrelated CA", now)?;
        let ca = authority.pem();
        let valid = (now - DAY, now + TEN_YEARS);
        let server = pair(
            &authority,
            "127.0.0.1",
            ExtendedKeyUsagePurpose::ServerAuth,
            valid,
        )?;
        let registry = pair(
            &authority,
            "localhost",
            ExtendedKeyUsagePurpose::ServerAuth,
            valid,
        )?;
        let client = pair(
            &authority,
            "fastbuild",
            ExtendedKeyUsagePurpose::ClientAuth,
            valid,
        )?;
        let past = (now - DAY * 30, now - DAY);
        let expired = pair(
            &authority,
            "fastbuild",
            ExtendedKeyUsagePurpose::ClientAuth,
            past,
        )?;

        fs::create_dir_all(self.docker_client())?;
        fs::write(self.ca(), &ca)?;
        server.write(&self.file("server-cert.pem"), &self.file("server-key.pem"))?;
        registry.write(
            &self.file("registry-cert.pem"),
            &self.file("registry-key.pem"),
        )?;
        let docker_client = self.docker_client();
        fs::write(docker_client.join("ca.pem"), &ca)?;
        client.write(
            &docker_client.join("cert.pem"),
            &docker_client.join("key.pem"),
        )?;
        let host_bundle = fs::read_to_string(host_bundle())
            .with_context(|| format!("{} cannot be read", host_bundle().display()))?;
        fs::write(self.trust_bundle(), format!("{host_bundle}\n{ca}"))?;
        pack(&self.client_tar(), &ca, &client)?;
        pack(&self.wrong_ca_tar(), &stranger, &client)?;
        pack(&self.expired_client_tar(), &ca, &expired)
    }
}

/// The file with the authorities that this machine trusts: where outgoing TLS is re-signed by a local authority,
/// that one is in it.
pub(super) fn host_bundle() -> PathBuf {
    std::env::var_os("SSL_CERT_FILE")
        .map(PathBuf::from)
        .filter(|file| file.is_file())
        .unwrap_or_else(|| PathBuf::from(HOST_CA_BUNDLE))
}

#[expect(
    clippy::disallowed_methods,
    reason = "certificates are valid in real time"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

fn authority(name: &str, now: SystemTime) -> Result<Authority> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - DAY * 60).into();
    params.not_after = (now + TEN_YEARS).into();
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn authority_pem(name: &str, now: SystemTime) -> Result<String> {
    Ok(authority(name, now)?.pem())
}

fn pair(
    authority: &Authority,
    name: &str,
    purpose: ExtendedKeyUsagePurpose,
    (from, until): (SystemTime, SystemTime),
) -> Result<Pair> {
    let names = match purpose {
        ExtendedKeyUsagePurpose::ServerAuth => vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
        _ => vec![name.to_owned()],
    };
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    params.not_before = from.into();
    params.not_after = until.into();
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

impl Pair {
    fn write(&self, certificate: &Path, key: &Path) -> Result<()> {
        fs::write(certificate, &self.certificate)?;
        super::home::write_private(key, &self.key)
    }
}

fn pack(archive: &Path, ca: &str, client: &Pair) -> Result<()> {
    let file = File::create(archive)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    let mut builder = tar::Builder::new(file);
    for (name, content) in [
        ("ca-jenkins.pem", ca),
        ("cert-jenkins.pem", &client.certificate),
        ("key-jenkins.pem", &client.key),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        builder.append_data(&mut header, name, content.as_bytes())?;
    }
    Ok(builder.into_inner()?.sync_all()?)
}
