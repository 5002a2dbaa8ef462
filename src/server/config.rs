//! A configuration that was found to be one: settings and flags in, checked values out.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use zeroize::Zeroizing;

use super::address_ranges::AddressRanges;
use super::admin::MIN_TOKEN_BYTES;
use super::client_address::TrustedProxies;
use super::cors::parse_origin;
use super::jwks_http::JwksUrl;
use super::rate_limit::{Limit, RedisUrl};
use super::settings::{
    ADMIN_ADDR, ADMIN_TOKEN, ALLOW_QUERY_TOKEN, AUTH_CONTENT_CLAIM, AUTH_JWKS_URL, AUTH_JWT_AUDIENCE, AUTH_JWT_ISSUER,
    AUTH_JWT_SECRET, AUTH_POLICIES_ONLY, CORS_ORIGINS, FALLBACK_AUTH_JWT_SECRET, FALLBACK_KEY_TOKEN_SECRET,
    HEADER_TIMEOUT, KEY_TOKEN_SECRET, LEASE_MAX_PER_VIEWER, LEASE_OVERFLOW, LEASE_TTL_MS, LISTEN, LOG_LEVEL,
    METRICS_ADDR, PORT, RATE_LIMIT_KEYS, RATE_LIMIT_LEASES, REDIS_URL, REQUEST_TIMEOUT, SHUTDOWN_TIMEOUT, Setting,
    SettingError, TLS_CERT, TLS_KEY, TOKEN_LEEWAY, TRUSTED_PROXIES, WEBHOOK_ALLOW_CIDRS,
};
use super::webhook_http::HttpPost;
use crate::access::jwks::KeySet;
use crate::access::leases::{LeaseRules, Leases, MAX_TTL, MIN_TTL};
use crate::access::webhook::Webhooks;
use crate::access::{Access, HmacTokens, JwtRules, Jwts, Policies, Verifier};
use crate::keys::lookup::Lookup;
use crate::keys::store::{LeaseLimit, LeaseOverflow, Store};
use crate::keys::{KeyRing, store_url};
use crate::secret::{SecretText, Settings};

/// A webhook that does not answer is given up so long before the request is.
const BEFORE_REQUEST_TIMEOUT: Duration = Duration::from_millis(500);

/// What the command line says; it wins over settings.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--store`.
    pub store: Option<String>,
    /// `--tls-cert`.
    pub tls_cert: Option<PathBuf>,
    /// `--tls-key`.
    pub tls_key: Option<PathBuf>,
    /// `--derive-any`.
    pub derive_any: bool,
    /// `--insecure-no-auth`.
    pub insecure_no_auth: bool,
    /// `--media`.
    pub media: Option<PathBuf>,
    /// `--dev`.
    pub dev: bool,
}

/// The pages of which origins may ask.
#[derive(Debug, Clone)]
pub enum Origins {
    /// All.
    Any,
    /// These.
    Exactly(Vec<HeaderValue>),
}

/// Where records are.
pub enum Records {
    /// In the store at this URL, which may hold a password.
    Store(SecretText),
    /// Nowhere: keys are derived.
    Derived,
}

/// A certificate chain and its key, in PEM files.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The chain.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// A checked configuration. Secrets are in it, so it has no `Debug`.
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to listen for `/metrics` alone.
    pub metrics_address: Option<SocketAddr>,
    /// Whether administrators are let in.
    pub has_admin: bool,
    /// Where `/api/admin` alone is, which the main listener then does not have.
    pub admin_address: Option<SocketAddr>,
    /// Whether to speak TLS.
    pub tls: Option<Tls>,
    /// Where records are.
    pub records: Records,
    /// Whose pages may ask.
    pub origins: Origins,
    /// Whether a token may come in the query.
    pub allow_query_token: bool,
    /// Who is believed about client addresses.
    pub trusted_proxies: TrustedProxies,
    /// Key requests a minute.
    pub keys_per_minute: NonZeroU32,
    /// How leases are given, where they are needed.
    pub leases: Option<LeaseRules>,
    /// Leases asked for or renewed a minute.
    pub leases_per_minute: NonZeroU32,
    /// The Redis that counts rate limits.
    pub redis: Option<RedisUrl>,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// How long a header may take to arrive.
    pub header_timeout: Duration,
    /// How long what is under way may take when the server stops.
    pub shutdown_timeout: Duration,
    /// The least severe events that are logged.
    pub log_level: tracing::Level,
    /// The folder whose packaged media are served, and played by the page at `/player`.
    pub media: Option<Media>,
    /// What the player page's tokens are signed with; only in development, on loopback.
    pub dev_secret: Option<SecretText>,
}

