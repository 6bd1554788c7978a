//! Databases of a test's own on a PostgreSQL server, through the distribution's `psql`; and servers.

pub mod cluster;
#[cfg(feature = "service")]
pub mod server;

use std::{
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, bail};

use crate::env::PostgresPart;

/// A database that goes when it is dropped, with whoever is connected to it.
#[derive(Debug)]
pub struct TestDatabase {
    server: PostgresPart,
    name: String,
    /// Where it is, as the service takes it.
    pub url: String,
}

impl TestDatabase {
    /// Makes an empty database.
    ///
    /// # Errors
    /// What the server says.
    pub fn create(server: &PostgresPart) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        // One of the same name is left of a test that was killed, whose process id came again.
        server.execute("postgres", &format!("DROP DATABASE IF EXISTS {name}"))?;
        server.execute("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(Self {
            url: server.url(&name),
            server: server.clone(),
            name,
        })
    }

    /// Runs a statement in it and returns its rows as text, one a line, columns parted by `|`.
    ///
    /// # Errors
    /// What the server says.
    pub fn execute(&self, statement: &str) -> Result<String> {
        self.server.execute(&self.name, statement)
    }

    /// All its rows as SQL text.
    ///
    /// # Errors
    /// What the server says.
    pub fn dump(&self) -> Result<String> {
        let mut dump = self.server.client("pg_dump", &self.name);
        dump.args(["--data-only", "--inserts"]);
        output_of(&mut dump)
    }

    /// Cuts every connection to it, as a network fault or a failover would; how many there were.
    ///
    /// # Errors
    /// What the server says.
    pub fn cut_connections(&self) -> Result<usize> {
        let cut = self.server.execute(
            "postgres",
            &format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
                self.name
            ),
        )?;
        Ok(cut.lines().count())
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // What stays is named by its process and dropped before it is made anew.
        self.server
            .execute(
                "postgres",
                &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
            )
            .ok();
    }
}

impl PostgresPart {
    /// The URL of a database on this server, as the service takes it.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://{}:{}@127.0.0.1:{}/{database}",
            self.user.username, self.user.password, self.port
        )
    }

    /// Runs a statement in a database of this server and returns its rows as text.
    ///
    /// # Errors
    /// What the server says.
    pub fn execute(&self, database: &str, statement: &str) -> Result<String> {
        let mut psql = self.client("psql", database);
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set", "ON_ERROR_STOP=1", "--command", statement]);
        Ok(output_of(&mut psql)?.trim().to_owned())
    }

    /// One of the distribution's client programs, pointed at a database of this server.
    fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", &self.user.username)
            .env("PGPASSWORD", &self.user.password)
            .env("PGDATABASE", database)
            .stdin(Stdio::null());
        command
    }
}

fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{} failed: {}",
            command.get_program().display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
