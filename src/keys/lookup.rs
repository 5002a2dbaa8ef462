//! Content keys by what a player asks for: from the records of a store, or derived anew.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use super::store::{RecordStore, StoreError};
use super::{ContentId, KeyName, KeyRecord, KeyRing, Master, WrapError};
use crate::content_key::{ContentKey, Kid};

/// A key that was found is used again for this long without a look into the store, so whoever takes a record away waits no
/// longer than this for it to count. What was not found is looked up every time.
pub const CACHE_FOR: Duration = Duration::from_secs(5);

/// Keys that are kept at hand at most.
const CACHED_KEYS: usize = 10_000;

/// Which key of a content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Which {
    /// The one whose URI names the content alone.
    Primary,
    /// The one of this ID.
    Kid(Kid),
    /// The one of this name, such as an epoch's.
    Named(KeyName),
}

impl Which {
    /// The key's ID, where it is asked for by that.
    #[must_use]
    pub const fn kid(&self) -> Option<Kid> {
        match self {
            Self::Kid(kid) => Some(*kid),
            Self::Primary | Self::Named(_) => None,
        }
    }
}

/// A content key, its ID and name.
#[derive(Clone)]
pub struct FoundKey {
    /// The key's ID.
    pub kid: Kid,
    /// The key's name; the primary one has none.
    pub name: Option<KeyName>,
    /// The key.
    pub key: ContentKey,
}

/// A key can't be looked up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// There is none of that content, ID or name.
    #[error("no such key")]
    NotFound,
    /// The store can't be asked; it may be back in a moment.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record is there, and the keys at hand don't open it.
    #[error(transparent)]
    Wrap(#[from] WrapError),
}

/// Finds content keys. Clones share it.
#[derive(Clone)]
pub struct Lookup(Arc<Source>);

enum Source {
    Stored {
        ring: Arc<KeyRing>,
        store: Arc<dyn RecordStore>,
        cache: Cache<(ContentId, Which), Look>,
        looked: Box<dyn Fn(Duration) + Send + Sync>,
    },
    Derived(Arc<KeyRing>),
}

/// A look into the store.
#[derive(Clone)]
struct Look {
    began: Instant,
    found: Result<FoundKey, Arc<LookupError>>,
}

impl Look {
    fn is_good(&self) -> bool {
        self.found.is_ok() && self.began.elapsed() < CACHE_FOR
    }
}

impl Lookup {
    /// Finds keys that have a record in `store`, and no others. `looked` is told how long each look into it took.
    #[must_use]
    pub fn stored(
        ring: impl Into<Arc<KeyRing>>,
        store: Arc<dyn RecordStore>,
        looked: impl Fn(Duration) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Source::Stored {
            ring: ring.into(),
            store,
            cache: Cache::new(CACHED_KEYS),
            looked: Box::new(looked),
        }))
    }

    /// Derives a key for every content there could be, and needs no store.
    #[must_use]
    pub fn derived(ring: impl Into<Arc<KeyRing>>) -> Self {
        Self(Arc::new(Source::Derived(ring.into())))
    }

    /// A content's key.
    ///
    /// # Errors
    /// [`LookupError`] if there is no such key, the store can't be asked, or the record can't be opened. Those who ask at
    /// once wait for one look, and share what comes of it.
    pub async fn find(&self, content_id: &ContentId, which: Which) -> Result<FoundKey, Arc<LookupError>> {
        match &*self.0 {
            Source::Derived(ring) => derive(ring, content_id, &which).ok_or(Arc::new(LookupError::NotFound)),
            Source::Stored {
                ring,
                store,
                cache,
                looked,
            } => {
                let asked = (content_id.clone(), which);
                if let Some(look) = cache.get(&asked).filter(Look::is_good) {
                    return look.found;
                }
                cache.remove_if(&asked, |look| !look.is_good());
                let look = async {
                    let began = Instant::now();
                    let found = look(ring, &**store, content_id, &asked.1).await.map_err(Arc::new);
                    looked(began.elapsed());
                    Ok::<_, Infallible>(Look { began, found })
                };
                let Ok(look) = cache.get_or_insert_async(&asked, look).await;
                if look.found.is_err() {
                    // Kept for those alone who waited for it.
                    cache.remove_if(&asked, |look| look.found.is_err());
                }
                look.found
            }
        }
    }

    /// Whether keys can be found now: the store answers, and the keys at hand open one of its records, if it has any.
    ///
    /// # Errors
    /// [`LookupError`] if not.
    pub async fn check(&self) -> Result<(), LookupError> {
        if let Source::Stored { ring, store, .. } = &*self.0
            && let Some(record) = store.any().await?
        {
            ring.unwrap(&record)?;
        }
        Ok(())
    }

    /// Waits for what is under way and closes the store.
    pub async fn close(&self) {
        if let Source::Stored { store, .. } = &*self.0 {
            store.close().await;
        }
    }
}

async fn look(
    ring: &KeyRing,
    store: &dyn RecordStore,
    content_id: &ContentId,
    which: &Which,
) -> Result<FoundKey, LookupError> {
    let record = match which {
        Which::Kid(kid) => store.get(content_id, kid).await?,
        Which::Named(name) => {
            let records = store.list(Some(content_id)).await?;
            records
                .into_iter()
                .find(|record| record.key_name.as_ref() == Some(name))
        }
        Which::Primary => primary(store.list(Some(content_id)).await?),
    };
    let record = record.ok_or(LookupError::NotFound)?;
    let key = ring.unwrap(&record)?;
    Ok(FoundKey {
        kid: record.kid,
        name: record.key_name,
        key,
    })
}

/// The primary key's record, of those of one content.
///
/// A newer master's key has a URI of its own, with its ID, because the older one's is in playlists: those must never be given
/// the newer key, not even when the older one is retired.
fn primary(records: Vec<KeyRecord>) -> Option<KeyRecord> {
    let is_plain = |record: &KeyRecord| record.key_uri.ends_with(&format!("/key/{}", record.content_id));
    let mut records = records.into_iter();
    records.find(|record| record.key_name.is_none() && is_plain(record))
}

fn derive(ring: &KeyRing, content_id: &ContentId, which: &Which) -> Option<FoundKey> {
    let found = |master: &Master, name: Option<&KeyName>| FoundKey {
        kid: master.kid(content_id, name),
        name: name.cloned(),
        key: master.content_key(content_id, name),
    };
    match which {
        Which::Primary => Some(found(ring.primary(), None)),
        Which::Named(name) => Some(found(ring.primary(), Some(name))),
        Which::Kid(kid) => ring
            .masters()
            .find(|master| master.kid(content_id, None) == *kid)
            .map(|master| found(master, None)),
    }
}
