//! Every setting of the server, in one table: what reads it is what documents it.

use std::fmt::Display;
use std::str::FromStr;

use crate::keys::{DEFAULT_STORE, StoreUrlError};
use crate::secret::{SecretError, Settings};

/// A setting that is given by the environment or `.env`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// The default's text; `None` for none.
    pub default: Option<&'static str>,
    /// Whether it is a secret, which may also come as `NAME_FILE` or `NAME_COMMAND`, and is never shown.
    pub secret: bool,
    /// What it is, in Markdown.
    pub what: &'static str,
}

macro_rules! settings {
    ($($(#[$secret:ident])? $name:ident $(= $default:expr)?, $what:literal;)*) => {
        $(
            #[doc = $what]
            pub const $name: Setting = Setting {
                name: stringify!($name),
                default: settings!(@option $($default)?),
                secret: settings!(@secret $($secret)?),
                what: $what,
            };
        )*

        /// All of them, in the order of their documentation.
        pub const ALL: &[Setting] = &[$($name,)*];
    };
    (@option) => { None };
    (@option $default:expr) => { Some($default) };
    (@secret) => { false };
    (@secret secret) => { true };
}

settings! {
    LISTEN, "Address and port to listen on, in place of `127.0.0.1` and `PORT`. Flag: `--listen`.";
    PORT = "4100", "Port to listen on at `127.0.0.1`.";
    METRICS_ADDR, "Address and port of a listener for `/metrics` alone, which the main one then does not have.";
    ADMIN_ADDR, "Address and port of a listener for administrators alone: `/api/admin`, `/keys/leases/revoke`, and the `/openapi.json` of both. The main one has none of them then.";
    #[secret] ADMIN_TOKEN, "Bearer token of administrators, 32 characters at least. Without it there is no `/api/admin`.";
    TLS_CERT, "PEM file with the certificate chain; together with `TLS_KEY`. Flag: `--tls-cert`.";
    TLS_KEY, "PEM file with the certificate's key. Flag: `--tls-key`.";
    #[secret] MASTER_KEY_HEX, "Master key: 64 hexadecimal digits. Keys are derived from it; needed.";
    #[secret] SALT_HEX, "Salt of the derivation: 64 hexadecimal digits; needed.";
    #[secret] KEK_HEX, "Key that opens the records: 64 hexadecimal digits. Derived from the master key when not set.";
    #[secret] FALLBACK_MASTER_KEY_HEX, "Master key of before a rotation.";
    #[secret] FALLBACK_SALT_HEX, "Salt of before a rotation.";
    #[secret] FALLBACK_KEK_HEX, "`KEK_HEX` of before a rotation.";
    #[secret] DATABASE_URL = DEFAULT_STORE, "Record store: `sqlite://PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`. Flag: `--store`.";
    #[secret] KEY_TOKEN_SECRET, "Text that HMAC tokens are signed with.";
    #[secret] FALLBACK_KEY_TOKEN_SECRET, "Another one that is accepted too, while it rotates.";
    TOKEN_LEEWAY = "0", "Seconds that an HMAC token is accepted after its time.";
    #[secret] AUTH_JWT_SECRET, "Base64 of the secret that JWTs are signed with (HS256).";
    #[secret] FALLBACK_AUTH_JWT_SECRET, "Another one that is accepted too, while it rotates.";
    #[secret] AUTH_JWKS_URL, "URL of a JSON Web Key Set whose keys sign JWTs (RS256, ES256).";
    AUTH_JWT_AUDIENCE, "`aud` that a JWT must have.";
    AUTH_JWT_ISSUER, "`iss` that a JWT must have.";
    AUTH_POLICIES_ONLY = "false", "`true`: no kind of token need be configured here, for contents have policies of their own; those without are closed.";
    WEBHOOK_ALLOW_CIDRS, "Comma-separated addresses and ranges that webhooks may have though they are not public, by `http` too: on-premise services.";
    AUTH_CONTENT_CLAIM = "on", "`off`: a JWT need not name the content in `hash` or `content_id`, and opens all.";
    ALLOW_QUERY_TOKEN = "false", "`true`: a token may come as `?jwt=`, for players that can't send headers. It ends up in other people's logs.";
    CORS_ORIGINS, "Origins whose pages may ask, comma-separated: `https://player.example.com`. `*` only with `--insecure-no-auth`.";
    RATE_LIMIT_KEYS = "60", "Key requests a minute, for each client address and for each subject.";
    LEASE_TTL_MS, "Milliseconds that a lease is at most, from 1000 to 604800000. With it, keys are for viewers who have a lease; without it there are none.";
    LEASE_MAX_PER_VIEWER, "Leases that a viewer may have at once. Any number when not set.";
    LEASE_OVERFLOW = "evict", "What becomes of a lease that is one too many: `evict` ends the viewer's oldest for it, `refuse` refuses it.";
    RATE_LIMIT_LEASES = "10", "Leases asked for or renewed a minute, for each client address and for each subject: at least as often as `LEASE_MAX_PER_VIEWER` players renew, at three quarters of `LEASE_TTL_MS`.";
    #[secret] REDIS_URL, "Redis that counts rate limits for several servers: `redis://:PASSWORD@HOST:6379`, or `rediss://` for TLS.";
    TRUSTED_PROXIES, "Addresses and ranges whose `X-Forwarded-For` is believed, comma-separated: `10.0.0.0/8`.";
    REQUEST_TIMEOUT = "10", "Seconds that an answer may take.";
    HEADER_TIMEOUT = "10", "Seconds that a request's header may take to arrive.";
    SHUTDOWN_TIMEOUT = "30", "Seconds for what is under way when the server is told to stop.";
    LOG_LEVEL = "info", "`error`, `warn`, `info` or `debug`. At `warn`, requests that went well are not logged.";
}

/// A setting that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// A secret is missing or can't be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The record store's URL can't be used.
    #[error(transparent)]
    StoreUrl(#[from] StoreUrlError),
    /// The value is something else.
    #[error("{name} is {found:?}; expected {expected}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// Its value, which is no secret.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The value is something else, and a secret.
    #[error("{name} can't be used: expected {expected}")]
    InvalidSecret {
        /// The variable.
        name: &'static str,
        /// What it should be.
        expected: String,
    },
    /// Settings that don't go together.
    #[error("{0}")]
    Contradiction(String),
}

impl Setting {
    /// The error of a value that is no `expected`.
    #[must_use]
    pub fn invalid(self, found: &str, expected: impl Display) -> SettingError {
        let (name, expected) = (self.name, expected.to_string());
        if self.secret {
            return SettingError::InvalidSecret { name, expected };
        }
        let found = found.to_owned();
        SettingError::Invalid { name, found, expected }
    }

    /// Its text, or the default's; `None` if it is neither set nor has one, and where it is set to nothing.
    #[must_use]
    pub fn text(self, settings: &Settings) -> Option<String> {
        let text = settings.get(self.name).or_else(|| self.default.map(str::to_owned));
        text.filter(|text| !text.is_empty())
    }

    /// Its value.
    ///
    /// # Errors
    /// [`SettingError::Invalid`] if it is no `expected`.
    pub fn parse<T: FromStr>(self, settings: &Settings, expected: &str) -> Result<Option<T>, SettingError> {
        let Some(text) = self.text(settings) else {
            return Ok(None);
        };
        let value = text.trim().parse().map_err(|_| self.invalid(&text, expected))?;
        Ok(Some(value))
    }
}
