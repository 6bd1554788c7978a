//! `fastbuild import-legacy`: reads an old installation's ini and database into this one.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use fastbuild_builder::clock::{Clock as _, SystemClock};
use fastbuild_spec::{
    names::{parse_host, parse_host_port},
    settings::{DockerServerSettings, HostSettings, RegistrySettings, TlsMaterial},
};
use fastbuild_store::{ImportReport, NewSettings, OldInstallation, Seal, Store};
use ini::{Ini, ParseOption};
use tempfile::TempDir;

use crate::{app, config::Config};

/// What to read, and whether to write.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The old installation's ini file
    #[arg(long, value_name = "FILE")]
    ini: Option<PathBuf>,
    /// The old installation's SQLite file; without it, the one that [db] file of the ini names
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Write what the dry run shows
    #[arg(long)]
    apply: bool,
}

/// Imports, or shows what an import would do; the report.
///
/// # Errors
/// A sentence when a file cannot be read or this installation's database fails.
pub fn run(config: &Config, arguments: &Arguments) -> Result<String> {
    let ini = match &arguments.ini {
        Some(path) => OldIni::read(path)?,
        None => OldIni::default(),
    };
    let mut notes = ini.notes(config);
    let database = match (&arguments.db, ini.database()) {
        (Some(path), _) => path.clone(),
        (None, Some(Ok(path))) => path,
        (None, Some(Err(problem))) => bail!("{problem}; name the old database with --db FILE"),
        (None, None) => bail!(
            "no old database is named: give --db FILE, or --ini FILE whose [db] file names it"
        ),
    };
    let old = OldInstallation {
        database: database.clone(),
        tls_dir: ini.path("fb", "tls_dir"),
        ini: ini.settings(&mut notes),
        zone: jiff::tz::TimeZone::system(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the import's thread cannot be started")?;
    let report = runtime.block_on(async {
        let (store, _held) = open(config, arguments.apply).await?;
        let report = store
            .import_legacy(
                &old,
                &config.callback_headers,
                arguments.apply,
                SystemClock.now(),
            )
            .await
            .with_context(|| format!("{} cannot be imported", database.display()))?;
        store.close().await?;
        anyhow::Ok(report)
    })?;
    Ok(tell(&database, &report, &notes))
}

/// What must stay as long as the database is open.
struct Held {
    _lock: Option<File>,
    _copy: Option<TempDir>,
}

/// This installation's database, taken for this process alone: a service that runs on it must be
/// ended first. A dry run works on a copy, or where there is none yet on one in memory: opening a
/// database brings its tables up to date.
async fn open(config: &Config, apply: bool) -> Result<(Store, Held)> {
    let file = config.database_url.strip_prefix("sqlite://").map(Path::new);
    if !apply && file.is_some_and(|file| !file.exists()) {
        let seal = Seal::from_key(&rand::random::<[u8; 32]>())?;
        let held = Held {
            _lock: None,
            _copy: None,
        };
        return Ok((Store::open("sqlite::memory:", seal).await?, held));
    }
    let lock = app::lock(&config.base_dir)?;
    if !apply && !config.seal_key_file.exists() {
        bail!(
            "the key file {} is missing, without which the database cannot be read",
            config.seal_key_file.display()
        );
    }
    let seal = Seal::load_or_create(&config.seal_key_file)?;
    let copy = match file {
        Some(file) if !apply => Some(copy(file).with_context(|| {
            format!(
                "the database {} cannot be copied for the dry run",
                file.display()
            )
        })?),
        _ => None,
    };
    let url = match &copy {
        Some(copy) => format!("sqlite://{}", copy.path().join(COPY).display()),
        None => config.database_url.clone(),
    };
    let store = Store::open(&url, seal).await?;
    let held = Held {
        _lock: Some(lock),
        _copy: copy,
    };
    Ok((store, held))
}

/// The copy's name in its folder.
const COPY: &str = "copy.db";

/// Copies a database that nobody writes to, with what SQLite has not moved into its file yet, into
/// a folder beside it that goes when it is dropped.
fn copy(database: &Path) -> std::io::Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix(".import-")
        .tempdir_in(database.parent().unwrap_or(database))?;
    std::fs::copy(database, folder.path().join(COPY))?;
    let log = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push("-wal");
        PathBuf::from(name)
    };
    match std::fs::copy(log(database), log(&folder.path().join(COPY))) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(folder),
    }
}

fn tell(database: &Path, report: &ImportReport, notes: &[String]) -> String {
    let mut text = format!("The old database {}\n\n{report}", database.display());
    if !notes.is_empty() {
        text.push_str("\nThe ini file, and what stays where it is\n\n");
        for note in notes {
            // Writing to a string cannot fail.
            writeln!(text, "- {note}").ok();
        }
    }
    text.push_str(if report.applied {
        "\nDone. Passwords and keys are sealed; none was printed."
    } else {
        "\nThis was a dry run: nothing was written. Run it again with --apply."
    });
    text
}

