//! A store for a server that starts before its database does.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::database::{Database, SqlStore, Transaction, Work};
use super::{Store, StoreError, connect};
use crate::secret::SecretText;

/// Time between two attempts to open the store.
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// A database that opens by itself as soon as it can; until then every call is [`StoreError::NotOpen`].
pub struct Later {
    opened: Arc<OnceLock<Box<dyn Database>>>,
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
    ) -> Result<Arc<dyn Store>, StoreError> {
        let database = match connect(url.expose()).await {
            Err(error) if error.may_pass() => {
                failed(&error);
                Box::new(Self::retry(url, failed))
            }
            opened => opened?,
        };
        Ok(Arc::new(SqlStore(database)))
    }

    fn retry(url: SecretText, failed: impl Fn(&StoreError) + Send + 'static) -> Self {
        let opened = Arc::new(OnceLock::new());
        let opening = tokio::spawn({
            let opened = Arc::clone(&opened);
            async move {
                loop {
                    tokio::time::sleep(RETRY_EVERY).await;
                    match connect(url.expose()).await {
                        Ok(database) => break drop(opened.set(database)),
                        Err(error) => failed(&error),
                    }
                }
            }
        });
        Self { opened, opening }
    }
}

#[async_trait]
impl Database for Later {
    async fn begin(&self, work: Work) -> Result<Box<dyn Transaction>, StoreError> {
        self.opened.get().ok_or(StoreError::NotOpen)?.begin(work).await
    }

    async fn close(&self) {
        self.opening.abort();
        if let Some(database) = self.opened.get() {
            database.close().await;
        }
    }
}
