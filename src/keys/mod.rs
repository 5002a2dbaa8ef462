//! Content keys by their names: deriving, wrapping, and the records that say what was made of them.
//!
//! ```text
//! Settings -> KeyRing ─┬─ Master: content ID -> content key, key ID, IVs   (the same for ever)
//!                      └─ Kek: content key <-> KeyRecord                   (keys.json, the record store)
//! ```
//!
//! A plaintext content key is never written anywhere: a record holds it wrapped.

mod base_url;
mod content_id;
mod derive;
mod hex_bytes;
mod kek;
mod keyring;
pub mod keys_file;
#[cfg(feature = "server")]
pub mod lookup;
mod name;
mod record;
#[cfg(feature = "store")]
pub mod store;
mod store_url;
mod wrap;
mod wrapped_text;

pub use base_url::{BaseUrl, BaseUrlError};
pub use content_id::{ContentId, ContentIdError};
pub use derive::Master;
pub use hex_bytes::{HexBytes, NotHex};
pub use kek::Kek;
pub use keyring::{KeyRing, KeyRingError};
pub use name::{KeyName, NameError, TrackName};
pub use record::{Difference, KeyRecord, RecordDraft};
pub use store_url::{DATABASE_URL, DEFAULT_STORE, StoreUrlError, store_url};
pub use wrap::WrapError;
pub use wrapped_text::{MAX_TEXT_BYTES, TextWrapError, WrappedText};

crate::content_key::serde_as_text!(ContentId KeyName TrackName BaseUrl);