/// An old installation's ini: sections, keys and values, keys in lower case.
#[derive(Default)]
struct OldIni {
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

impl OldIni {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the ini file {} cannot be read", path.display()))?;
        // A password may hold quotes and backslashes; they mean themselves.
        let options = ParseOption {
            enabled_quote: false,
            enabled_escape: false,
            enabled_indented_mutiline_value: true,
            ..ParseOption::default()
        };
        let ini = Ini::load_from_str_opt(&text, options)
            // The parser's own text could quote a password.
            .map_err(|error| {
                anyhow::anyhow!(
                    "the ini file {} cannot be read: something at line {}, or just before it, is \
                     neither a [section] nor key = value",
                    path.display(),
                    error.line
                )
            })?;
        let sections = ini
            .iter()
            .map(|(section, properties)| {
                let values = properties
                    .iter()
                    .map(|(key, value)| (key.to_lowercase(), value.trim().to_owned()))
                    .collect();
                (section.unwrap_or_default().to_lowercase(), values)
            })
            .collect();
        Ok(Self { sections })
    }

    /// A value, where it is not empty.
    fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.sections
            .get(section)?
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn path(&self, section: &str, key: &str) -> Option<PathBuf> {
        self.get(section, key).map(PathBuf::from)
    }

    /// The file that `[db] file` names, written as `sqlite:////path`.
    fn database(&self) -> Option<Result<PathBuf, String>> {
        let url = self.get("db", "file")?;
        let path = url.strip_prefix("sqlite:///").unwrap_or(url);
        Some(if path.contains("://") || !path.starts_with('/') {
            Err("[db] file of the ini is no sqlite:////absolute/path".to_owned())
        } else {
            Ok(PathBuf::from(path))
        })
    }

    /// The settings it holds; what cannot be read becomes a note.
    fn settings(&self, notes: &mut Vec<String>) -> NewSettings {
        let mut keep = |result: Option<Result<NewSettings, String>>| match result {
            Some(Ok(settings)) => settings,
            Some(Err(problem)) => {
                notes.push(problem);
                NewSettings::default()
            }
            None => NewSettings::default(),
        };
        let host = keep(self.host()).host;
        let registry = keep(self.registry()).registry;
        let docker_server = keep(self.docker_server()).docker_server;
        let headers = keep(self.headers()).headers;
        NewSettings {
            host,
            registry,
            docker_server,
            headers,
        }
    }

    fn port(&self, section: &str) -> Result<u16, String> {
        self.get(section, "port")
            .and_then(|port| port.parse().ok())
            .filter(|port| *port != 0)
            .ok_or_else(|| format!("[{section}] port is no port; the section is left out"))
    }

    fn host(&self) -> Option<Result<NewSettings, String>> {
        let text = self.get("fb", "host")?;
        let host = parse_host(text)
            .map_err(|_error| "[fb] host is no IP address or host name; it is left out".to_owned());
        Some(host.and_then(|host| {
            Ok(NewSettings {
                host: Some(HostSettings {
                    host,
                    port: self.port("fb")?,
                }),
                ..NewSettings::default()
            })
        }))
    }

    fn registry(&self) -> Option<Result<NewSettings, String>> {
        let registry = self.get("harbor", "registry")?;
        let bare = registry
            .strip_prefix("https://")
            .or_else(|| registry.strip_prefix("http://"))
            .unwrap_or(registry)
            .trim_end_matches('/');
        let Ok(address) = parse_host_port(bare) else {
            return Some(Err(
                "[harbor] registry is no registry address; the section is left out".to_owned(),
            ));
        };
        let (Some(username), Some(password)) = (
            self.get("harbor", "username"),
            self.get("harbor", "password"),
        ) else {
            return Some(Err(
                "[harbor] lacks username or password; the section is left out".to_owned(),
            ));
        };
        Some(Ok(NewSettings {
            registry: Some(RegistrySettings {
                username: username.to_owned(),
                password: password.to_owned().into(),
                registry: address.to_string(),
                registry_dns: None,
            }),
            ..NewSettings::default()
        }))
    }

    fn docker_server(&self) -> Option<Result<NewSettings, String>> {
        let text = self.get("remote-docker", "host")?;
        let server = || {
            let host = parse_host(text).map_err(|_error| {
                "[remote-docker] host is no IP address or host name; the section is left out"
                    .to_owned()
            })?;
            Ok(NewSettings {
                docker_server: Some(DockerServerSettings {
                    host,
                    port: self.port("remote-docker")?,
                    tls: self.tls()?,
                }),
                ..NewSettings::default()
            })
        };
        Some(server())
    }

