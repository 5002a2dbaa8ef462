//! PEM (RFC 7468): one block of base64 between two lines that name what it is.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Characters in a line (RFC 7468, 2).
const LINE: usize = 64;

/// The text of `der`, each line with its end. It may hold a private key, so it is cleared on drop.
pub fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    // Reserved at once, for what a text leaves behind when it grows is not cleared.
    let mut text = Zeroizing::new(String::with_capacity(2 * (base64.len() + LINE + label.len())));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = behind;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// The bytes of the one block of `label` in `text`; `None` if there is anything else but blanks.
pub fn decode(label: &str, text: &str) -> Option<Vec<u8>> {
    let base64 = text
        .trim()
        .strip_prefix(&format!("-----BEGIN {label}-----"))?
        .strip_suffix(&format!("-----END {label}-----"))?;
    let base64: String = base64.split_ascii_whitespace().collect();
    STANDARD.decode(base64).ok()
}