/// Packaged media to serve.
#[derive(Debug, Clone)]
pub struct Media {
    /// The folder.
    pub root: PathBuf,
    /// Whether caches may keep a segment for ever. In development they ask each time, for there another film often
    /// takes its place.
    pub immutable: bool,
}

impl Config {
    /// Reads and checks everything but the secrets that keys come from.
    ///
    /// # Errors
    /// [`SettingError`] at the first setting that can't be used.
    pub fn load(settings: &Settings, flags: Flags) -> Result<Self, SettingError> {
        let listen = listen(settings, flags.listen)?;
        for (given, flag, what) in [
            (flags.insecure_no_auth, "--insecure-no-auth", "keys"),
            (flags.dev, "--dev", "tokens"),
        ] {
            if given && !listen.ip().is_loopback() {
                return Err(SettingError::Contradiction(format!(
                    "{flag} gives {what} to everybody, so it listens on loopback alone; {listen} is not"
                )));
            }
        }
        let has_admin = admin_token(settings)?.is_some();
        if has_admin && flags.derive_any {
            return Err(SettingError::Contradiction(format!(
                "{}: policies and signing keys are kept in a record store, and there is none with --derive-any",
                ADMIN_TOKEN.name
            )));
        }
        let admin_address = ADMIN_ADDR.parse(settings, "an address and port such as 127.0.0.1:4101")?;
        if admin_address.is_some() && !has_admin {
            return Err(SettingError::Contradiction(format!(
                "{} is where administrators are let in, and there are none without {}",
                ADMIN_ADDR.name, ADMIN_TOKEN.name
            )));
        }
        let leases = leases(settings, &flags)?;
        let leases_per_minute: NonZeroU32 = needed(RATE_LIMIT_LEASES, settings, "a whole number above 0")?;
        if let Some(rules) = &leases {
            let players = rules.limit.map_or(1, |limit| limit.max_per_viewer);
            let renewals = (60_000 * u128::from(players)).div_ceil(rules.ttl.as_millis() * 3 / 4);
            if renewals > leases_per_minute.get().into() {
                return Err(SettingError::Contradiction(format!(
                    "a viewer of {players} leases of {} milliseconds renews {renewals} times a minute, and {} is \
                     {leases_per_minute}; raise it, or {}",
                    rules.ttl.as_millis(),
                    RATE_LIMIT_LEASES.name,
                    LEASE_TTL_MS.name
                )));
            }
        }
        let metrics_address = METRICS_ADDR.parse(settings, "an address and port such as 127.0.0.1:9100")?;
        Ok(Self {
            listen,
            metrics_address,
            has_admin,
            admin_address,
            tls: tls(settings, flags.tls_cert, flags.tls_key)?,
            records: if flags.derive_any {
                Records::Derived
            } else {
                Records::Store(store_url(flags.store, settings)?)
            },
            origins: origins(settings, flags.insecure_no_auth)?,
            allow_query_token: choice(settings, ALLOW_QUERY_TOKEN, ["false", "true"])?,
            trusted_proxies: TrustedProxies(address_ranges(settings, TRUSTED_PROXIES)?),
            keys_per_minute: needed(RATE_LIMIT_KEYS, settings, "a whole number above 0")?,
            leases,
            leases_per_minute,
            redis: redis(settings)?,
            request_timeout: seconds(settings, REQUEST_TIMEOUT)?,
            header_timeout: seconds(settings, HEADER_TIMEOUT)?,
            shutdown_timeout: seconds(settings, SHUTDOWN_TIMEOUT)?,
            log_level: needed(LOG_LEVEL, settings, "error, warn, info or debug")?,
            media: flags
                .media
                .map(|root| media(root, !flags.dev && !flags.insecure_no_auth))
                .transpose()?,
            dev_secret: flags.dev.then(|| dev_secret(settings)).transpose()?,
        })
    }

