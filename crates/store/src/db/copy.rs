//! Moves all rows of a SQLite database to an empty PostgreSQL one.
//!
//! Which tables and columns there are is read from the source, so no table can be forgotten here. The
//! row that ties a database to its key is copied last: until then the service refuses to start on
//! the target. Running it again goes on where it stopped.

use futures_util::TryStreamExt as _;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait as _,
    QueryResult, Statement, StreamTrait, TransactionTrait as _, Value,
};
use sea_orm_migration::MigratorTrait as _;
use sha2::{Digest as _, Sha256};

use super::{
    backup::{database_file, open_for_reading, refused},
    connect::{Place, connect_to_server},
    dialect, start,
};
use crate::{StoreError, entity::seal_check, migration::Migrator};

/// Rows per insert statement. PostgreSQL bounds the values in one at 65,535; no table has more than
/// 50 columns.
const ROWS_PER_INSERT: usize = 500;
/// Filled by triggers on the target, as on the source; compared, not copied.
const KEPT_BY_TRIGGERS: &str = "list_positions";
/// Ties the database to its key.
const LAST: &str = "seal_checks";

/// A table that was copied and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub name: String,
    /// Its rows, on both sides.
    pub rows: u64,
}

/// The type of a column, as the schema spells it for SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    BigInteger,
    Boolean,
    Text,
    Bytes,
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: Kind,
}

#[derive(Debug)]
struct Table {
    name: String,
    columns: Vec<Column>,
    /// Whether its rows number themselves, by `AUTOINCREMENT`.
    numbered_by: Option<String>,
}

/// How many rows a table has, and what they hold: a sum over all rows, so that their order is no
/// matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Summary {
    rows: u64,
    sum: u128,
}

impl Column {
    fn read(&self, row: &QueryResult, index: usize) -> Result<Value, DbErr> {
        Ok(match self.kind {
            Kind::Integer => row.try_get_by_index::<Option<i32>>(index)?.into(),
            Kind::BigInteger => row.try_get_by_index::<Option<i64>>(index)?.into(),
            Kind::Boolean => row.try_get_by_index::<Option<bool>>(index)?.into(),
            // Rows of an imported installation may hold what PostgreSQL's texts cannot.
            Kind::Text => row
                .try_get_by_index::<Option<String>>(index)?
                .map(|text| dialect::storable(&text))
                .into(),
            Kind::Bytes => row.try_get_by_index::<Option<Vec<u8>>>(index)?.into(),
        })
    }
}

impl Table {
    fn read(&self, row: &QueryResult) -> Result<Vec<Value>, DbErr> {
        self.columns
            .iter()
            .enumerate()
            .map(|(index, column)| column.read(row, index))
            .collect()
    }

    fn column_list(&self) -> String {
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("\"{}\"", column.name))
            .collect();
        names.join(", ")
    }

    fn select(&self, backend: DbBackend) -> Statement {
        let sql = format!("SELECT {} FROM \"{}\"", self.column_list(), self.name);
        Statement::from_string(backend, sql)
    }

    /// Inserts rows; those that an earlier run inserted stay as they are.
    fn insert(&self, rows: Vec<Vec<Value>>) -> Statement {
        let width = self.columns.len();
        let places: Vec<String> = (0..rows.len())
            .map(|row| {
                let places: Vec<String> = (1..=width)
                    .map(|column| format!("${}", row * width + column))
                    .collect();
                format!("({})", places.join(", "))
            })
            .collect();
        let sql = format!(
            "INSERT INTO \"{}\" ({}) VALUES {} ON CONFLICT DO NOTHING",
            self.name,
            self.column_list(),
            places.join(", ")
        );
        Statement::from_sql_and_values(DbBackend::Postgres, sql, rows.into_iter().flatten())
    }

    async fn summarize<C: ConnectionTrait + StreamTrait>(
        &self,
        connection: &C,
    ) -> Result<Summary, DbErr> {
        let statement = self.select(ConnectionTrait::get_database_backend(connection));
        let mut rows = std::pin::pin!(connection.stream_raw(statement).await?);
        let mut summary = Summary::default();
        while let Some(row) = rows.try_next().await? {
            summary.add(&self.read(&row)?);
        }
        Ok(summary)
    }
}

