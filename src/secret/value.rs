//! The types that hold a secret.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A 32-byte secret: a master key, a salt or a key-encryption key.
///
/// It has no `Debug`, `Display` or `Serialize`, and is cleared when dropped.
///
/// ```compile_fail,E0277
/// fn show(secret: &vylux_pack::secret::Secret32) -> String {
///     format!("{secret:?}")
/// }
/// ```
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret32([u8; 32]);

impl Secret32 {
    /// Takes the secret's 32 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw bytes, for a cipher or a derivation; never for a log.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A secret that is text, such as the one that tokens are signed with.
///
/// It has no `Debug`, `Display` or `Serialize`, and is cleared when dropped.
///
/// ```compile_fail,E0277
/// fn show(secret: &vylux_pack::secret::SecretText) -> String {
///     format!("{secret:?}")
/// }
/// ```
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    pub(super) const fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text itself, for a cipher or a comparison in constant time; never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    /// Takes a text that turned out to be, or to hold, a secret.
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<Zeroizing<String>> for SecretText {
    /// Takes a text that was cleared on drop already.
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}