    /// How often somebody may ask for keys.
    #[must_use]
    pub const fn key_limit(&self) -> Limit {
        Limit {
            name: "keys",
            per_minute: self.keys_per_minute,
        }
    }

    /// How often somebody may ask for leases.
    #[must_use]
    pub const fn lease_limit(&self) -> Limit {
        Limit {
            name: "leases",
            per_minute: self.leases_per_minute,
        }
    }
}

/// Who may have keys, as the settings say, and the policies of contents, if they may have some.
///
/// # Errors
/// [`SettingError`] if no kind of token is configured and not everybody is to be let in, or one can't be.
pub fn access(
    settings: &Settings,
    insecure_no_auth: bool,
    policies: Option<Policies>,
    leases: Option<Leases>,
) -> Result<Access, SettingError> {
    if insecure_no_auth {
        return Ok(Access::insecure());
    }
    let mut verifiers: Vec<Box<dyn Verifier>> = Vec::new();
    let hmac = secrets(settings, [KEY_TOKEN_SECRET, FALLBACK_KEY_TOKEN_SECRET])?;
    let leeway: u32 = needed(TOKEN_LEEWAY, settings, "a whole number of seconds")?;
    if !hmac.is_empty() {
        let hmac: Vec<_> = hmac.into_iter().map(|(_, secret)| secret).collect();
        verifiers.push(Box::new(HmacTokens::new(&hmac, leeway.into())));
    }
    let jwt = secrets(settings, [AUTH_JWT_SECRET, FALLBACK_AUTH_JWT_SECRET])?;
    let jwt: Vec<_> = jwt
        .iter()
        .map(|(setting, secret)| jwt_secret(*setting, secret))
        .collect::<Result<_, _>>()?;
    let key_set = settings
        .secret(AUTH_JWKS_URL.name)?
        .map(|url| key_set(&url))
        .transpose()?;
    let rules = JwtRules {
        audience: AUTH_JWT_AUDIENCE.text(settings),
        issuer: AUTH_JWT_ISSUER.text(settings),
        any_content: choice(settings, AUTH_CONTENT_CLAIM, ["on", "off"])?,
    };
    if !jwt.is_empty() || key_set.is_some() {
        verifiers.push(Box::new(Jwts::new(&jwt, key_set, rules)));
    }
    let policies_only = choice(settings, AUTH_POLICIES_ONLY, ["false", "true"])?;
    if policies_only && policies.is_none() {
        return Err(SettingError::Contradiction(format!(
            "{}: policies are kept in a record store, and there is none with --derive-any",
            AUTH_POLICIES_ONLY.name
        )));
    }
    if verifiers.is_empty() && !policies_only {
        return Err(SettingError::Contradiction(format!(
            "nothing says who may have keys: set {}, {} or {}; {}=true where all contents have policies of their own; or, on your \
             own machine, give --insecure-no-auth",
            KEY_TOKEN_SECRET.name, AUTH_JWT_SECRET.name, AUTH_JWKS_URL.name, AUTH_POLICIES_ONLY.name
        )));
    }
    Ok(Access::new(verifiers, policies, leases))
}

/// What decides by the policies of contents, which are in `store`; `ring` opens the secrets of webhooks, which are told the IDs of
/// `keys`, and answer before the request's time is over.
///
/// # Errors
/// [`SettingError`] if a range of addresses can't be read, or webhooks can't be asked.
pub fn policies(
    settings: &Settings,
    store: Arc<dyn Store>,
    ring: Arc<KeyRing>,
    keys: Lookup,
) -> Result<Policies, SettingError> {
    let post = HttpPost::new(address_ranges(settings, WEBHOOK_ALLOW_CIDRS)?);
    let post = post.map_err(|error| SettingError::Contradiction(format!("webhooks can't be asked: {error}")))?;
    let patience = seconds(settings, REQUEST_TIMEOUT)?.saturating_sub(BEFORE_REQUEST_TIMEOUT);
    Ok(Policies::new(
        store,
        ring,
        keys,
        Webhooks::new(Box::new(post), patience),
    ))
}

