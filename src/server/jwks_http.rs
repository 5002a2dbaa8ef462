//! Fetches a JSON Web Key Set over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use tracing::{info, warn};

use super::causes::chain;
use crate::access::jwks::Fetch;

/// A key set that takes longer is not there.
const TIMEOUT: Duration = Duration::from_secs(5);

/// No key set is larger, in bytes.
const MAX_BYTES: usize = 256 << 10;

/// A key set at a URL.
pub struct JwksUrl {
    url: reqwest::Url,
    client: reqwest::Client,
}

impl JwksUrl {
    /// The key set at `url`.
    ///
    /// # Errors
    /// The client can't be made.
    pub fn new(url: reqwest::Url) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { url, client })
    }
}

#[async_trait]
impl Fetch for JwksUrl {
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        // The URL may hold a password, so errors are shown without it.
        let failed = |error: reqwest::Error| chain(&error.without_url());
        let mut response = self.client.get(self.url.clone()).send().await.map_err(failed)?;
        // Redirects are not followed, and what stands beside one is no key set.
        if !response.status().is_success() {
            return Err(format!("the answer is {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BYTES {
                return Err(format!("a key set of more than {MAX_BYTES} bytes"));
            }
        }
        Ok(body)
    }

    fn done(&self, outcome: Result<usize, &str>) {
        match outcome {
            Ok(keys) => info!(keys, "key set fetched"),
            Err(cause) => warn!(cause, "key set can't be fetched; the one at hand stays in use"),
        }
    }
}
