//! Policies of contents, as the store has them now, and what they ask for.

use std::collections::HashMap;
use std::error::Error;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use url::Url;

use super::fresh::Fresh;
use super::policy::{JwtPolicy, Policy, WEBHOOK_SECRET, WebhookPolicy, jwt};
use super::webhook::{self, Webhook, Webhooks};
use super::{Asking, Authenticated, DenyReason, Grounds, KnownKey};
use crate::content_key::Kid;
use crate::keys::lookup::{Lookup, LookupError, Which};
use crate::keys::store::{SigningKey, Store, StoreError};
use crate::keys::{ContentId, KeyRing, WrappedText};

/// Decides by the policies of a store. Clones share it.
///
/// Nothing of the store is kept for the next decision: a policy that is changed, or a key that is revoked, counts from the next
/// request on.
#[derive(Clone)]
pub struct Policies(Arc<Inner>);

/// A webhook is asked so many questions at once for one request.
const QUESTIONS_AT_ONCE: usize = 4;

/// What a read of the store comes to.
type Read<T> = Result<T, Arc<StoreError>>;

struct Inner {
    store: Arc<dyn Store>,
    ring: Arc<KeyRing>,
    content_keys: Lookup,
    webhooks: Webhooks,
    policies: Fresh<ContentId, Read<Result<Arc<Policy>, DenyReason>>>,
    keys: Fresh<(), Read<Arc<[KnownKey]>>>,
    /// Signing keys as they were read last, with what was made of them: reading PEM costs more than the comparison.
    known: Mutex<(Vec<SigningKey>, Arc<[KnownKey]>)>,
    /// When signing keys were used, by their IDs, as far as the store is not told yet.
    used: Mutex<HashMap<String, Timestamp>>,
}

