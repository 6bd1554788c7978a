//! The settings of an old installation: host, registry, engine and callback headers.
//!
//! The newest row of a table is in force, so two things must not happen: that an old row comes
//! into force over a newer one of this installation, and that an older row comes into force
//! because the newest one could not be taken.

use std::path::{Path, PathBuf};

use fastbuild_spec::{
    names::{parse_host, parse_host_port},
    settings::{
        CallbackHeaders, DockerServerSettings, HostSettings, RegistrySettings, TlsMaterial,
    },
};
use sea_orm::{EntityTrait as _, QueryOrder as _};

use super::{
    Importer, TableReport,
    source::{OldDatabase, OldRow, shown},
};
use crate::{
    NewSettings, SecretHeaders, StoreError,
    db::time::micros,
    entity::{setting_docker_server, setting_headers, setting_host, setting_registry},
    settings::HEADERS_PURPOSE,
};

/// Hosts that a service gives itself where nobody set one.
const DEFAULT_HOST: &str = "127.0.0.1";
/// No PEM file is larger.
const LARGEST_PEM: u64 = 1 << 20;

pub(super) async fn import(
    importer: &mut Importer<'_>,
    source: &OldDatabase,
    default_headers: &CallbackHeaders,
) -> Result<Vec<TableReport>, StoreError> {
    let newest = newest_here(importer, default_headers).await?;
    let ini = importer.ini.clone();
    let host = Kind {
        table: "fb_host_table",
        becomes: "the service's address",
        newest: newest.host,
        ini: ini.host.map(|host| NewSettings {
            host: Some(host),
            ..NewSettings::default()
        }),
    };
    let registry = Kind {
        table: "fb_harbor_table",
        becomes: "the registry",
        newest: newest.registry,
        ini: ini.registry.map(|registry| NewSettings {
            registry: Some(registry),
            ..NewSettings::default()
        }),
    };
    let server = Kind {
        table: "fb_docker_server_table",
        becomes: "the Docker server",
        newest: newest.docker_server,
        ini: ini.docker_server.map(|server| NewSettings {
            docker_server: Some(server),
            ..NewSettings::default()
        }),
    };
    let tls_dir = importer.tls_dir.map(Path::to_owned);
    let mut reports = vec![
        take(importer, source, host, read_host).await?,
        take(importer, source, registry, read_registry).await?,
        take(importer, source, server, |row| {
            read_server(row, tls_dir.as_deref())
        })
        .await?,
    ];
    if let Some(headers) = ini.headers {
        let mut report =
            TableReport::new("[callback] headers of the ini", "callback headers", true);
        let settings = NewSettings {
            headers: Some(headers),
            ..NewSettings::default()
        };
        take_ini(importer, &mut report, newest.headers, settings).await?;
        reports.push(report);
    }
    Ok(reports)
}

/// When the newest setting of each kind was made in this installation, by its own defaults not
/// counted; in microseconds.
struct Newest {
    host: Option<i64>,
    registry: Option<i64>,
    docker_server: Option<i64>,
    headers: Option<i64>,
}

async fn newest_here(
    importer: &Importer<'_>,
    default_headers: &CallbackHeaders,
) -> Result<Newest, StoreError> {
    let tx = importer.tx;
    let host = setting_host::Entity::find()
        .order_by_desc(setting_host::Column::Id)
        .one(tx)
        .await?
        .filter(|row| row.host != DEFAULT_HOST);
    let headers = setting_headers::Entity::find()
        .order_by_desc(setting_headers::Column::Id)
        .one(tx)
        .await?;
    let headers = match headers {
        Some(row) => {
            let set = SecretHeaders::open(&importer.store.seal, HEADERS_PURPOSE, &row.headers)?;
            (set.expose() != default_headers).then_some(row)
        }
        None => None,
    };
    let registry = setting_registry::Entity::find()
        .order_by_desc(setting_registry::Column::Id)
        .one(tx)
        .await?;
    let server = setting_docker_server::Entity::find()
        .order_by_desc(setting_docker_server::Column::Id)
        .one(tx)
        .await?;
    Ok(Newest {
        host: host.map(|row| row.created_at),
        registry: registry.map(|row| row.created_at),
        docker_server: server.map(|row| row.created_at),
        headers: headers.map(|row| row.created_at),
    })
}

/// One kind of settings.
struct Kind {
    table: &'static str,
    becomes: &'static str,
    /// When the newest of this installation was made.
    newest: Option<i64>,
    /// What the ini says, where the table says nothing.
    ini: Option<NewSettings>,
}