impl Summary {
    fn add(&mut self, values: &[Value]) {
        let mut digest = Sha256::new();
        for value in values {
            // Printed with its type; the length keeps neighbours apart.
            let text = format!("{value:?}");
            digest.update(text.len().to_be_bytes());
            digest.update(text);
        }
        let digest = digest.finalize();
        let head = digest.iter().take(16);
        let number = head.fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        self.rows += 1;
        self.sum = self.sum.wrapping_add(number);
    }
}

/// Copies every row of the SQLite database at `source` to the PostgreSQL database at `target`, and
/// compares them. The source is only read; no service may run on it. `copied` hears of each table.
///
/// # Errors
/// [`StoreError::Copy`] when the target belongs to another installation, or rows differ in the end;
/// what either database says.
pub async fn copy_to_postgres(
    source: &str,
    target: &str,
    copied: &mut (dyn FnMut(&CopiedTable) + Send),
) -> Result<Vec<CopiedTable>, StoreError> {
    let file = database_file(source)?;
    let Place::Server(url) = Place::parse(target)? else {
        return Err(refused(
            "目标必须是 PostgreSQL：postgres://用户:密码@主机:端口/数据库。",
            "The target must be PostgreSQL: postgres://user:password@host:port/database.",
        ));
    };
    let source = open_for_reading(&file, false).await?;
    start::check_integrity(&source, &file)
        .await
        .map_err(|error| error.in_file(&file))?;
    check_up_to_date(&source, &file.display().to_string()).await?;
    let target = connect_to_server(&url).await?;
    let lock = dialect::hold(&target, "schema").await?;
    start::check_schema(&target, &url.shown()).await?;
    Migrator::up(&target, None).await?;
    let source = source.begin().await?;
    check_same_installation(&source, &target, &url.shown()).await?;
    let mut tables = tables(&source).await?;
    // A stable sort: the others stay in the order in which they refer to each other.
    tables.sort_by_key(|table| table.name == LAST);
    let mut report = Vec::new();
    for table in &tables {
        if table.name != KEPT_BY_TRIGGERS {
            copy_rows(table, &source, &target).await?;
        }
        let (here, there) = (
            table.summarize(&source).await?,
            table.summarize(&target).await?,
        );
        if here != there {
            return Err(differ(&table.name, here, there));
        }
        let table = CopiedTable {
            name: table.name.clone(),
            rows: here.rows,
        };
        copied(&table);
        report.push(table);
    }
    if let Some(lock) = lock {
        lock.commit().await?;
    }
    source.commit().await?;
    target.close().await?;
    Ok(report)
}

fn differ(table: &str, here: Summary, there: Summary) -> StoreError {
    refused(
        format!(
            "表 {table} 的内容在两边不一致（源 {} 行，目标 {} 行）。请清空目标数据库（重新创建）后再次运行；源数据库没有改动。",
            here.rows, there.rows
        ),
        format!(
            "The rows of the table {table} differ ({} in the source, {} in the target). Make the target database anew and run this again; the source is as it was.",
            here.rows, there.rows
        ),
    )
}

/// Refuses a source whose tables are of an earlier version: the target has this version's.
async fn check_up_to_date(source: &DatabaseConnection, name: &str) -> Result<(), StoreError> {
    if start::check_schema(source, name).await? {
        return Ok(());
    }
    Err(refused(
        format!("数据库 {name} 的结构是旧版本的；请先用本版本启动一次服务，再停止并迁移。"),
        format!(
            "The tables of {name} are of an earlier version; start the service once with this version, end it, and move then."
        ),
    ))
}

