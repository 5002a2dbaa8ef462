//! How many questions a host is asked at once, and whether it is asked at all: a cap and a circuit breaker.
//!
//! ```text
//! closed -- FAILURES_TO_OPEN failures in a row --> open -- OPEN_TIME --> one trial -- well --> closed
//!                                                    ^------------- failed -------'
//! ```

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::access::DenyReason;

/// A host is asked so many questions at once; who comes on top is turned away and does not wait.
pub const MAX_IN_FLIGHT: usize = 32;

/// So many failures in a row open a host's circuit.
pub const FAILURES_TO_OPEN: u32 = 5;

/// An open circuit lets nothing through for this long, and then one question on trial.
pub const OPEN_TIME: Duration = Duration::from_secs(10);

/// So many hosts are known at once: those that are asked right now, or that failed last.
pub const MAX_HOSTS: usize = 1024;

/// How a host did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It answered.
    Well,
    /// It did not, or with an error of its own.
    Failed,
    /// Nothing was learned: it was not asked, or whoever asked went away.
    Unknown,
}

/// What is known of hosts, each by its name and port.
#[derive(Default)]
pub(super) struct Hosts(Mutex<HashMap<String, Host>>);

#[derive(Default)]
struct Host {
    in_flight: usize,
    /// In a row, up to now.
    failures: u32,
    last_failure: Option<Instant>,
    /// Until when the circuit is open; the time may be over. `None` is closed.
    open_until: Option<Instant>,
    /// Whether the trial of an open circuit is under way.
    on_trial: bool,
}

/// A question to a host that is under way. Dropped without an end, nothing was learned from it.
pub(super) struct Visit<'a> {
    hosts: &'a Hosts,
    host: String,
    trial: bool,
    ended: bool,
}

impl Hosts {
    /// Lets a question to `host` through at `now`, or says why not.
    pub(super) fn enter(&self, host: &str, now: Instant) -> Result<Visit<'_>, DenyReason> {
        let mut hosts = self.lock();
        if !hosts.contains_key(host) && hosts.len() >= MAX_HOSTS && !forget_one(&mut hosts) {
            return Err(DenyReason::WebhookOverloaded);
        }
        let known = hosts.entry(host.to_owned()).or_default();
        let trial = known.open_until.is_some();
        if known.on_trial || known.open_until.is_some_and(|until| now < until) {
            return Err(DenyReason::WebhookCircuitOpen);
        }
        if known.in_flight >= MAX_IN_FLIGHT {
            return Err(DenyReason::WebhookOverloaded);
        }
        known.in_flight += 1;
        known.on_trial = trial;
        Ok(Visit {
            hosts: self,
            host: host.to_owned(),
            trial,
            ended: false,
        })
    }

    fn leave(&self, visit: &Visit<'_>, health: Health, now: Instant) {
        let mut hosts = self.lock();
        // A host is never forgotten while it is asked.
        let Some(host) = hosts.get_mut(&visit.host) else { return };
        host.in_flight -= 1;
        if visit.trial {
            host.on_trial = false;
        }
        // What was under way when the circuit opened says nothing new: the trial decides.
        if visit.trial || host.open_until.is_none() {
            host.learn(health, now);
        }
        if host.in_flight == 0 && host.failures == 0 {
            hosts.remove(&visit.host);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    fn learn(&mut self, health: Health, now: Instant) {
        match health {
            Health::Well => {
                self.failures = 0;
                self.open_until = None;
            }
            Health::Failed => {
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some(now);
                if self.failures >= FAILURES_TO_OPEN {
                    self.open_until = Some(now + OPEN_TIME);
                }
            }
            Health::Unknown => {}
        }
    }
}

/// Forgets the host that failed longest ago and is not asked now; false if all are.
fn forget_one(hosts: &mut HashMap<String, Host>) -> bool {
    let idle = hosts.iter().filter(|(_, host)| host.in_flight == 0);
    let oldest = idle.min_by_key(|(_, host)| host.last_failure);
    let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
        return false;
    };
    hosts.remove(&oldest).is_some()
}