    /// The client side of TLS, where the ini has a section for it: the files that its values or
    /// the folder of TLS files name.
    fn tls(&self) -> Result<Option<TlsMaterial>, String> {
        let Some(section) = self.sections.get("tls") else {
            return Ok(None);
        };
        let folder = self.path("fb", "tls_dir");
        let read = |part: &str| -> Result<String, String> {
            let named = section
                .iter()
                .find(|(_, value)| file_name(value).starts_with(part))
                .map(|(_, value)| PathBuf::from(value));
            let inside = |name: String| folder.as_ref().map(|folder| folder.join(name));
            [
                named,
                inside(format!("{part}-jenkins.pem")),
                inside(format!("{part}.pem")),
            ]
            .into_iter()
            .flatten()
            .find_map(|path| std::fs::read_to_string(path).ok())
            .filter(|text| text.contains("-----BEGIN "))
            .ok_or_else(|| {
                format!(
                    "[remote-docker] is used with TLS, but no {part} file of [tls] can be read; \
                     configure the Docker server with config/update-docker-server"
                )
            })
        };
        Ok(Some(TlsMaterial {
            ca_pem: read("ca")?,
            cert_pem: read("cert")?,
            key_pem: read("key")?.into(),
        }))
    }

    fn headers(&self) -> Option<Result<NewSettings, String>> {
        let text = self.get("callback", "headers")?;
        let headers = serde_json::from_str::<BTreeMap<String, String>>(text)
            .map(|headers| NewSettings {
                headers: Some(headers.into()),
                ..NewSettings::default()
            })
            .map_err(|_error| {
                "[callback] headers are no JSON object of texts and are left out; set them with \
                 config/update-headers"
                    .to_owned()
            });
        Some(headers)
    }

    /// What the import leaves to the operator.
    fn notes(&self, config: &Config) -> Vec<String> {
        let mut notes = Vec::new();
        for (key, ours) in [
            ("source_dir", &config.folders.source_dir),
            ("tools_dir", &config.folders.tools_dir),
        ] {
            if let Some(path) = self.path("fb", key)
                && path != *ours
            {
                notes.push(format!(
                    "{key} is {} there and {} here. To use the old files, write {key} = {:?} into \
                     this service's configuration file, or copy them over.",
                    path.display(),
                    ours.display(),
                    path.display().to_string()
                ));
            }
        }
        if let Some(path) = self.path("fb", "task_dir") {
            notes.push(format!(
                "task_dir ({}) is not taken: its logs and Dockerfiles hold passwords in the clear. \
                 Old builds are listed without their logs.",
                path.display()
            ));
        }
        if self.get("callback", "host").is_some() {
            notes.push(
                "[callback] host and port are not taken: callbacks go to the callback_url of each \
                 request."
                    .to_owned(),
            );
        }
        if self.get("aes", "key").is_some() {
            let same = self
                .get("aes", "key")
                .zip(self.get("aes", "iv"))
                .and_then(|(key, iv)| fastbuild_spec::request::WireKey::new(key, iv).ok())
                .is_some_and(|key| key.encrypt("same") == config.wire_key.encrypt("same"));
            if !same {
                notes.push(
                    "[aes] key and iv differ from this service's: copy both into [aes] of its \
                     configuration file, or callers' passwords cannot be read."
                        .to_owned(),
                );
            }
        }
        notes
    }
}

fn file_name(path: &str) -> String {
    Path::new(path)
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<OldIni> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.ini");
        std::fs::write(&path, text).unwrap();
        OldIni::read(&path)
    }

    #[test]
    fn values_mean_themselves() {
        let ini = read("[harbor]\nusername = admin\npassword = a\"b\\c#d;e=f\nregistry = https://r.site:5000/\n")
            .unwrap();
        assert_eq!(ini.get("harbor", "password"), Some("a\"b\\c#d;e=f"));
        let registry = ini.registry().unwrap().unwrap().registry.unwrap();
        assert_eq!(registry.registry, "r.site:5000");
    }

    #[test]
    fn the_database_is_named_by_a_url() {
        let database = |value: &str| read(&format!("[db]\nfile = {value}\n")).unwrap().database();
        assert_eq!(
            database("sqlite:////srv/old/fb.db"),
            Some(Ok(PathBuf::from("/srv/old/fb.db")))
        );
        assert_eq!(
            database("/srv/fb.db"),
            Some(Ok(PathBuf::from("/srv/fb.db")))
        );
        assert_eq!(database(""), None);
        for bad in ["sqlite:///relative.db", "mysql://u:p@host/db", "fb.db"] {
            let problem = database(bad).unwrap().unwrap_err();
            assert!(!problem.contains(bad), "{problem}");
        }
    }

    #[test]
    fn what_cannot_be_read_becomes_a_note() {
        let ini = read(
            "[fb]\nhost = 10.0.0.88\nport = many\n[harbor]\nregistry = r\n[remote-docker]\nhost = 10.0.0.9\n\
             port = 2376\n[tls]\nca = /nowhere/ca.pem\n[callback]\nheaders = {broken\n",
        )
        .unwrap();
        let mut notes = Vec::new();
        let settings = ini.settings(&mut notes);
        assert!(settings.host.is_none() && settings.registry.is_none());
        assert!(settings.docker_server.is_none() && settings.headers.is_none());
        assert_eq!(notes.len(), 4, "{notes:?}");
    }

    #[test]
    fn a_line_that_is_no_ini_is_named_without_its_text() {
        let error = read("[fb]\nhost = a\nhunter2\n").err().unwrap().to_string();
        assert!(error.contains("line 4, or just before it"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
