//! Where the files of a build are: on disk, and their URLs.

use std::path::{Path, PathBuf};

use fastbuild_spec::settings::HostSettings;

/// Where the files of one build are.
#[derive(Debug)]
pub(crate) struct Address {
    folder: PathBuf,
    url: String,
}

impl Address {
    /// The files of the build whose folder has this name. `host` is the service's configured
    /// address; without one the links are paths.
    pub(crate) fn new(task_dir: &Path, host: Option<&HostSettings>, work_dir_name: &str) -> Self {
        let origin = host.map(origin).unwrap_or_default();
        Self {
            folder: task_dir.join(work_dir_name),
            url: format!("{origin}/task/{work_dir_name}"),
        }
    }

    /// The build's folder.
    pub(crate) fn folder(&self) -> String {
        self.folder.display().to_string()
    }

    /// The path of a file in it.
    pub(crate) fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }

    /// The address of a file in it.
    pub(crate) fn url(&self, file: &str) -> String {
        format!("{}/{file}", self.url)
    }
}

fn origin(host: &HostSettings) -> String {
    let HostSettings { host, port } = host;
    // An IPv6 address stands in brackets in a URL (RFC 3986, section 3.2.2).
    if host.contains(':') && !host.starts_with('[') {
        format!("http://[{host}]:{port}")
    } else {
        format!("http://{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_absolute_once_the_host_is_known() {
        let url = |host: Option<&str>| {
            let host = host.map(|host| HostSettings {
                host: host.to_owned(),
                port: 48001,
            });
            Address::new(Path::new("/srv/task"), host.as_ref(), "2026").url("pull.log")
        };
        assert_eq!(
            url(Some("10.0.0.88")),
            "http://10.0.0.88:48001/task/2026/pull.log"
        );
        assert_eq!(
            url(Some("fd00::1")),
            "http://[fd00::1]:48001/task/2026/pull.log"
        );
        assert_eq!(url(None), "/task/2026/pull.log");
        let address = Address::new(Path::new("/srv/task"), None, "2026");
        assert_eq!(address.folder(), "/srv/task/2026");
        assert_eq!(address.path("Dockerfile"), "/srv/task/2026/Dockerfile");
    }
}
