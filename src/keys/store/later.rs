//! A record store for a server that starts before its database does.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::{Imported, RecordStore, StoreError};
use crate::content_key::Kid;
use crate::keys::{ContentId, KeyRecord};
use crate::secret::SecretText;

/// Time between two attempts to open the store.
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// A [`RecordStore`] that opens by itself as soon as it can; until then every call is [`StoreError::NotOpen`].
pub struct Later {
    opened: Arc<OnceLock<Box<dyn RecordStore>>>,
    opening: JoinHandle<()>,
}

impl Later {
    /// Opens the store at a URL, as [`super::open`] does. One that [may open later](StoreError::may_pass) is tried again and
    /// again; `failed` is told why, every time.
    ///
    /// # Errors
    /// [`StoreError`] if it won't open by itself.
    pub async fn open(
        url: SecretText,
        failed: impl Fn(&StoreError) + Send + 'static,
    ) -> Result<Box<dyn RecordStore>, StoreError> {
        match super::open(url.expose()).await {
            Err(error) if error.may_pass() => failed(&error),
            opened => return opened,
        }
        let opened = Arc::new(OnceLock::new());
        let opening = tokio::spawn({
            let opened = Arc::clone(&opened);
            async move {
                loop {
                    tokio::time::sleep(RETRY_EVERY).await;
                    match super::open(url.expose()).await {
                        Ok(store) => break drop(opened.set(store)),
                        Err(error) => failed(&error),
                    }
                }
            }
        });
        Ok(Box::new(Self { opened, opening }))
    }

    fn store(&self) -> Result<&dyn RecordStore, StoreError> {
        self.opened.get().map(|store| &**store).ok_or(StoreError::NotOpen)
    }
}

#[async_trait]
impl RecordStore for Later {
    async fn get(&self, content_id: &ContentId, kid: &Kid) -> Result<Option<KeyRecord>, StoreError> {
        self.store()?.get(content_id, kid).await
    }

    async fn list(&self, content_id: Option<&ContentId>) -> Result<Vec<KeyRecord>, StoreError> {
        self.store()?.list(content_id).await
    }

    async fn any(&self) -> Result<Option<KeyRecord>, StoreError> {
        self.store()?.any().await
    }

    async fn insert_or_get(&self, records: &[KeyRecord]) -> Result<Vec<KeyRecord>, StoreError> {
        self.store()?.insert_or_get(records).await
    }

    async fn replace(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        self.store()?.replace(records).await
    }

    async fn update_wraps(&self, old: &[KeyRecord], new: &[KeyRecord]) -> Result<(), StoreError> {
        self.store()?.update_wraps(old, new).await
    }

    async fn remove(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        self.store()?.remove(records).await
    }

    async fn import(&self, records: &[KeyRecord]) -> Result<Imported, StoreError> {
        self.store()?.import(records).await
    }

    async fn close(&self) {
        self.opening.abort();
        if let Ok(store) = self.store() {
            store.close().await;
        }
    }
}
