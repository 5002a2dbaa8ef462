//! Encrypt clear MP4 offline with Common Encryption and package it as CMAF and HLS.
//!
//! Data moves one way, and a module uses only what stands left of it:
//!
//! ```text
//! content_key ┬ isobmff -> codec -> media -> plan -> protect -> package -> verify   (media plane)
//!             └ secret  -> keys -> access -> server                                 (key plane)
//! ```
//!
//! The two planes meet only in the binary's `cli`; `docs/ARCHITECTURE.md` draws the house.

#[cfg(feature = "server")]
pub mod access;
pub mod codec;
pub mod content_key;
pub mod isobmff;
pub mod keys;
pub mod media;
pub mod package;
pub mod plan;
pub mod protect;
pub mod secret;
#[cfg(feature = "server")]
pub mod server;
pub mod verify;
