//! Address ranges, as settings list them.

use std::net::IpAddr;

use ipnet::IpNet;

/// Addresses and ranges of them.
#[derive(Debug, Clone, Default)]
pub struct AddressRanges(Vec<IpNet>);

impl AddressRanges {
    /// Reads addresses and ranges, comma-separated: `127.0.0.1, 10.0.0.0/8`.
    ///
    /// # Errors
    /// The first word that is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let read = |word: &str| {
            let address = word.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| word.parse()).map_err(|_| word.to_owned())
        };
        words.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of them holds the address; one of IPv4 that is mapped into IPv6 (RFC 4291, 2.5.5.2) counts as that of IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(&address))
    }
}
