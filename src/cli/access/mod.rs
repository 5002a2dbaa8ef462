//! Who may have keys: policies of contents, signing keys, and what a request would be answered.

pub mod policy;
pub mod signing_key;
pub mod test;

/// Who changes something, for the audit trail: whoever runs this process.
pub fn actor() -> String {
    let name = std::env::var("USER").ok().filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    format!("cli:{name}")
}
