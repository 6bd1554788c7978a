//! The starter catalog: mirror files for the public mirrors many sites use, compiled into the program
//! from `starter/` and laid down by `fastbuild init`. They are the operator's from then on: a file that
//! is there is never touched.
//!
//! A mirror has files for what its public layout carries: tsinghua has no Rocky, 163 no conda, and
//! Debian 10 is on aliyun alone. The table in README.md says so, and the tests hold it to the files.

use std::{fs, io, io::Write as _, path::Path};

/// A file of the starter catalog.
#[derive(Debug, Clone, Copy)]
pub struct StarterFile {
    /// Where it lies below `source_dir`, `<kind>/<group>/<file>`.
    pub path: &'static str,
    /// Its content.
    pub text: &'static str,
}

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(StarterFile { path: $path, text: include_str!(concat!("../starter/", $path)) }),+]
    };
}

/// Every file of the starter catalog, by path.
pub const FILES: &[StarterFile] = files![
    "apt/163/debian-11.list",
    "apt/163/debian-12.list",
    "apt/163/debian-13.sources",
    "apt/163/ubuntu-18.04.list",
    "apt/163/ubuntu-20.04.list",
    "apt/163/ubuntu-22.04.list",
    "apt/163/ubuntu-24.04.sources",
    "apt/ali/debian-10.list",
    "apt/ali/debian-11.list",
    "apt/ali/debian-12.list",
    "apt/ali/debian-13.sources",
    "apt/ali/ubuntu-18.04.list",
    "apt/ali/ubuntu-20.04.list",
    "apt/ali/ubuntu-22.04.list",
    "apt/ali/ubuntu-24.04.sources",
    "apt/qinghua/debian-11.list",
    "apt/qinghua/debian-12.list",
    "apt/qinghua/debian-13.sources",
    "apt/qinghua/ubuntu-18.04.list",
    "apt/qinghua/ubuntu-20.04.list",
    "apt/qinghua/ubuntu-22.04.list",
    "apt/qinghua/ubuntu-24.04.sources",
    "apt/ustc/debian-11.list",
    "apt/ustc/debian-12.list",
    "apt/ustc/debian-13.sources",
    "apt/ustc/ubuntu-18.04.list",
    "apt/ustc/ubuntu-20.04.list",
    "apt/ustc/ubuntu-22.04.list",
    "apt/ustc/ubuntu-24.04.sources",
    "conda/ali/.condarc",
    "conda/qinghua/.condarc",
    "conda/ustc/.condarc",
    "pip/163/pip.conf",
    "pip/ali/pip.conf",
    "pip/qinghua/pip.conf",
    "pip/ustc/pip.conf",
    "yum/163/CentOS7-Base-163.repo",
    "yum/163/CentOS8-Base-163.repo",
    "yum/163/openEuler-20.03-LTS-SP4.repo",
    "yum/163/openEuler-20.03-LTS.repo",
    "yum/163/openEuler-22.03-LTS-SP4.repo",
    "yum/163/openEuler-22.03-LTS.repo",
    "yum/163/openEuler-24.03-LTS-SP1.repo",
    "yum/163/openEuler-24.03-LTS.repo",
    "yum/163/rocky-8.repo",
    "yum/163/rocky-9.repo",
    "yum/ali/Centos-7.repo",
    "yum/ali/Centos-8.repo",
    "yum/ali/openEuler-20.03-LTS-SP4.repo",
    "yum/ali/openEuler-20.03-LTS.repo",
    "yum/ali/openEuler-22.03-LTS-SP4.repo",
    "yum/ali/openEuler-22.03-LTS.repo",
    "yum/ali/openEuler-24.03-LTS-SP1.repo",
    "yum/ali/openEuler-24.03-LTS.repo",
    "yum/ali/rocky-8.repo",
    "yum/ali/rocky-9.repo",
    "yum/qinghua/Centos-7.repo",
    "yum/qinghua/Centos-8.repo",
    "yum/qinghua/openEuler-20.03-LTS-SP4.repo",
    "yum/qinghua/openEuler-20.03-LTS.repo",
    "yum/qinghua/openEuler-22.03-LTS-SP4.repo",
    "yum/qinghua/openEuler-22.03-LTS.repo",
    "yum/qinghua/openEuler-24.03-LTS-SP1.repo",
    "yum/qinghua/openEuler-24.03-LTS.repo",
    "yum/ustc/Centos-7.repo",
    "yum/ustc/Centos-8.repo",
    "yum/ustc/openEuler-20.03-LTS-SP4.repo",
    "yum/ustc/openEuler-20.03-LTS.repo",
    "yum/ustc/openEuler-22.03-LTS-SP4.repo",
    "yum/ustc/openEuler-22.03-LTS.repo",
    "yum/ustc/openEuler-24.03-LTS-SP1.repo",
    "yum/ustc/openEuler-24.03-LTS.repo",
    "yum/ustc/rocky-8.repo",
    "yum/ustc/rocky-9.repo",
];

/// Lays down the files that are missing under `source_dir`; the paths of those that were.
///
/// Several may do so at once: each file appears whole, from one of them.
///
/// # Errors
/// The first file that cannot be written, by its path and why.
pub fn lay_down(source_dir: &Path) -> io::Result<Vec<&'static str>> {
    let mut laid = Vec::new();
    for file in FILES {
        let path = source_dir.join(file.path);
        let written = write_new(&path, file.text).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!(
                    "the mirror file {} cannot be written: {error}",
                    path.display()
                ),
            )
        })?;
        if written {
            laid.push(file.path);
        }
    }
    Ok(laid)
}

/// Writes a file unless there is one; whether it did.
fn write_new(path: &Path, text: &str) -> io::Result<bool> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let mut file = fastbuild_builder::catalog::upload::temporary_in(folder)?;
    file.write_all(text.as_bytes())?;
    match file.persist_noclobber(path) {
        Ok(_file) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
#[path = "starter_tests.rs"]
mod tests;
