//! Writes the service's OpenAPI document into `docs/`, where a review sees what a change does to it.

use std::path::Path;

use anyhow::{Context, Result};

use xtask::run;

/// Asks the program for its document; nothing is started.
pub(crate) fn execute() -> Result<()> {
    let program = run::build("fastbuild", false)?;
    let document = run::run(&mut run::program(program, &["openapi"]))?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    std::fs::write(&path, document)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    println!("docs/openapi.json is what the service serves");
    Ok(())
}
