//! Copies of the database while it is in use. A copy is one file without a log beside it, and is only
//! reported as made after its chain was verified.

use std::fs::File;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::verify::{self, Report};
use super::{Store, StoreError, schema};

impl Store {
    /// Copies the database to `to`, which must not exist, and verifies the copy. Neither readers nor the
    /// writer wait for it.
    pub async fn backup(&self, to: &Path) -> Result<Report, StoreError> {
        let options = SqliteConnectOptions::new().filename(&self.inner.path).disable_statement_logging();
        let mut db = options.connect().await?;
        let copied = copy_to(&mut db, to).await;
        db.close().await?;
        copied?;
        verify::verify(to, None).await
    }
}

/// Copies under another name first, so that a file called `to` is always whole, and waits for the disk.
pub(super) async fn copy_to(db: &mut SqliteConnection, to: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::File { path: to.to_owned(), source };
    if to.exists() {
        return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
    }
    let part = schema::beside(to, ".part");
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => schema::create_private(&part)?,
    }
    sqlx::query("VACUUM INTO ?1").bind(part.to_string_lossy().into_owned()).execute(db).await?;
    let durable = || -> std::io::Result<()> {
        File::open(&part)?.sync_all()?;
        std::fs::rename(&part, to)?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf))?.sync_all()
    };
    durable().map_err(failed)
}
