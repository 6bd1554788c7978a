//! What the queue and the lists cost, on SQLite and on PostgreSQL: claims per second with one and
//! with eight claimers, and reading one build and pages of builds out of a million as against a
//! thousand. `cargo xtask bench-queue` runs it and writes what it prints, one JSON document, into
//! the documentation.

mod claims;
mod database;
mod lists;

use anyhow::Result;

use self::database::Database;

fn main() -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure())
}

async fn measure() -> Result<()> {
    let mut claims = Vec::new();
    let mut lists = Vec::new();
    for kind in database::Kind::ALL {
        for claimers in [1, 8] {
            claims.push(claims::measure(kind, claimers).await?);
        }
        let (few, many) = (Database::create(kind).await?, Database::create(kind).await?);
        lists.extend(lists::measure(&few, &many).await?);
    }
    let found = serde_json::json!({"claims": claims, "lists": lists});
    #[expect(clippy::print_stdout, reason = "it is read from there")]
    {
        println!("{found}");
    }
    Ok(())
}