/// What lets administrators in, if anything does.
///
/// # Errors
/// [`SettingError`] if it can't be read, or is too short to be a secret.
pub fn admin_token(settings: &Settings) -> Result<Option<SecretText>, SettingError> {
    let token = settings.secret(ADMIN_TOKEN.name)?;
    if token
        .as_ref()
        .is_some_and(|token| token.expose().len() < MIN_TOKEN_BYTES)
    {
        return Err(ADMIN_TOKEN.invalid("", format!("{MIN_TOKEN_BYTES} characters at least")));
    }
    Ok(token)
}

/// How leases are given, if they are needed.
///
/// # Errors
/// [`SettingError`] if a setting can't be read, or nobody could have a lease.
pub fn leases(settings: &Settings, flags: &Flags) -> Result<Option<LeaseRules>, SettingError> {
    let max_per_viewer: Option<NonZeroU32> = LEASE_MAX_PER_VIEWER.parse(settings, "a whole number above 0")?;
    let refuses = choice(settings, LEASE_OVERFLOW, ["evict", "refuse"])?;
    let (min, max) = (MIN_TTL.as_millis(), MAX_TTL.as_millis());
    let expected = format!("a whole number of milliseconds from {min} to {max}");
    let Some(ttl_ms) = LEASE_TTL_MS.parse::<u64>(settings, &expected)? else {
        return match max_per_viewer {
            None => Ok(None),
            Some(_) => Err(SettingError::Contradiction(format!(
                "{} limits nothing without {}, which says that keys need leases",
                LEASE_MAX_PER_VIEWER.name, LEASE_TTL_MS.name
            ))),
        };
    };
    for (given, flag, what) in [
        (flags.insecure_no_auth, "--insecure-no-auth", "nobody says who they are"),
        (
            flags.derive_any,
            "--derive-any",
            "there is no record store to keep them in",
        ),
    ] {
        if given {
            let name = LEASE_TTL_MS.name;
            return Err(SettingError::Contradiction(format!(
                "{name}: leases are viewers', and {what} with {flag}"
            )));
        }
    }
    let ttl = Duration::from_millis(ttl_ms);
    if !(MIN_TTL..=MAX_TTL).contains(&ttl) {
        return Err(LEASE_TTL_MS.invalid(&ttl_ms.to_string(), expected));
    }
    let overflow = if refuses {
        LeaseOverflow::Refuse
    } else {
        LeaseOverflow::EvictOldest
    };
    let limit = max_per_viewer.map(|max| LeaseLimit {
        max_per_viewer: max.get(),
        overflow,
    });
    Ok(Some(LeaseRules { ttl, limit }))
}

/// The secrets of those settings that are set.
fn secrets(settings: &Settings, names: [Setting; 2]) -> Result<Vec<(Setting, SecretText)>, SettingError> {
    let mut found = Vec::new();
    for setting in names {
        if let Some(secret) = settings.secret(setting.name)? {
            found.push((setting, secret));
        }
    }
    Ok(found)
}

/// HS256 asks for a key of 32 bytes at least (RFC 7518, 3.2).
const MIN_JWT_SECRET_BYTES: usize = 32;

fn jwt_secret(setting: Setting, text: &SecretText) -> Result<Zeroizing<Vec<u8>>, SettingError> {
    let text = text.expose().trim();
    let bytes = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
    let bytes = Zeroizing::new(bytes.map_err(|_| setting.invalid("", "base64 of the secret"))?);
    if bytes.len() < MIN_JWT_SECRET_BYTES {
        let expected = format!(
            "base64 of {MIN_JWT_SECRET_BYTES} bytes at least, and it has {}",
            bytes.len()
        );
        return Err(setting.invalid("", expected));
    }
    Ok(bytes)
}

fn key_set(url: &SecretText) -> Result<KeySet, SettingError> {
    let wrong = || AUTH_JWKS_URL.invalid("", "an http(s) URL");
    let url: reqwest::Url = url.expose().parse().map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong());
    }
    let source = JwksUrl::new(url).map_err(|_| wrong())?;
    Ok(KeySet::new(Box::new(source)))
}

