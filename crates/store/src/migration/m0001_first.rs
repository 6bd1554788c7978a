//! Everything the first version remembers.

use sea_orm_migration::{prelude::*, schema};

/// The first schema.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// A big integer that must be there: a time, a count or a number given by us.
fn number(name: &'static str) -> ColumnDef {
    schema::big_integer(name).take()
}

/// A big integer that may be empty.
fn maybe_number(name: &'static str) -> ColumnDef {
    schema::big_integer_null(name).take()
}

/// Text of any length that must be there.
fn text(name: &'static str) -> ColumnDef {
    schema::text(name).take()
}

/// Text of any length that may be empty.
fn maybe_text(name: &'static str) -> ColumnDef {
    schema::text_null(name).take()
}

/// A table whose rows number themselves and never take a number twice.
fn numbered_table(name: &'static str) -> TableCreateStatement {
    Table::create()
        .table(name)
        .col(
            ColumnDef::new("id")
                .big_integer()
                .not_null()
                .auto_increment()
                .primary_key(),
        )
        .take()
}

/// A table that hangs on a build and goes with it.
fn part_of_a_build(table: &mut TableCreateStatement, name: &'static str) -> TableCreateStatement {
    table
        .foreign_key(
            ForeignKey::create()
                .name(format!("{name}_of_build"))
                .from(name, "task_id")
                .to("builds", "task_id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

/// An index over columns of a table.
fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut statement = Index::create();
    statement
        .table(table)
        .name(format!("{table}_by_{}", columns.join("_")));
    for column in columns {
        statement.col(*column);
    }
    statement.take()
}

/// An index that refuses a second row with the same values.
fn unique(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    index(table, columns).unique().take()
}

/// The times every row of the old protocol shows.
fn with_times(table: &mut TableCreateStatement) -> TableCreateStatement {
    table
        .col(number("created_at"))
        .col(number("updated_at"))
        .take()
}

fn settings_tables() -> Vec<TableCreateStatement> {
    vec![
        with_times(
            numbered_table("setting_hosts")
                .col(text("host"))
                .col(schema::integer("port")),
        ),
        with_times(
            numbered_table("setting_registries")
                .col(text("username"))
                .col(schema::blob("password"))
                .col(text("registry"))
                .col(maybe_text("registry_dns")),
        ),
        with_times(
            numbered_table("setting_docker_servers")
                .col(text("host"))
                .col(schema::integer("port"))
                .col(schema::blob_null("tls")),
        ),
        with_times(numbered_table("setting_headers").col(schema::blob("headers"))),
        Table::create()
            .table("seal_checks")
            .col(number("id").primary_key())
            .col(schema::blob("canary"))
            .take(),
        Table::create()
            .table("counters")
            .col(schema::string("name").primary_key())
            .col(number("value"))
            .take(),
    ]
}

fn build_tables() -> Vec<TableCreateStatement> {
    vec![
        with_times(
            numbered_table("builds")
                .col(number("task_id").unique_key())
                .col(text("task_name"))
                .col(schema::string("state"))
                .col(text("base_image"))
                .col(text("target_image"))
                .col(text("target_name"))
                .col(text("target_tag"))
                .col(maybe_text("active_target"))
                .col(text("description"))
                .col(schema::string("work_dir_name"))
                .col(text("callback_url"))
                .col(number("attempt"))
                .col(number("handed_back"))
                .col(maybe_text("worker"))
                .col(maybe_number("lease_until"))
                .col(schema::boolean("cancel_requested"))
                .col(number("last_event"))
                .col(maybe_text("failure"))
                .col(maybe_number("started_at"))
                .col(maybe_number("finished_at"))
                .col(maybe_text("image_id"))
                .col(maybe_number("image_size"))
                .col(maybe_text("digest"))
                .col(maybe_text("settings_revisions")),
        ),
        part_of_a_build(
            Table::create()
                .table("build_requests")
                .col(number("task_id").primary_key())
                .col(text("request"))
                .col(text("spec"))
                .col(schema::blob_null("passwords")),
            "build_requests",
        ),
        part_of_a_build(
            Table::create()
                .table("dockerfiles")
                .col(number("task_id").primary_key())
                .col(number("attempt"))
                .col(text("text")),
            "dockerfiles",
        ),
        part_of_a_build(
            Table::create()
                .table("events")
                .col(number("task_id"))
                .col(number("seq"))
                .col(number("attempt"))
                .col(number("at"))
                .col(schema::string("kind"))
                .col(schema::string("step"))
                .col(text("body"))
                .primary_key(Index::create().col("task_id").col("seq")),
            "events",
        ),
        part_of_a_build(
            &mut with_times(
                numbered_table("steps")
                    .col(number("task_id"))
                    .col(number("attempt"))
                    .col(schema::string("action"))
                    .col(schema::string("status"))
                    .col(number("started_at"))
                    .col(maybe_number("ended_at"))
                    .col(maybe_number("duration_ms")),
            ),
            "steps",
        ),
    ]
}

fn other_tables() -> Vec<TableCreateStatement> {
    vec![
        part_of_a_build(
            &mut with_times(
                numbered_table("deliveries")
                    .col(maybe_number("task_id"))
                    .col(text("url"))
                    .col(schema::blob("headers"))
                    .col(text("body"))
                    .col(schema::string("status"))
                    .col(number("tries"))
                    .col(maybe_number("next_at"))
                    .col(maybe_text("result")),
            ),
            "deliveries",
        ),
        numbered_table("delivery_tries")
            .col(number("delivery_id"))
            .col(number("number"))
            .col(number("started_at"))
            .col(number("ended_at"))
            .col(text("request_headers"))
            .col(schema::integer_null("status"))
            .col(text("body"))
            .col(maybe_text("error"))
            .foreign_key(
                ForeignKey::create()
                    .name("delivery_tries_of_delivery")
                    .from("delivery_tries", "delivery_id")
                    .to("deliveries", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take(),
        with_times(
            numbered_table("profiles")
                .col(text("image_id"))
                .col(text("image_name"))
                .col(text("profile")),
        ),
        with_times(
            numbered_table("images")
                .col(number("task_id"))
                .col(text("name"))
                .col(text("tag"))
                .col(schema::string("kind"))
                .col(text("image_id"))
                .col(maybe_text("digest"))
                .col(number("size"))
                .col(text("description"))
                .col(schema::boolean("ssh"))
                .col(schema::boolean("jupyter_lab")),
        ),
    ]
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        // Set only while a build is under way: two builds cannot work towards one target.
        unique("builds", &["active_target"]),
        unique("builds", &["work_dir_name"]),
        index("builds", &["state", "task_id"]),
        index("builds", &["lease_until"]),
        index("events", &["task_id", "step", "kind", "seq"]),
        unique("steps", &["task_id", "action"]),
        index("deliveries", &["next_at"]),
        index("deliveries", &["task_id"]),
        unique("delivery_tries", &["delivery_id", "number"]),
        unique("profiles", &["image_id", "image_name"]),
        index("profiles", &["image_name"]),
        unique("images", &["name", "tag", "kind"]),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// All of it or nothing, on every database: a service killed while it first starts must
    /// be able to start again.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = settings_tables()
            .into_iter()
            .chain(build_tables())
            .chain(other_tables());
        for table in tables {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
