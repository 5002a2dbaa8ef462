//! Threads that take the next of one list of tasks: files are read about in order, and a worker owns its memory for the
//! whole run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Works on `tasks` by `jobs` threads, at least one, and hands each outcome to `done` with the index of its task, as they end.
///
/// Tasks are begun in order. None is begun once `is_stopped` says so, which is no error here.
///
/// # Errors
/// The first of any task; none is begun after it.
pub fn run<T: Sync, W: Default, R, E: Send>(
    tasks: &[T],
    jobs: usize,
    is_stopped: impl Fn() -> bool + Sync,
    work: impl Fn(&mut W, &T) -> Result<R, E> + Sync,
    done: impl FnMut(usize, R) + Send,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new((done, None));
    let run = || {
        let mut worker = W::default();
        while !is_stopped() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(index) else { break };
            let outcome = work(&mut worker, task);
            let mut outcomes = outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match outcome {
                Ok(result) => (outcomes.0)(index, result),
                Err(error) => {
                    next.store(tasks.len(), Ordering::Relaxed);
                    outcomes.1.get_or_insert(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..jobs.clamp(1, tasks.len().max(1)) {
            scope.spawn(run);
        }
        run();
    });
    let (_, error) = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    error.map_or(Ok(()), Err)
}