fn listen(settings: &Settings, flag: Option<SocketAddr>) -> Result<SocketAddr, SettingError> {
    if let Some(address) = flag.map_or_else(
        || LISTEN.parse(settings, "an address and port such as 0.0.0.0:4100"),
        |flag| Ok(Some(flag)),
    )? {
        return Ok(address);
    }
    let port: u16 = needed(PORT, settings, "a port from 0 to 65535")?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn tls(settings: &Settings, cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Tls>, SettingError> {
    let cert = cert.or_else(|| TLS_CERT.text(settings).map(PathBuf::from));
    let key = key.or_else(|| TLS_KEY.text(settings).map(PathBuf::from));
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(Tls { cert, key })),
        _ => Err(SettingError::Contradiction(
            "a certificate and its key go together: set both TLS_CERT and TLS_KEY, or neither".to_owned(),
        )),
    }
}

fn address_ranges(settings: &Settings, setting: Setting) -> Result<AddressRanges, SettingError> {
    let text = setting.text(settings).unwrap_or_default();
    AddressRanges::parse(&text).map_err(|word| setting.invalid(&word, "an address, or a range such as 10.0.0.0/8"))
}

fn redis(settings: &Settings) -> Result<Option<RedisUrl>, SettingError> {
    let Some(url) = settings.secret(REDIS_URL.name)? else {
        return Ok(None);
    };
    let url = RedisUrl::parse(&url).ok_or_else(|| REDIS_URL.invalid("", "a URL such as redis://HOST:6379"))?;
    Ok(Some(url))
}

fn media(root: PathBuf, immutable: bool) -> Result<Media, SettingError> {
    if !root.is_dir() {
        let root = root.display();
        return Err(SettingError::Contradiction(format!(
            "--media {root} is no folder; expected the one that outputs are written to, such as out"
        )));
    }
    Ok(Media { root, immutable })
}

fn dev_secret(settings: &Settings) -> Result<SecretText, SettingError> {
    let missing = || {
        SettingError::Contradiction(format!(
            "--dev signs tokens for the player page, so it needs {}; vylux-pack init writes one into .env",
            KEY_TOKEN_SECRET.name
        ))
    };
    settings.secret(KEY_TOKEN_SECRET.name)?.ok_or_else(missing)
}

fn origins(settings: &Settings, insecure_no_auth: bool) -> Result<Origins, SettingError> {
    let Some(text) = CORS_ORIGINS.text(settings) else {
        return Ok(if insecure_no_auth {
            Origins::Any
        } else {
            Origins::Exactly(Vec::new())
        });
    };
    if text.trim() == "*" {
        if insecure_no_auth {
            return Ok(Origins::Any);
        }
        return Err(CORS_ORIGINS.invalid(&text, "exact origins; * goes with --insecure-no-auth alone"));
    }
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let expected = "an origin such as https://player.example.com";
    let origins = words.map(|word| parse_origin(word).ok_or_else(|| CORS_ORIGINS.invalid(word, expected)));
    origins.collect::<Result<_, _>>().map(Origins::Exactly)
}

/// Whether a setting is the second of two words, and not the first.
fn choice(settings: &Settings, setting: Setting, [no, yes]: [&str; 2]) -> Result<bool, SettingError> {
    let text = setting.text(settings).unwrap_or_default();
    match text.trim() {
        text if text == no => Ok(false),
        text if text == yes => Ok(true),
        other => Err(setting.invalid(other, format!("{no} or {yes}"))),
    }
}

fn seconds(settings: &Settings, setting: Setting) -> Result<Duration, SettingError> {
    needed(setting, settings, "a whole number of seconds").map(Duration::from_secs)
}

/// The value of a setting that has a default, or has to be set.
fn needed<T: std::str::FromStr>(setting: Setting, settings: &Settings, expected: &str) -> Result<T, SettingError> {
    let value = setting.parse(settings, expected)?;
    value.ok_or_else(|| setting.invalid("", expected))
}