impl Policies {
    /// Decides by the policies and signing keys of `store`. `ring` opens webhooks' secrets, which are told the IDs of
    /// `content_keys`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, ring: Arc<KeyRing>, content_keys: Lookup, webhooks: Webhooks) -> Self {
        Self(Arc::new(Inner {
            store,
            ring,
            content_keys,
            webhooks,
            policies: Fresh::default(),
            keys: Fresh::default(),
            known: Mutex::new((Vec::new(), Arc::new([]))),
            used: Mutex::default(),
        }))
    }

    /// The policy of a content: what nobody gave one asks for a token.
    pub(super) async fn of(&self, content_id: &ContentId, grounds: &mut Grounds) -> Result<Arc<Policy>, DenyReason> {
        let Inner { store, policies, .. } = &*self.0;
        let read = async {
            let record = store.policy(content_id).await.map_err(Arc::new)?;
            let policy = record.map_or(Ok(Policy::Token), |record| Policy::parse(&record.policy));
            Ok(policy.map(Arc::new))
        };
        let policy = policies.get(content_id, read).await;
        policy.map_err(|cause| failed(cause, grounds))?
    }

    /// Asks for a JWT of a signing key.
    pub(super) async fn by_jwt(
        &self,
        policy: &JwtPolicy,
        asking: &Asking<'_>,
        grounds: &mut Grounds,
    ) -> Result<Authenticated, DenyReason> {
        let token = asking.token?;
        let keys = self.0.keys.get(&(), self.0.read_keys()).await;
        let keys = keys.map_err(|cause| failed(cause, grounds))?;
        match jwt::verify(token, &keys, policy, asking.question) {
            Ok(verified) => {
                if !asking.is_trial {
                    self.0.note_use(&verified.kid);
                }
                grounds.kid = Some(verified.kid);
                grounds.claims = Some(verified.claims);
                Ok(verified.authenticated)
            }
            Err(denied) => {
                grounds.detail = Some(denied.detail);
                grounds.kid = denied.kid;
                grounds.claims = denied.claims;
                Err(denied.reason)
            }
        }
    }

    /// Asks a web service about each of these keys.
    pub(super) async fn by_webhook(
        &self,
        policy: &WebhookPolicy<WrappedText>,
        asking: &Asking<'_>,
        which: &[Which],
        grounds: &mut Grounds,
    ) -> Result<Authenticated, DenyReason> {
        let token = asking.token?;
        if !asking.asks_webhooks {
            return Err(DenyReason::WebhookTestSkipped);
        }
        let content_id = asking.question.content_id;
        let secret = self.0.ring.unwrap_text(&policy.secret, content_id, WEBHOOK_SECRET);
        let secret = secret.map_err(|error| {
            grounds.detail = Some(format!("the webhook's secret can't be opened: {error}"));
            DenyReason::PolicyCorrupt
        })?;
        let url = Url::parse(&policy.url).ok();
        let webhook = Webhook::new(url, secret, Some(policy.timeout()));
        let until = self.0.webhooks.until();
        let kids = self.kids(content_id, which, grounds).await?;
        let ask = |kid| {
            let question = webhook::Question {
                content_id,
                kid,
                viewer_ip: asking.viewer_ip,
                request_url: asking.request_url,
                viewer_token: token,
                request_id: asking.request_id,
                timestamp: Timestamp::now(),
            };
            let (webhooks, webhook) = (&self.0.webhooks, &webhook);
            async move { (kid, webhooks.ask(webhook, &question, until).await) }
        };
        let answers: Vec<_> = stream::iter(kids.into_iter().map(ask))
            .buffered(QUESTIONS_AT_ONCE)
            .collect()
            .await;
        let outcome = let_through(&answers).map_err(|(reason, cause)| {
            grounds.detail = cause;
            reason
        });
        grounds.webhook = answers.into_iter().map(|(_, answer)| answer).collect();
        Ok(Authenticated {
            kids: Some(outcome?),
            ..Authenticated::default()
        })
    }

    /// The IDs of keys, each once; `None` is a key that there is none of. It is never empty: whoever asks for nothing is let in, or
    /// not, like others.
    async fn kids(
        &self,
        content_id: &ContentId,
        which: &[Which],
        grounds: &mut Grounds,
    ) -> Result<Vec<Option<Kid>>, DenyReason> {
        let mut kids = Vec::new();
        for which in which {
            let kid = self.kid(content_id, which, grounds).await?;
            if !kids.contains(&kid) {
                kids.push(kid);
            }
        }
        if kids.is_empty() {
            kids.push(None);
        }
        Ok(kids)
    }

    /// The ID of a key, if there is one.
    async fn kid(
        &self,
        content_id: &ContentId,
        which: &Which,
        grounds: &mut Grounds,
    ) -> Result<Option<Kid>, DenyReason> {
        if let Which::Kid(kid) = which {
            return Ok(Some(*kid));
        }
        match self.0.content_keys.find(content_id, which.clone()).await {
            Ok(found) => Ok(Some(found.kid)),
            Err(error) if matches!(*error, LookupError::Store(_)) => Err(failed(error, grounds)),
            // Nothing can be handed out, whatever the answer is.
            Err(_) => Ok(None),
        }
    }

    /// Tells the store which signing keys were used since the last time.
    ///
    /// # Errors
    /// [`StoreError`]; it is told the next time.
    pub async fn store_use(&self) -> Result<(), StoreError> {
        let used = mem::take(&mut *self.0.used.lock().unwrap_or_else(PoisonError::into_inner));
        let used: Vec<_> = used.into_iter().collect();
        if used.is_empty() {
            return Ok(());
        }
        let stored = self.0.store.touch_signing_keys(&used).await;
        if stored.is_err() {
            let mut newer = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
            for (kid, at) in used {
                newer.entry(kid).or_insert(at);
            }
        }
        stored
    }
}

impl Inner {
    async fn read_keys(&self) -> Read<Arc<[KnownKey]>> {
        let keys = self.store.signing_keys().await.map_err(Arc::new)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != keys {
            let read = |key: &SigningKey| KnownKey::new(key.kid.clone(), &key.public_key_pem, key.is_active());
            *known = (keys.clone(), keys.iter().map(read).collect());
        }
        Ok(Arc::clone(&known.1))
    }

    fn note_use(&self, kid: &str) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match used.get_mut(kid) {
            Some(at) => *at = Timestamp::now(),
            None => drop(used.insert(kid.to_owned(), Timestamp::now())),
        }
    }
}

/// The keys that a web service lets through, by its answers; or why there are none, and more of it.
fn let_through(answers: &[(Option<Kid>, webhook::Answer)]) -> Result<Vec<Kid>, (DenyReason, Option<String>)> {
    let (mut allowed, mut refused) = (Vec::new(), None);
    for (kid, answer) in answers {
        match answer.verdict {
            Ok(()) => allowed.push(*kid),
            // Others may be let through.
            Err(reason @ DenyReason::WebhookDeny403) => refused = Some(reason),
            // It could not be decided about, and may be let through the next time.
            Err(reason) => return Err((reason, answer.cause.clone())),
        }
    }
    match refused {
        Some(reason) if allowed.is_empty() => Err((reason, None)),
        _ => Ok(allowed.into_iter().flatten().collect()),
    }
}

fn failed(cause: Arc<impl Error + Send + Sync + 'static>, grounds: &mut Grounds) -> DenyReason {
    grounds.cause = Some(cause);
    DenyReason::PolicyFetchFailed
}
