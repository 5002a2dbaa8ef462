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
