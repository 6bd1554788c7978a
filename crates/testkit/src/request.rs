//! Build requests as callers write them.

use fastbuild_spec::request::WireKey;
use serde_json::{Value, json};

/// A build request in the platform's shape, grown piece by piece.
#[derive(Debug, Clone)]
pub struct Request(Value);

impl Request {
    /// A request for `target` made from `base` with nothing added.
    pub fn new(base: &str, target: &str) -> Self {
        Self(json!({
            "webSSHSecret": "",
            "jupyterLabSecret": "",
            "task_data": {"task_name": "test", "target_image_name": target, "callback_url": ""},
            "dockerfile_json": {
                "base_image": base,
                "maintainer": "tester",
                "image_installer_config": {
                    "python_env": {"present": "", "target": ""},
                    "package_manager_installer_config": {"installer_name": "", "software_list": []},
                    "pip_installer_config": {"installer_name": "pip", "software_list": []},
                    "conda_installer_config": {"installer_name": "conda", "software_list": []},
                }
            }
        }))
    }

    fn installers(&mut self) -> &mut Value {
        &mut self.0["dockerfile_json"]["image_installer_config"]
    }

    fn installer(mut self, name: &str, key: &str, value: Value) -> Self {
        self.installers()[name][key] = value;
        self
    }

    /// With a name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.0["task_data"]["task_name"] = json!(name);
        self
    }

    /// With a callback.
    #[must_use]
    pub fn callback(mut self, url: &str) -> Self {
        self.0["task_data"]["callback_url"] = json!(url);
        self
    }

    /// Built anew, whatever equal builds or the engine's cache have.
    #[must_use]
    pub fn afresh(mut self) -> Self {
        self.0["no_cache"] = json!(true);
        self
    }

    /// With system packages, each `name` or `(name, version)` as `name=version`.
    #[must_use]
    pub fn system(self, manager: &str, packages: &[&str]) -> Self {
        self.installer(
            "package_manager_installer_config",
            "installer_name",
            json!(manager),
        )
        .installer(
            "package_manager_installer_config",
            "software_list",
            software(packages),
        )
    }

    /// With a mirror file for system packages.
    #[must_use]
    pub fn system_mirror(self, group: &str, file_name: &str) -> Self {
        self.installer(
            "package_manager_installer_config",
            "source",
            json!({"type": group, "file_name": file_name}),
        )
    }

    /// With pip packages, each `name` or `name=version`.
    #[must_use]
    pub fn pip(self, packages: &[&str]) -> Self {
        self.installer("pip_installer_config", "software_list", software(packages))
    }

    /// Says whether uv is to install the pip packages, where the service has it.
    #[must_use]
    pub fn uv(mut self, wanted: bool) -> Self {
        self.installers()["pip_installer_config"]["uv"] = json!(wanted);
        self
    }

    /// With a mirror file for pip.
    #[must_use]
    pub fn pip_mirror(self, group: &str, file_name: &str) -> Self {
        self.installer(
            "pip_installer_config",
            "source",
            json!({"type": group, "file_name": file_name}),
        )
    }

    /// With pip itself installed by `get-pip.py`.
    #[must_use]
    pub fn get_pip(self) -> Self {
        self.installer(
            "pip_installer_config",
            "install",
            json!({"target": "get-pip.py", "update": true}),
        )
    }

    /// With a Python of the catalog.
    #[must_use]
    pub fn python(mut self, file_name: &str) -> Self {
        self.installers()["python_env"] =
            json!({"present": "", "update": true, "target": file_name});
        self
    }

    /// With conda and packages for it, each `name` or `name=version`.
    #[must_use]
    pub fn conda(self, installer: &str, packages: &[&str]) -> Self {
        self.installer(
            "conda_installer_config",
            "install",
            json!({"target": installer, "update": true}),
        )
        .installer(
            "conda_installer_config",
            "software_list",
            software(packages),
        )
    }

    /// Says whether micromamba is to install the conda packages, where the service has it.
    #[must_use]
    pub fn micromamba(mut self, wanted: bool) -> Self {
        self.installers()["conda_installer_config"]["micromamba"] = json!(wanted);
        self
    }

    /// With an SSH server and this root password.
    #[must_use]
    pub fn ssh(mut self, password: &str) -> Self {
        self.0["webSSHSecret"] = json!(encrypted(password));
        self
    }

    /// With JupyterLab and this password.
    #[must_use]
    pub fn jupyter_lab(mut self, password: &str) -> Self {
        self.0["jupyterLabSecret"] = json!(encrypted(password));
        self
    }

    /// The body to post.
    pub fn body(&self) -> &Value {
        &self.0
    }
}

/// A secret as callers send it, under the protocol's default key.
pub fn encrypted(password: &str) -> String {
    let key = WireKey::new("c7e71f37dda040fd", "0000000000000000");
    match key {
        Ok(key) => key.encrypt(password),
        Err(error) => unreachable!("the default key is a key: {error}"),
    }
}

fn software(packages: &[&str]) -> Value {
    packages
        .iter()
        .map(|package| {
            let (name, version) = package.split_once('=').unwrap_or((package, ""));
            json!({"name": name, "version": version})
        })
        .collect()
}
