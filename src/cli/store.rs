//! Which record store a command works on.

#[cfg(feature = "store")]
mod args;

#[cfg(feature = "store")]
pub use args::{StoreArgs, list};
#[cfg(feature = "store")]
pub use vylux_pack::keys::store::Blocking as Store;

/// Built without stores, nobody has one.
#[cfg(not(feature = "store"))]
pub enum Store {}

#[cfg(not(feature = "store"))]
mod absent {
    use std::convert::Infallible;
    use std::io;

    use vylux_pack::keys::{ContentId, KeyRecord};

    use super::Store;

    impl Store {
        pub fn open(_: &str) -> io::Result<Self> {
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this vylux-pack was built without record stores; leave --store out, and keep keys.json",
            ))
        }

        pub fn list(&self, _: Option<&ContentId>) -> Result<Vec<KeyRecord>, Infallible> {
            match *self {}
        }

        pub fn insert_or_get(&self, _: &[KeyRecord]) -> Result<Vec<KeyRecord>, Infallible> {
            match *self {}
        }

        pub fn replace(&self, _: &[KeyRecord]) -> Result<(), Infallible> {
            match *self {}
        }
    }
}
