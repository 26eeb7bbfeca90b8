//! The colours of versions. Nothing here is history.

use crate::domain::ids::{ServiceRef, VersionName};
use crate::domain::version_slots::VersionSlots;

use super::{Store, StoreError};

impl Store {
    /// The slots of every service. Rows that name none are left out.
    pub async fn slots(&self) -> Result<Vec<(ServiceRef, VersionSlots)>, StoreError> {
        let sql = "SELECT service, version, slot FROM version_slot ORDER BY service, slot";
        let rows: Vec<(String, String, u8)> = sqlx::query_as(sql).fetch_all(&self.inner.readers).await?;
        let mut all: Vec<(ServiceRef, Vec<(VersionName, u8)>)> = Vec::new();
        for (service, version, slot) in rows {
            let (Ok(service), Ok(version)) = (ServiceRef::parse_path(&service), VersionName::parse(&version))
            else {
                continue;
            };
            match all.last_mut().filter(|(last, _)| *last == service) {
                Some((_, slots)) => slots.push((version, slot)),
                None => all.push((service, vec![(version, slot)])),
            }
        }
        Ok(all.into_iter().map(|(service, slots)| (service, slots.into_iter().collect())).collect())
    }

    /// Keeps the slots of these services instead of what was kept of them.
    pub async fn keep_slots(&self, all: Vec<(ServiceRef, VersionSlots)>) -> Result<(), StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                for (service, slots) in &all {
                    let service = service.to_string();
                    sqlx::query("DELETE FROM version_slot WHERE service = ?1")
                        .bind(&service)
                        .execute(&mut *db)
                        .await?;
                    for (version, slot) in slots.iter() {
                        sqlx::query("INSERT INTO version_slot VALUES (?1, ?2, ?3)")
                            .bind(&service)
                            .bind(version.as_str())
                            .bind(slot)
                            .execute(&mut *db)
                            .await?;
                    }
                }
                Ok(())
            })
        })
        .await
    }
}
