//! Entries of releases whose body says `applied` although their events say that something failed: earlier versions
//! wrote them so, and the history is append-only. `corrected` holds the result that they count as, so that a filter by
//! result finds them. Filled once, when a database of an earlier version is opened.

use futures::TryStreamExt;
use sqlx::{Connection, Row, SqliteConnection};

use crate::domain::audit::{Action, Ending, Entry, Filter};

use super::{StoreError, keys, row};

/// The filter under whose keys such rows are listed.
pub(super) fn listed_as(filter: &Filter) -> Filter {
    Filter {
        action: Some(Action::Release),
        ending: Some(Ending::Applied),
        // What failed is no routine event, whatever it was recorded as.
        changes_only: false,
        ..filter.clone()
    }
}

/// The result that an entry counts as, where its body says another one.
pub(super) fn of_entry(entry: &Entry) -> Option<Ending> {
    let recorded = entry.outcome.as_ref()?.ending;
    if entry.intent.action != Action::Release || recorded != Ending::Applied {
        return None;
    }
    let ending = entry.clone().settled().outcome?.ending;
    (ending != recorded).then_some(ending)
}

/// Fills the table, unless that was done.
pub(super) async fn fill(db: &mut SqliteConnection) -> Result<(), StoreError> {
    let done = sqlx::query("SELECT 1 FROM corrected_done").fetch_optional(&mut *db).await?;
    if done.is_some() {
        return Ok(());
    }
    let mut found = Vec::new();
    let keys = keys::of_filter(&listed_as(&Filter::default()));
    let mut rows = sqlx::query(
        "SELECT a.seq, a.body, i.body FROM json_each(?1) j
         CROSS JOIN listing l ON l.key = j.value
         CROSS JOIN audit a ON a.seq = l.seq
         LEFT JOIN audit i ON i.seq = a.intent",
    )
    .bind(keys::json(&keys))
    .fetch(&mut *db);
    while let Some(next) = rows.try_next().await? {
        let seq: i64 = next.try_get(0)?;
        let (own, before): (&str, Option<&str>) = (next.try_get(1)?, next.try_get(2)?);
        // A row that cannot be read is reported where it is listed.
        let Ok(own) = row::decode(seq, own) else { continue };
        let intent = match (own.intent, before) {
            (Some(intent), _) => Some(intent),
            (None, Some(before)) => row::decode(seq, before).ok().and_then(|body| body.intent),
            (None, None) => None,
        };
        let Some(intent) = intent else { continue };
        if let Some(ending) = of_entry(&Entry { id: seq, intent, outcome: own.outcome }) {
            found.push((seq, ending));
        }
    }
    drop(rows);
    let mut db = db.begin().await?;
    for (seq, ending) in found {
        let sql = "INSERT INTO corrected (seq, ending) VALUES (?1, ?2)";
        sqlx::query(sql).bind(seq).bind(ending.as_str()).execute(&mut *db).await?;
    }
    sqlx::query("INSERT INTO corrected_done (one) VALUES (1)").execute(&mut *db).await?;
    db.commit().await?;
    Ok(())
}
