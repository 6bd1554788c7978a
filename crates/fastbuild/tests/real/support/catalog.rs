//! A service with a catalog of its own, and what lies in it.

use std::path::Path;

use super::installation::Installation;

/// A service whose catalog is its own.
pub(crate) async fn own_catalog(variables: &[(&str, &str)]) -> Installation {
    let own = [("SOURCE_DIR", ""), ("TOOLS_DIR", "")];
    Installation::unconfigured(&[&own, variables].concat()).await
}

/// Every file below a folder, by its path there.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                let below = path.strip_prefix(root).unwrap();
                found.push(below.display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

/// What lies in the catalog.
pub(crate) fn catalog(installation: &Installation) -> Vec<String> {
    ["source", "tools"]
        .iter()
        .flat_map(|root| files(&installation.directory.path().join(root)))
        .collect()
}
