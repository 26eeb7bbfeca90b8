//! Opening a database file safely: one owner, a SQLite without the known bug, the schema that this
//! program knows. `Store::open` calls it; nothing else does.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use sqlx::SqlSafeStr;
use sqlx::SqliteConnection;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::SqlitePool;

use super::StoreError;

/// The first SQLite whose write-ahead log does not lose rows when it is reset.
pub const LEAST_SQLITE: &str = "3.51.3";

const TABLE: &str = "_sqlx_migrations";

/// Refuses a SQLite older than [`LEAST_SQLITE`]; `version` is what `sqlite_version()` says.
pub fn check_sqlite(version: &str) -> Result<(), StoreError> {
    let parts = |text: &str| -> Option<[u32; 3]> {
        let mut numbers = text.split('.').map(str::parse::<u32>);
        let three = [numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?];
        Some(three)
    };
    if parts(version).is_some_and(|found| Some(found) >= parts(LEAST_SQLITE)) {
        Ok(())
    } else {
        Err(StoreError::OldSqlite { found: version.to_owned(), least: LEAST_SQLITE })
    }
}

/// `path` with something after its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Takes the file beside the database that says who owns it, until it is dropped (or the process ends).
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let lock_path = beside(path, ".lock");
    let failed = |source| StoreError::File { path: lock_path.clone(), source };
    let file = OpenOptions::new().create(true).append(true).open(&lock_path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Makes the file, readable by its owner only; SQLite gives its companions the same rights.
pub(super) fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut how = OpenOptions::new();
    how.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
    how.open(path).map(|_| ()).map_err(|source| StoreError::File { path: path.to_owned(), source })
}

/// Checks SQLite and brings the schema up to date.
pub(super) async fn prepare(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let mut db = writer.acquire().await?;
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut *db).await?;
    check_sqlite(&version)?;
    migrate(&mut db, path, known()).await?;
    super::corrected::fill(&mut db).await
}

fn known() -> Vec<Migration> {
    let file = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    vec![
        file(1, "history", include_str!("../../migrations/sqlite/0001_history.sql")),
        file(2, "doors", include_str!("../../migrations/sqlite/0002_doors.sql")),
        file(3, "releases", include_str!("../../migrations/sqlite/0003_releases.sql")),
        file(4, "receivers", include_str!("../../migrations/sqlite/0004_receivers.sql")),
        file(7, "sessions", include_str!("../../migrations/sqlite/0007_sessions.sql")),
        file(8, "probe", include_str!("../../migrations/sqlite/0008_probe.sql")),
        file(9, "routine", include_str!("../../migrations/sqlite/0009_routine.sql")),
        file(10, "slots", include_str!("../../migrations/sqlite/0010_slots.sql")),
        file(11, "release_place", include_str!("../../migrations/sqlite/0011_release_place.sql")),
        file(12, "corrected", include_str!("../../migrations/sqlite/0012_corrected.sql")),
    ]
}

/// Forward only, one transaction each, each locked by its checksum. A database that already holds data
/// is copied first.
async fn migrate(
    db: &mut SqliteConnection,
    path: &Path,
    migrations: Vec<Migration>,
) -> Result<(), StoreError> {
    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
    let failed = |error| match error {
        MigrateError::VersionMissing(found) if found > known => StoreError::NewerSchema { found, known },
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => {
            StoreError::AlteredMigration(version)
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            StoreError::Unavailable(error)
        }
        other => StoreError::Unavailable(sqlx::Error::Migrate(Box::new(other))),
    };
    db.ensure_migrations_table(TABLE).await.map_err(failed)?;
    let applied = db.list_applied_migrations(TABLE).await.map_err(failed)?;
    let newest = applied.iter().map(|migration| migration.version).max();
    if newest.is_some_and(|newest| newest < known) {
        let copy = beside(path, &format!(".before-schema-{known}"));
        if !copy.exists() {
            tracing::info!(copy = %copy.display(), "the schema is older: copying the database first");
            super::backup::copy_to(db, &copy).await?;
        }
    }
    Migrator::with_migrations(migrations).run_direct(None, db, false).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, SqliteConnection};

    use super::*;

    async fn database(path: &Path) -> SqliteConnection {
        create_private(path).unwrap();
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    #[tokio::test]
    async fn a_database_with_data_is_copied_before_its_schema_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.db");
        let mut db = database(&path).await;
        migrate(&mut db, &path, known()).await.unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no copy of an empty database");
        let mut newer = known();
        let sql = "CREATE TABLE later (x INTEGER) STRICT";
        newer.push(Migration::new(999, "later".into(), MigrationType::Simple, sql.into_sql_str(), false));
        migrate(&mut db, &path, newer.clone()).await.unwrap();
        let copy = beside(&path, ".before-schema-999");
        let mut old = database(&copy).await;
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('audit', 'later')";
        let count: i64 = sqlx::query_scalar(tables).fetch_one(&mut old).await.unwrap();
        assert_eq!(count, 1, "the copy is from before");
        migrate(&mut db, &path, newer).await.unwrap();
        let refused = migrate(&mut db, &path, known()).await;
        assert!(matches!(refused, Err(StoreError::NewerSchema { found: 999, .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn an_altered_migration_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.db");
        let mut db = database(&path).await;
        migrate(&mut db, &path, known()).await.unwrap();
        let mut altered = known();
        let sql = "CREATE TABLE session (x INTEGER) STRICT";
        altered[1] = Migration::new(2, "doors".into(), MigrationType::Simple, sql.into_sql_str(), false);
        let refused = migrate(&mut db, &path, altered).await;
        assert!(matches!(refused, Err(StoreError::AlteredMigration(2))), "{refused:?}");
    }
}
