//! Asking, by a `Post` that answers as it is told.

use std::future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use super::*;

type Told = Option<Result<u16, PostError>>;

/// Answers as told; `None` never answers.
struct Script {
    told: Mutex<Told>,
    posts: AtomicUsize,
}

#[async_trait]
impl Post for Arc<Script> {
    async fn post(&self, _: &Url, _: &Message) -> Result<u16, PostError> {
        self.posts.fetch_add(1, Ordering::SeqCst);
        let told = self.told.lock().unwrap().clone();
        match told {
            Some(outcome) => outcome,
            None => future::pending().await,
        }
    }
}

fn webhooks(told: Told) -> (Webhooks, Arc<Script>) {
    let (told, posts) = (Mutex::new(told), AtomicUsize::new(0));
    let script = Arc::new(Script { told, posts });
    (Webhooks::new(Box::new(Arc::clone(&script)), MAX_TIMEOUT), script)
}

fn webhook(url: Option<&str>, timeout: Duration) -> Webhook {
    let url = url.map(|url| url.parse().unwrap());
    Webhook::new(url, SecretText::from("secret".to_owned()), Some(timeout))
}

const URL: Option<&str> = Some("https://hook.example.com/ask");

async fn ask(webhooks: &Webhooks, url: Option<&str>) -> Answer {
    ask_within(webhooks, url, Duration::from_millis(20)).await
}

async fn ask_within(webhooks: &Webhooks, url: Option<&str>, timeout: Duration) -> Answer {
    let content_id = "film-1".parse().unwrap();
    let question = Question {
        content_id: &content_id,
        kid: None,
        viewer_ip: "192.0.2.7".parse().unwrap(),
        request_url: "/api/key/film-1",
        viewer_token: None,
        request_id: "0191-a",
        timestamp: Timestamp::now(),
    };
    webhooks.ask(&webhook(url, timeout), &question, webhooks.until()).await
}

#[tokio::test]
async fn only_200_allows() {
    for status in 100..600 {
        let (webhooks, _) = webhooks(Some(Ok(status)));
        let answer = ask(&webhooks, URL).await;
        let expected = match status {
            200 => Ok(()),
            403 => Err(DenyReason::WebhookDeny403),
            _ => Err(DenyReason::WebhookErrorStatus),
        };
        assert_eq!((answer.verdict, answer.status), (expected, Some(status)));
    }
}

#[tokio::test]
async fn what_goes_wrong_denies() {
    let blocked = PostError::Blocked("10.0.0.1 is private".to_owned());
    let network = PostError::Network("refused".to_owned());
    for (told, reason, cause) in [
        (
            Some(Err(blocked)),
            DenyReason::WebhookBlockedSsrf,
            Some("10.0.0.1 is private"),
        ),
        (Some(Err(network)), DenyReason::WebhookNetwork, Some("refused")),
        (None, DenyReason::WebhookTimeout, None),
    ] {
        let is_timeout = told.is_none();
        let (webhooks, _) = webhooks(told);
        let answer = ask(&webhooks, URL).await;
        assert_eq!(answer.verdict, Err(reason));
        assert_eq!(answer.status, None);
        assert_eq!(answer.cause.as_deref(), cause);
        assert_eq!(is_timeout, answer.latency >= Duration::from_millis(20));
    }
}

#[tokio::test]
async fn without_a_url_nothing_is_asked() {
    let (webhooks, script) = webhooks(Some(Ok(200)));
    assert_eq!(ask(&webhooks, None).await.verdict, Err(DenyReason::WebhookNoUrl));
    assert_eq!(script.posts.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_host_that_fails_is_left_alone() {
    for told in [Some(Ok(503)), Some(Err(PostError::Network(String::new()))), None] {
        let (webhooks, script) = webhooks(told);
        for _ in 0..FAILURES_TO_OPEN {
            ask(&webhooks, URL).await;
        }
        let answer = ask(&webhooks, Some("https://HOOK.example.com:443/other")).await;
        assert_eq!(answer.verdict, Err(DenyReason::WebhookCircuitOpen));
        assert_eq!(script.posts.load(Ordering::SeqCst), FAILURES_TO_OPEN as usize);
        ask(&webhooks, Some("https://hook.example.com:8443/ask")).await;
        assert_eq!(script.posts.load(Ordering::SeqCst), FAILURES_TO_OPEN as usize + 1);
    }
}

#[tokio::test]
async fn a_no_and_what_is_blocked_are_no_failures() {
    for told in [Ok(403), Ok(404), Ok(302), Err(PostError::Blocked(String::new()))] {
        let (webhooks, script) = webhooks(Some(told));
        for _ in 0..=FAILURES_TO_OPEN {
            ask(&webhooks, URL).await;
        }
        assert_eq!(script.posts.load(Ordering::SeqCst), FAILURES_TO_OPEN as usize + 1);
    }
}

#[tokio::test]
async fn who_goes_away_makes_room() {
    let (webhooks, script) = webhooks(None);
    let ask_long = || Box::pin(ask_within(&webhooks, URL, MAX_TIMEOUT));
    let mut asking: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| ask_long()).collect();
    for one in &mut asking {
        let gone = timeout(Duration::ZERO, one).await;
        assert!(gone.is_err());
    }
    assert_eq!(ask(&webhooks, URL).await.verdict, Err(DenyReason::WebhookOverloaded));
    drop(asking);
    *script.told.lock().unwrap() = Some(Ok(200));
    assert_eq!(ask(&webhooks, URL).await.verdict, Ok(()));
}

#[tokio::test]
async fn none_has_longer_than_whoever_waits() {
    let (told, posts) = (Mutex::new(None), AtomicUsize::new(0));
    let script = Arc::new(Script { told, posts });
    let webhooks = Webhooks::new(Box::new(script), Duration::from_millis(20));
    let answer = ask_within(&webhooks, URL, MAX_TIMEOUT).await;
    assert_eq!(answer.verdict, Err(DenyReason::WebhookTimeout));
    assert!(answer.latency < MAX_TIMEOUT / 2);
}

#[test]
fn a_timeout_has_its_cap() {
    let webhook = |timeout| Webhook::new(None, SecretText::from(String::new()), timeout).timeout;
    assert_eq!(webhook(None), DEFAULT_TIMEOUT);
    assert_eq!(webhook(Some(Duration::from_secs(1))), Duration::from_secs(1));
    assert_eq!(webhook(Some(Duration::from_hours(1))), MAX_TIMEOUT);
}
