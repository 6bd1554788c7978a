//! What a database's error means for the operator.
//!
//! Codes: SQLite <https://sqlite.org/rescode.html> (the low byte of an extended code is the primary
//! one), PostgreSQL <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use fastbuild_spec::failure::{Failure, ReasonCode};
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// What is wrong with the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its disk is full.
    DiskFull,
    /// It, its folder or its file system can only be read.
    ReadOnly,
    /// Another process has locked the file.
    Locked,
    /// Its file is damaged, or is no database.
    Corrupt,
    /// The system cannot read or write its file.
    InputOutput,
    /// The server takes no connection, with its own words.
    Refused(String),
    /// The server has no connection left, with its own words.
    TooManyConnections(String),
    /// Anything else.
    Other,
}

impl Fault {
    pub(crate) fn of(error: &DbErr) -> Self {
        let (DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))) = error
        else {
            return Self::Other;
        };
        match &**error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                match code.parse::<i32>() {
                    Ok(number) if code.len() < 5 => Self::of_sqlite(number),
                    _ => Self::of_postgres(&code, error.message()),
                }
            }
            sqlx::Error::Io(error) => Self::Refused(error.to_string()),
            _ => Self::Other,
        }
    }

    fn of_sqlite(code: i32) -> Self {
        match code & 0xff {
            5 | 6 => Self::Locked,
            8 | 14 => Self::ReadOnly,
            10 => Self::InputOutput,
            11 | 26 => Self::Corrupt,
            13 => Self::DiskFull,
            _ => Self::Other,
        }
    }

    fn of_postgres(code: &str, message: &str) -> Self {
        match code {
            "53300" => Self::TooManyConnections(message.to_owned()),
            "53100" => Self::DiskFull,
            "25006" => Self::ReadOnly,
            "XX001" | "XX002" => Self::Corrupt,
            "58030" => Self::InputOutput,
            // Class 28: invalid authorization; 3D000: no such database; 57P03: it is starting.
            "3D000" | "57P03" => Self::Refused(message.to_owned()),
            code if code.starts_with("28") => Self::Refused(message.to_owned()),
            _ => Self::Other,
        }
    }

    /// What people are told.
    pub(crate) fn failure(&self) -> Failure {
        let unavailable =
            |zh: String, en: String| Failure::new(ReasonCode::DatabaseUnavailable, zh, en);
        match self {
            Self::DiskFull => unavailable(
                "服务的数据库无法写入：磁盘空间已满。".to_owned(),
                "The service's database cannot be written: its disk is full.".to_owned(),
            )
            .with_hint(
                "请管理员在基础目录（或 PostgreSQL 数据目录）所在的磁盘上释放空间，服务会自行恢复，无需重启。",
                "Ask the operator to free space on the disk of the base directory (or of PostgreSQL's data); the service then goes on by itself, without a restart.",
            ),
            Self::ReadOnly => unavailable(
                "服务的数据库无法写入：数据库文件、所在目录或文件系统是只读的。".to_owned(),
                "The service's database cannot be written: the file, its folder or its file system is read-only.".to_owned(),
            )
            .with_hint(
                "请管理员检查基础目录的挂载方式、所有者和权限。",
                "Ask the operator to check how the base directory is mounted, its owner and its permissions.",
            ),
            Self::Locked => unavailable(
                "服务的数据库被另一个进程锁定。".to_owned(),
                "Another process has locked the service's database.".to_owned(),
            )
            .with_hint(
                "请管理员用 fuser 或 lsof 查看谁打开了数据库文件，并结束该进程（例如未退出的 sqlite3 或备份脚本）。",
                "Ask the operator to find out with fuser or lsof who has the database file open, and to end that process (an sqlite3 left open, a backup script).",
            ),
            Self::Corrupt => unavailable(
                "服务的数据库文件已损坏。".to_owned(),
                "The service's database is damaged.".to_owned(),
            )
            .with_hint(
                "请管理员停止服务，把数据库文件移到一旁保存，检查磁盘，然后用 fastbuild restore 恢复最近的备份。",
                "Ask the operator to stop the service, to move the database file aside and keep it, to check the disk, and to restore the newest backup with fastbuild restore.",
            ),
            Self::InputOutput => unavailable(
                "系统无法读写服务的数据库文件。".to_owned(),
                "The system cannot read or write the service's database file.".to_owned(),
            )
            .with_hint(
                "请管理员检查磁盘（dmesg）和基础目录的挂载。",
                "Ask the operator to check the disk (dmesg) and how the base directory is mounted.",
            ),
            Self::Refused(said) => unavailable(
                format!("服务的数据库不接受连接：{said}。"),
                format!("The service's database takes no connection: {said}."),
            )
            .with_hint(
                "请管理员检查数据库服务器是否运行，以及 database_url 中的地址、账号和数据库名。",
                "Ask the operator to check that the database server runs, and the address, the account and the database's name in database_url.",
            ),
            Self::TooManyConnections(said) => unavailable(
                format!("服务的数据库没有空闲连接：{said}。"),
                format!("The service's database has no connection left: {said}."),
            )
            .with_hint(
                "请管理员调高 PostgreSQL 的 max_connections 或该账号的 CONNECTION LIMIT，或结束占用连接的其他程序；每个服务进程最多使用 17 个连接。",
                "Ask the operator to raise PostgreSQL's max_connections or the account's CONNECTION LIMIT, or to end other programs that hold connections; each process of the service uses at most 17.",
            ),
            Self::Other => unavailable(
                "服务的数据库没有应答或拒绝了操作。".to_owned(),
                "The service's database did not answer, or refused.".to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_of_sqlite_mean_what_their_primary_code_means() {
        for (code, fault) in [
            (13, Fault::DiskFull),
            // SQLITE_READONLY_DBMOVED, SQLITE_CANTOPEN
            (1032, Fault::ReadOnly),
            (14, Fault::ReadOnly),
            // SQLITE_BUSY_SNAPSHOT
            (517, Fault::Locked),
            // SQLITE_IOERR_WRITE
            (778, Fault::InputOutput),
            (26, Fault::Corrupt),
            // SQLITE_CONSTRAINT
            (19, Fault::Other),
        ] {
            assert_eq!(Fault::of_sqlite(code), fault, "{code}");
        }
    }

    #[test]
    fn refusals_of_a_server_keep_its_words() {
        let said = "too many connections for role \"fastbuild\"";
        let fault = Fault::of_postgres("53300", said);
        assert_eq!(fault, Fault::TooManyConnections(said.to_owned()));
        assert!(fault.failure().to_string().contains(said));
        assert_eq!(Fault::of_postgres("53100", ""), Fault::DiskFull);
        assert_eq!(Fault::of_postgres("23505", "duplicate"), Fault::Other);
    }
}
