//! Reads that are never older than the question, and that many who ask at once share.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Reads values by key. Whoever asks gets what a read found that began after they asked; those who ask while one is under way
/// share the next. So nothing that was changed before a question is answered by what was there before, and a value that a thousand
/// ask for at once is read twice.
///
/// Each thread has reads of its own: those who share one run where it ends, and no other thread has to be woken up for them, which
/// costs more than a read.
pub struct Fresh<K: Key, V: Clone>([Arc<Queues<K, V>>; SHARDS]);

/// Reads of more threads than this are shared by some of them.
const SHARDS: usize = 32;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Which reads are this thread's.
    static SHARD: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

/// Of each key whose read is under way, those who wait for the next.
type Queues<K, V> = Mutex<HashMap<K, Vec<Waiting<K, V>>>>;

/// Somebody who waits.
type Waiting<K, V> = oneshot::Sender<Turn<K, V>>;

/// What somebody who waits is told.
enum Turn<K: Key, V: Clone> {
    /// What a read found.
    Found(V),
    /// To read, for the others too.
    Read(Reading<K, V>),
}

/// What values are read by.
pub trait Key: Hash + Eq + Clone {}

impl<K: Hash + Eq + Clone> Key for K {}

impl<K: Key, V: Clone> Default for Fresh<K, V> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Arc::default()))
    }
}

impl<K: Key, V: Clone> Fresh<K, V> {
    /// The value of `key`, which `read` reads unless somebody else does by then.
    pub async fn get(&self, key: &K, read: impl Future<Output = V>) -> V {
        let mut reading = match self.enter(key) {
            Ok(reading) => reading,
            Err(turn) => match turn.await {
                Ok(Turn::Found(value)) => return value,
                Ok(Turn::Read(reading)) => reading,
                // A read always ends in one of these two, whoever gives it up.
                Err(_) => return read.await,
            },
        };
        let value = read.await;
        for other in std::mem::take(&mut reading.others) {
            // Who no longer waits needs no answer.
            let _ = other.send(Turn::Found(value.clone()));
        }
        value
    }

    /// Begins a read; or where one is under way, queues for the next.
    fn enter(&self, key: &K) -> Result<Reading<K, V>, oneshot::Receiver<Turn<K, V>>> {
        let queues = self.0.get(SHARD.with(|shard| *shard)).unwrap_or(&self.0[0]);
        match lock(queues).entry(key.clone()) {
            Entry::Occupied(mut queue) => {
                let (sender, turn) = oneshot::channel();
                queue.get_mut().push(sender);
                Err(turn)
            }
            Entry::Vacant(place) => {
                place.insert(Vec::new());
                Ok(Reading {
                    queues: Some(Arc::clone(queues)),
                    key: key.clone(),
                    others: Vec::new(),
                })
            }
        }
    }
}

fn lock<K: Key, V: Clone>(queues: &Queues<K, V>) -> MutexGuard<'_, HashMap<K, Vec<Waiting<K, V>>>> {
    // Nothing panics while it is held.
    queues.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A read that is under way, until this is dropped.
struct Reading<K: Key, V: Clone> {
    /// `None` once it has been handed on.
    queues: Option<Arc<Queues<K, V>>>,
    key: K,
    /// Those who share it.
    others: Vec<Waiting<K, V>>,
}

impl<K: Key, V: Clone> Drop for Reading<K, V> {
    /// Has one of those who wait read for all of them: those of the next read, and those of this one if it was given up.
    fn drop(&mut self) {
        let Some(queues) = self.queues.take() else { return };
        let mut queue = lock(&queues);
        let mut others = std::mem::take(&mut self.others);
        if let Some(waiting) = queue.get_mut(&self.key) {
            others.append(waiting);
        }
        while let Some(next) = others.pop() {
            let reading = Self {
                queues: Some(Arc::clone(&queues)),
                key: self.key.clone(),
                others,
            };
            match next.send(Turn::Read(reading)) {
                Err(Turn::Read(mut refused)) => {
                    refused.queues = None;
                    others = std::mem::take(&mut refused.others);
                }
                _ => return,
            }
        }
        queue.remove(&self.key);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    /// Whoever asks gets what was there at that time or later, and a thousand who ask at once are few reads.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_answer_is_older_than_its_question() {
        let fresh = Arc::new(Fresh::<u8, usize>::default());
        let (now, reads) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..1000)
            .map(|task: u64| {
                let (fresh, now, reads) = (Arc::clone(&fresh), Arc::clone(&now), Arc::clone(&reads));
                tokio::spawn(async move {
                    sleep(Duration::from_millis(task % 40)).await;
                    let asked = now.fetch_add(1, Ordering::SeqCst) + 1;
                    let found = fresh.get(&1, async {
                        reads.fetch_add(1, Ordering::SeqCst);
                        let found = now.load(Ordering::SeqCst);
                        sleep(Duration::from_millis(3)).await;
                        found
                    });
                    assert!(found.await >= asked);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let reads = reads.load(Ordering::SeqCst);
        assert!(reads < 200, "{reads} reads");
        assert!(fresh.0.iter().all(|queues| lock(queues).is_empty()));
    }

    /// Whoever gives up, in the middle of a read or before, leaves nobody waiting.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn those_who_give_up_leave_nobody_waiting() {
        let fresh = Arc::new(Fresh::<u8, u64>::default());
        let tasks: Vec<_> = (0..2000)
            .map(|task: u64| {
                let fresh = Arc::clone(&fresh);
                tokio::spawn(async move {
                    let read = fresh.get(&1, async {
                        sleep(Duration::from_micros(500)).await;
                        task
                    });
                    let patience = if task.is_multiple_of(3) {
                        10_000_000
                    } else {
                        task % 7 * 300
                    };
                    let found = timeout(Duration::from_micros(patience), read).await;
                    assert!(found.is_ok() || !task.is_multiple_of(3), "{task} waits for ever");
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(fresh.0.iter().all(|queues| lock(queues).is_empty()));
    }
}
