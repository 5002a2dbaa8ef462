//! Where secrets come from, and the types that hold them.
//!
//! A secret never comes from an argument, is never logged, has no `Debug`, and is cleared when dropped.
//! No error of this module shows a value, a part of one, or the path or command that stands in for one:
//! a person who mistakes `MASTER_KEY_HEX_FILE` for `MASTER_KEY_HEX` must not find the key in a log.

pub mod init;
mod settings;
mod source;
mod value;

pub use settings::{Settings, SettingsError};
pub use source::{SecretError, SecretProblem};
pub use value::{Secret32, SecretText};

/// The master key that content keys, key IDs and IVs are derived from.
pub const MASTER_KEY_HEX: &str = "MASTER_KEY_HEX";
/// The salt of those derivations.
pub const SALT_HEX: &str = "SALT_HEX";
/// The key-encryption key of records; derived from the master key when it is not set.
pub const KEK_HEX: &str = "KEK_HEX";
/// The master key of before a rotation; set together with [`FALLBACK_SALT_HEX`].
pub const FALLBACK_MASTER_KEY_HEX: &str = "FALLBACK_MASTER_KEY_HEX";
/// The salt of before a rotation; set together with [`FALLBACK_MASTER_KEY_HEX`].
pub const FALLBACK_SALT_HEX: &str = "FALLBACK_SALT_HEX";
/// The key-encryption key of before a rotation, which old records are still wrapped under.
pub const FALLBACK_KEK_HEX: &str = "FALLBACK_KEK_HEX";
/// What the key server's tokens are signed with: its text, not the bytes that the digits mean, is the HMAC key.
pub const KEY_TOKEN_SECRET: &str = "KEY_TOKEN_SECRET";
