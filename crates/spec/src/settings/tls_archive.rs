//! The client side of an engine's mutual TLS, as operators upload it: a tar or tar.gz of PEM files.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use secrecy::SecretString;

use super::TlsMaterial;
use crate::failure::Sentence;

/// Most bytes a compressed archive is unpacked to.
const LARGEST_ARCHIVE: u64 = 16 << 20;
/// Most bytes that are read of a PEM file.
const LARGEST_PEM: u64 = 1 << 20;
/// The first bytes of a gzip file (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The files of the archive, without `-jenkins.pem` or `.pem`.
const NAMES: [&str; 3] = ["ca", "cert", "key"];

/// Reads `ca-jenkins.pem`, `cert-jenkins.pem` and `key-jenkins.pem` at any depth, or the same
/// without `-jenkins`.
///
/// # Errors
/// What the archive must be instead.
pub(super) fn read(archive: &[u8]) -> Result<TlsMaterial, Sentence> {
    let found = pem_files(archive).map_err(|error| {
        Sentence::new(
            format!("应为可读取的 tar 或 tar.gz 文件（{error}）"),
            format!("must be a readable tar or tar.gz file ({error})"),
        )
    })?;
    let missing: Vec<String> = NAMES
        .iter()
        .zip(&found)
        .filter(|(_, text)| text.is_none())
        .map(|(name, _)| format!("{name}-jenkins.pem"))
        .collect();
    let [Some(ca_pem), Some(cert_pem), Some(key_pem)] = found else {
        return Err(Sentence::new(
            format!(
                "应为包含 ca-jenkins.pem、cert-jenkins.pem、key-jenkins.pem 的归档（缺少 {}）",
                missing.join("、")
            ),
            format!(
                "must be an archive with ca-jenkins.pem, cert-jenkins.pem and key-jenkins.pem (missing: {})",
                missing.join(", ")
            ),
        ));
    };
    Ok(TlsMaterial {
        ca_pem,
        cert_pem,
        key_pem: SecretString::from(key_pem),
    })
}

/// The texts of [`NAMES`], as far as the archive has them.
fn pem_files(archive: &[u8]) -> io::Result<[Option<String>; 3]> {
    let plain: Box<dyn Read> = if archive.starts_with(&GZIP_MAGIC) {
        Box::new(GzDecoder::new(archive).take(LARGEST_ARCHIVE))
    } else {
        Box::new(archive)
    };
    let mut found = [None, None, None];
    for entry in tar::Archive::new(plain).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let is_documented = file_name.ends_with("-jenkins.pem");
        let wanted = NAMES.iter().position(|name| {
            file_name == format!("{name}-jenkins.pem") || file_name == format!("{name}.pem")
        });
        if let Some(index) = wanted
            && entry.header().entry_type().is_file()
            // The documented spelling wins over the short one.
            && (found[index].is_none() || is_documented)
        {
            let mut text = String::new();
            entry.by_ref().take(LARGEST_PEM).read_to_string(&mut text)?;
            found[index] = Some(text);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use secrecy::ExposeSecret as _;

    use super::*;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            builder
                .append_data(&mut header, name, text.as_bytes())
                .unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn the_documented_names_win_at_any_depth() {
        let plain = archive(&[
            ("a/ca-jenkins.pem", "long"),
            ("ca.pem", "short"),
            ("cert.pem", "cert"),
            ("x/y/key.pem", "key"),
            ("other.txt", "x"),
        ]);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&plain).unwrap();
        for bytes in [plain, encoder.finish().unwrap()] {
            let material = read(&bytes).unwrap();
            assert_eq!(material.ca_pem, "long");
            assert_eq!(material.cert_pem, "cert");
            assert_eq!(material.key_pem.expose_secret(), "key");
        }
    }

    #[test]
    fn an_archive_that_lacks_files_is_refused_with_their_names() {
        let error = read(&archive(&[("cert.pem", "cert")])).unwrap_err();
        assert!(
            error
                .en
                .ends_with("(missing: ca-jenkins.pem, key-jenkins.pem)"),
            "{}",
            error.en
        );
        let error = read(b"no archive").unwrap_err();
        assert!(error.en.contains("readable tar"), "{}", error.en);
    }
}