impl Visit<'_> {
    /// Ends the question at `now`, with what it told of the host.
    pub(super) fn end(mut self, health: Health, now: Instant) {
        self.ended = true;
        self.hosts.leave(&self, health, now);
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.hosts.leave(self, Health::Unknown, Instant::now());
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const HOST: &str = "hook.example.com:443";

    /// Asks once.
    fn ask(hosts: &Hosts, now: Instant, health: Health) -> Result<(), DenyReason> {
        hosts.enter(HOST, now).map(|visit| visit.end(health, now))
    }

    fn open(hosts: &Hosts, now: Instant) {
        for _ in 0..FAILURES_TO_OPEN {
            ask(hosts, now, Health::Failed).unwrap();
        }
    }

    #[test]
    fn failures_in_a_row_open_and_one_trial_closes() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        open(&hosts, start);
        let almost = start + OPEN_TIME.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(ask(&hosts, start, Health::Well), Err(DenyReason::WebhookCircuitOpen));
        assert_eq!(ask(&hosts, almost, Health::Well), Err(DenyReason::WebhookCircuitOpen));
        let later = start + OPEN_TIME;
        let trial = hosts.enter(HOST, later).unwrap();
        assert_eq!(ask(&hosts, later, Health::Well), Err(DenyReason::WebhookCircuitOpen));
        trial.end(Health::Well, later);
        assert_eq!(ask(&hosts, later, Health::Failed), Ok(()));
        assert_eq!(ask(&hosts, later, Health::Well), Ok(()), "counting starts anew");
    }

    #[test]
    fn a_failed_trial_opens_again() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        open(&hosts, start);
        let later = start + OPEN_TIME;
        ask(&hosts, later, Health::Failed).unwrap();
        assert_eq!(ask(&hosts, later, Health::Well), Err(DenyReason::WebhookCircuitOpen));
        assert_eq!(ask(&hosts, later + OPEN_TIME, Health::Well), Ok(()));
    }

    #[test]
    fn a_trial_that_is_given_up_leaves_its_place_to_the_next() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        open(&hosts, start);
        let later = start + OPEN_TIME;
        drop(hosts.enter(HOST, later).unwrap());
        assert_eq!(ask(&hosts, later, Health::Well), Ok(()));
    }

    #[test]
    fn failures_that_are_not_in_a_row_open_nothing() {
        let (hosts, now) = (Hosts::default(), Instant::now());
        for _ in 0..FAILURES_TO_OPEN {
            for _ in 1..FAILURES_TO_OPEN {
                ask(&hosts, now, Health::Failed).unwrap();
                ask(&hosts, now, Health::Unknown).unwrap();
            }
            ask(&hosts, now, Health::Well).unwrap();
        }
    }

    #[test]
    fn what_was_under_way_does_not_speak_for_the_trial() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        let early = [hosts.enter(HOST, start).unwrap(), hosts.enter(HOST, start).unwrap()];
        open(&hosts, start);
        let later = start + OPEN_TIME;
        for (visit, health) in early.into_iter().zip([Health::Well, Health::Failed]) {
            visit.end(health, later);
        }
        assert_eq!(ask(&hosts, start, Health::Well), Err(DenyReason::WebhookCircuitOpen));
        assert_eq!(ask(&hosts, later, Health::Well), Ok(()));
    }

    #[test]
    fn a_host_is_asked_so_many_questions_at_once() {
        let (hosts, now) = (Hosts::default(), Instant::now());
        let mut visits: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| hosts.enter(HOST, now).unwrap()).collect();
        assert_eq!(ask(&hosts, now, Health::Well), Err(DenyReason::WebhookOverloaded));
        assert!(
            hosts.enter("hook.example.com:8443", now).is_ok(),
            "another port is another host"
        );
        drop(visits.pop());
        assert_eq!(ask(&hosts, now, Health::Well), Ok(()));
    }

    #[test]
    fn hosts_that_do_well_are_forgotten() {
        let (hosts, now) = (Hosts::default(), Instant::now());
        for n in 0..MAX_HOSTS {
            hosts.enter(&n.to_string(), now).unwrap().end(Health::Well, now);
        }
        assert_eq!(hosts.lock().len(), 0);
    }

    #[test]
    fn no_more_hosts_than_that_are_known() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        open(&hosts, start);
        for n in 0..MAX_HOSTS - 1 {
            let later = start + Duration::from_millis(1);
            hosts.enter(&n.to_string(), later).unwrap().end(Health::Failed, later);
        }
        assert_eq!(hosts.lock().len(), MAX_HOSTS);
        drop(hosts.enter("another", start).unwrap());
        assert_eq!(hosts.lock().len(), MAX_HOSTS - 1, "the oldest failure went");
        assert!(hosts.enter(HOST, start).is_ok());
    }

    #[test]
    fn hosts_that_are_asked_are_not_forgotten() {
        let (hosts, now) = (Hosts::default(), Instant::now());
        let visits: Vec<_> = (0..MAX_HOSTS)
            .map(|n| hosts.enter(&n.to_string(), now).unwrap())
            .collect();
        assert_eq!(ask(&hosts, now, Health::Well), Err(DenyReason::WebhookOverloaded));
        drop(visits);
        assert_eq!(ask(&hosts, now, Health::Well), Ok(()));
    }
}
