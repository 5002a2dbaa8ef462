//! Takes questions to webhooks over HTTP.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::redirect::Policy;
use reqwest::{Client, Url, header};

use super::address_ranges::AddressRanges;
use super::causes::chain;
use super::outbound::{Blocked, Guard};
use crate::access::webhook::{Message, Post, PostError};

/// The status is the answer. So much of the body is read, in bytes, for the sake of the connection, which is closed where there is
/// more.
const MAX_BODY_BYTES: usize = 4 << 10;

/// Connections to one host that are kept for the next question, and for how long.
const IDLE_CONNECTIONS: usize = 8;
const IDLE_TIME: Duration = Duration::from_secs(30);

/// The signatures of a [`Message`].
const SIGNATURE: &str = "x-vylux-signature";
const SIGNATURE_V2: &str = "x-vylux-signature-v2";

/// Webhooks over HTTP: where they may be, and connections to them.
pub struct HttpPost {
    with_tls: Guarded,
    without_tls: Guarded,
}

struct Guarded {
    guard: Guard,
    client: Client,
}

impl Guarded {
    fn new(guard: Guard) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .dns_resolver(Arc::new(guard.clone()))
            .redirect(Policy::none())
            // One of the environment would resolve names by itself, behind the guard.
            .no_proxy()
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_TIME)
            .user_agent(concat!("vylux-pack/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { guard, client })
    }
}

impl HttpPost {
    /// To webhooks at public addresses, and at `allowed` ones.
    ///
    /// # Errors
    /// The client can't be made.
    pub fn new(allowed: AddressRanges) -> Result<Self, reqwest::Error> {
        let allowed = Arc::new(allowed);
        Ok(Self {
            with_tls: Guarded::new(Guard::with_tls(Arc::clone(&allowed)))?,
            without_tls: Guarded::new(Guard::without_tls(allowed))?,
        })
    }
}

#[async_trait]
impl Post for HttpPost {
    async fn post(&self, url: &Url, message: &Message) -> Result<u16, PostError> {
        let Guarded { guard, client } = match url.scheme() {
            "https" => &self.with_tls,
            "http" => &self.without_tls,
            _ => return Err(PostError::Blocked(Blocked::Url.to_string())),
        };
        guard
            .check_url(url)
            .map_err(|blocked| PostError::Blocked(blocked.to_string()))?;
        let request = client
            .post(url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(SIGNATURE, &message.signature)
            .header(SIGNATURE_V2, &message.signature_v2)
            .body(message.body.clone());
        let mut response = request.send().await.map_err(failed)?;
        let mut read = 0;
        while read <= MAX_BODY_BYTES {
            match response.chunk().await.map_err(failed)? {
                Some(chunk) => read += chunk.len(),
                None => break,
            }
        }
        Ok(response.status().as_u16())
    }
}

/// Tells a blocked address from a host that can't be reached. The URL may hold a secret, so it is not shown.
fn failed(error: reqwest::Error) -> PostError {
    let error = error.without_url();
    let mut source: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(blocked) = cause.downcast_ref::<Blocked>() {
            return PostError::Blocked(blocked.to_string());
        }
        source = cause.source();
    }
    PostError::Network(chain(&error))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn message() -> Message {
        Message {
            body: b"{}".to_vec(),
            signature: "sha256=00".to_owned(),
            signature_v2: "t=1,v1=00".to_owned(),
        }
    }

    /// Answers each connection's requests with `answer`, and counts connections.
    async fn webhook(answer: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        if stream.write_all(&answer).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        (address, connections)
    }

    fn post() -> HttpPost {
        HttpPost::new(AddressRanges::parse("127.0.0.0/8").unwrap()).unwrap()
    }

    async fn ask(post: &HttpPost, url: &str) -> Result<u16, PostError> {
        post.post(&url.parse().unwrap(), &message()).await
    }

    fn answer(status: &str, body: &str) -> Vec<u8> {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    }

    #[tokio::test]
    async fn the_status_is_the_answer_and_the_connection_is_kept() {
        for (status, expected) in [
            ("200 OK", 200),
            ("204 No Content", 204),
            ("403 Forbidden", 403),
            ("500 Oops", 500),
        ] {
            let (address, connections) = webhook(answer(status, if expected == 204 { "" } else { "yes" })).await;
            let post = post();
            for _ in 0..3 {
                assert_eq!(
                    ask(&post, &format!("http://{address}/?secret=hunter2")).await,
                    Ok(expected)
                );
            }
            assert_eq!(connections.load(Ordering::SeqCst), 1, "{status}");
        }
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        let (elsewhere, connections) = webhook(answer("200 OK", "")).await;
        let moved = format!("HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n");
        let (address, _) = webhook(moved.into_bytes()).await;
        assert_eq!(ask(&post(), &format!("http://{address}/")).await, Ok(302));
        assert_eq!(connections.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_large_body_is_not_read() {
        let (address, connections) = webhook(answer("200 OK", &"x".repeat(10 << 20))).await;
        let post = post();
        for _ in 0..2 {
            assert_eq!(ask(&post, &format!("http://{address}/")).await, Ok(200));
        }
        // Nobody waits for the rest.
        assert_eq!(connections.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_told_from_what_is_blocked() {
        let (address, connections) = webhook(answer("200 OK", "")).await;
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let shut = HttpPost::new(AddressRanges::default()).unwrap();
        let port = address.port();
        for url in [
            format!("http://127.0.0.1:{port}/?hunter2"),
            format!("https://127.0.0.1:{port}/?hunter2"),
            format!("http://localhost:{port}/?hunter2"),
            format!("https://localhost:{port}/?hunter2"),
            format!("http://[::ffff:127.0.0.1]:{port}/?hunter2"),
            "http://1.1.1.1/?hunter2".to_owned(),
            "ftp://127.0.0.1/?hunter2".to_owned(),
            format!("https://hunter2@127.0.0.1:{port}/"),
        ] {
            let error = ask(&shut, &url).await.unwrap_err();
            assert!(matches!(error, PostError::Blocked(_)), "{url}: {error:?}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 0);
        for url in [
            format!("http://{nobody}/?hunter2"),
            // It does not speak TLS.
            format!("https://{address}/?hunter2"),
            "https://no-such-host.invalid/?hunter2".to_owned(),
        ] {
            let error = ask(&post(), &url).await.unwrap_err();
            assert!(matches!(error, PostError::Network(_)), "{url}: {error:?}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_off_or_no_answer_is_a_network_error() {
        for answer in [
            "",
            "HTTP/1.1 2",
            "SSH-2.0-x\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
            let error = ask(&post(), &format!("http://{address}/")).await.unwrap_err();
            assert!(matches!(error, PostError::Network(_)), "{answer}: {error:?}");
        }
    }
}
