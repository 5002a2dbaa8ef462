//! A store for code that isn't async.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use super::{Imported, RecordStore, Store, StoreError};
use crate::content_key::Kid;
use crate::keys::{ContentId, KeyRecord};

/// A [`Store`] whose calls wait. It closes the store when dropped.
///
/// It must not be used inside an async runtime.
pub struct Blocking {
    runtime: Runtime,
    store: Arc<dyn Store>,
}

#[expect(
    clippy::missing_errors_doc,
    reason = "every method's errors are those of the trait's"
)]
impl Blocking {
    /// Opens a store, as [`super::open`] does.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StoreError::Runtime)?;
        let store = runtime.block_on(super::open(url))?;
        Ok(Self { runtime, store })
    }

    /// Waits for a call: `store.wait(|store| store.policy(&content_id))`.
    pub fn wait<'a, T, F: Future<Output = T>>(&'a self, call: impl FnOnce(&'a dyn Store) -> F) -> T {
        self.runtime.block_on(call(&*self.store))
    }

    /// See [`RecordStore::get`].
    pub fn get(&self, content_id: &ContentId, kid: &Kid) -> Result<Option<KeyRecord>, StoreError> {
        self.wait(|store| store.get(content_id, kid))
    }

    /// See [`RecordStore::list`].
    pub fn list(&self, content_id: Option<&ContentId>) -> Result<Vec<KeyRecord>, StoreError> {
        self.wait(|store| store.list(content_id))
    }

    /// See [`RecordStore::insert_or_get`].
    pub fn insert_or_get(&self, records: &[KeyRecord]) -> Result<Vec<KeyRecord>, StoreError> {
        self.wait(|store| store.insert_or_get(records))
    }

    /// See [`RecordStore::replace`].
    pub fn replace(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        self.wait(|store| store.replace(records))
    }

    /// See [`RecordStore::update_wraps`].
    pub fn update_wraps(&self, old: &[KeyRecord], new: &[KeyRecord]) -> Result<(), StoreError> {
        self.wait(|store| store.update_wraps(old, new))
    }

    /// See [`RecordStore::remove`].
    pub fn remove(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        self.wait(|store| store.remove(records))
    }

    /// See [`RecordStore::import`].
    pub fn import(&self, records: &[KeyRecord]) -> Result<Imported, StoreError> {
        self.wait(|store| store.import(records))
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.wait(RecordStore::close);
    }
}