async fn take(
    importer: &mut Importer<'_>,
    source: &OldDatabase,
    kind: Kind,
    read: impl Fn(&OldRow) -> Result<NewSettings, String>,
) -> Result<TableReport, StoreError> {
    let rows = source.rows(kind.table).await?;
    let mut report = TableReport::new(kind.table, kind.becomes, rows.is_some());
    let rows = rows.unwrap_or_default();
    if rows.is_empty() {
        if let Some(settings) = kind.ini {
            report.present = true;
            report.becomes = "taken from the ini, as the table is empty";
            take_ini(importer, &mut report, kind.newest, settings).await?;
        }
        return Ok(report);
    }
    let mut parsed: Vec<_> = rows.iter().map(read).collect();
    if parsed.last().is_some_and(Result::is_err) {
        for settings in parsed.iter_mut().filter(|settings| settings.is_ok()) {
            *settings = Err(
                "the newest row could not be taken, and an older one must not come into force \
                 in its place"
                    .to_owned(),
            );
        }
    }
    for (row, settings) in rows.iter().zip(parsed) {
        if importer.has(kind.table, row) {
            report.already += 1;
            continue;
        }
        let mut remarks = Vec::new();
        let wanted = settings.and_then(|settings| {
            let (created, _) = row.times(importer.zone, &mut remarks)?;
            if kind.newest.is_some_and(|newest| newest > micros(created)) {
                return Err("this installation has a newer setting of its own".to_owned());
            }
            Ok((settings, created))
        });
        let fate = match wanted {
            Ok((settings, created)) => {
                importer
                    .store
                    .insert_settings(importer.tx, settings, created)
                    .await?;
                Ok(remarks)
            }
            Err(reason) => Err(reason),
        };
        importer.settle(&mut report, row, fate).await?;
    }
    Ok(report)
}

/// Settings of the ini have no time: they are taken only where nothing was set yet.
async fn take_ini(
    importer: &mut Importer<'_>,
    report: &mut TableReport,
    newest: Option<i64>,
    settings: NewSettings,
) -> Result<(), StoreError> {
    let key = (format!("{} (ini)", report.table), 0, String::new());
    if importer.taken.contains(&key) {
        report.already += 1;
    } else if newest.is_some() {
        report.skipped(0, "this installation has a setting of its own".to_owned());
    } else {
        importer
            .store
            .insert_settings(importer.tx, settings, importer.now)
            .await?;
        importer.mark(key).await?;
        report.took(0, vec!["row 0 stands for the ini".to_owned()]);
    }
    Ok(())
}

fn read_host(row: &OldRow) -> Result<NewSettings, String> {
    let text = row.needed("host_ip")?;
    let host = parse_host(text)
        .map_err(|_| format!("host_ip is no IP address or host name: {}", shown(text)))?;
    Ok(NewSettings {
        host: Some(HostSettings {
            host,
            port: row.port("host_port")?,
        }),
        ..NewSettings::default()
    })
}

/// A registry's address without a scheme.
fn registry_name(column: &str, text: &str) -> Result<String, String> {
    let bare = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .unwrap_or(text)
        .trim_end_matches('/');
    parse_host_port(bare)
        .map(|name| name.to_string())
        // The address may hold a login: it is not repeated.
        .map_err(|_| format!("{column} is no registry address"))
}

fn read_registry(row: &OldRow) -> Result<NewSettings, String> {
    let dns = row.text("registry_dns");
    let password = row.exact("password");
    if password.is_empty() {
        return Err("password is empty".to_owned());
    }
    Ok(NewSettings {
        registry: Some(RegistrySettings {
            username: row.needed("username")?.to_owned(),
            password: password.to_owned().into(),
            registry: registry_name("registry", row.needed("registry")?)?,
            registry_dns: (!dns.is_empty())
                .then(|| registry_name("registry_dns", dns))
                .transpose()?,
        }),
        ..NewSettings::default()
    })
}

fn read_server(row: &OldRow, tls_dir: Option<&Path>) -> Result<NewSettings, String> {
    let text = row.needed("host")?;
    let host = parse_host(text)
        .map_err(|_| format!("host is no IP address or host name: {}", shown(text)))?;
    let file = |column: &str| -> Result<String, String> {
        let path = PathBuf::from(row.needed(column)?);
        let path = match tls_dir {
            Some(folder) if path.is_relative() => folder.join(path),
            _ => path,
        };
        read_pem(&path).map_err(|problem| {
            format!(
                "{column} names {}, which cannot be read ({problem}); upload the TLS archive with \
                 config/update-docker-server instead",
                path.display()
            )
        })
    };
    let tls = row
        .flag("tls_verify")
        .then(|| {
            Ok::<_, String>(TlsMaterial {
                ca_pem: file("ca_path")?,
                cert_pem: file("client_cert_path")?,
                key_pem: file("client_key_path")?.into(),
            })
        })
        .transpose()?;
    Ok(NewSettings {
        docker_server: Some(DockerServerSettings {
            host,
            port: row.port("port")?,
            tls,
        }),
        ..NewSettings::default()
    })
}

fn read_pem(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.len() > LARGEST_PEM {
        return Err("it is no PEM file".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if text.contains("-----BEGIN ") {
        Ok(text)
    } else {
        Err("it is no PEM file".to_owned())
    }
}