/// Refuses a target that another installation uses.
async fn check_same_installation(
    source: &DatabaseTransaction,
    target: &DatabaseConnection,
    name: &str,
) -> Result<(), StoreError> {
    let there = seal_check::Entity::find_by_id(1).one(target).await?;
    if there.is_none() || there == seal_check::Entity::find_by_id(1).one(source).await? {
        return Ok(());
    }
    Err(refused(
        format!("目标数据库 {name} 已被另一个 FastBuild 使用；请指定一个空的数据库。"),
        format!(
            "The target database {name} is in use by another FastBuild; name an empty database."
        ),
    ))
}

/// The tables of the source, in the order in which they were made: those that others refer to come
/// first.
async fn tables(source: &DatabaseTransaction) -> Result<Vec<Table>, StoreError> {
    let names = source
        .query_all_raw(Statement::from_string(
            DbBackend::Sqlite,
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' \
             ESCAPE '\\' AND name <> 'seaql_migrations' ORDER BY rowid",
        ))
        .await?;
    let mut tables = Vec::new();
    for row in names {
        let (name, sql): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let info = source
            .query_all_raw(Statement::from_sql_and_values(
                DbBackend::Sqlite,
                "SELECT name, type FROM pragma_table_info(?) ORDER BY cid",
                [name.clone().into()],
            ))
            .await?;
        let columns = info
            .iter()
            .map(|row| {
                let kind: String = row.try_get_by_index(1)?;
                Ok(Column {
                    name: row.try_get_by_index(0)?,
                    kind: parse_kind(&kind)?,
                })
            })
            .collect::<Result<Vec<Column>, StoreError>>()?;
        let numbered_by = sql
            .contains("AUTOINCREMENT")
            .then(|| columns.first().map(|column| column.name.clone()))
            .flatten();
        tables.push(Table {
            name,
            // A row's own number is BIGINT on PostgreSQL; SQLite knows it as INTEGER alone.
            columns: columns
                .into_iter()
                .map(|column| Column {
                    kind: match numbered_by.as_deref() {
                        Some(name) if name == column.name => Kind::BigInteger,
                        _ => column.kind,
                    },
                    ..column
                })
                .collect(),
            numbered_by,
        });
    }
    Ok(tables)
}

fn parse_kind(text: &str) -> Result<Kind, StoreError> {
    match text {
        "INTEGER" => Ok(Kind::Integer),
        "BIGINT" => Ok(Kind::BigInteger),
        "BOOLEAN" => Ok(Kind::Boolean),
        "TEXT" => Ok(Kind::Text),
        "BLOB" => Ok(Kind::Bytes),
        other => Err(StoreError::corrupt("column type", other)),
    }
}

async fn copy_rows(
    table: &Table,
    source: &DatabaseTransaction,
    target: &DatabaseConnection,
) -> Result<(), StoreError> {
    let mut rows = source.stream_raw(table.select(DbBackend::Sqlite)).await?;
    let mut batch = Vec::with_capacity(ROWS_PER_INSERT);
    while let Some(row) = rows.try_next().await? {
        batch.push(table.read(&row)?);
        if batch.len() == ROWS_PER_INSERT {
            target
                .execute_raw(table.insert(std::mem::take(&mut batch)))
                .await?;
        }
    }
    drop(rows);
    if !batch.is_empty() {
        target.execute_raw(table.insert(batch)).await?;
    }
    let Some(column) = &table.numbered_by else {
        return Ok(());
    };
    // Numbers go on after the last that was given, also where its row is gone.
    let last = source
        .query_one_raw(Statement::from_sql_and_values(
            DbBackend::Sqlite,
            "SELECT seq FROM sqlite_sequence WHERE name = ?",
            [table.name.clone().into()],
        ))
        .await?;
    if let Some(last) = last {
        let last: i64 = last.try_get_by_index(0)?;
        target
            .execute_raw(Statement::from_sql_and_values(
                DbBackend::Postgres,
                "SELECT setval(pg_get_serial_sequence($1, $2), $3)",
                [
                    table.name.clone().into(),
                    column.clone().into(),
                    last.into(),
                ],
            ))
            .await?;
    }
    Ok(())
}
