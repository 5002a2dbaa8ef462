//! Whose request it is: the connection's address, or what a trusted proxy says.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;

use super::address_ranges::AddressRanges;

/// Proxies whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub AddressRanges);

impl TrustedProxies {
    /// The client's address: the last one that no trusted proxy has, seen from here. What is further left was written by
    /// the client, and may be invented.
    #[must_use]
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.ip().to_canonical();
        let mut client = peer;
        let fields = headers.get_all("x-forwarded-for").iter().rev();
        let mut hops = fields.flat_map(|field| field.to_str().unwrap_or_default().rsplit(','));
        while self.0.contains(client) {
            match hops.next().map(|hop| hop.trim().parse::<IpAddr>()) {
                Some(Ok(hop)) => client = hop.to_canonical(),
                // Nothing, or nothing that can be read: the proxy itself is all that is known.
                Some(Err(_)) | None => break,
            }
        }
        client
    }
}

/// Who shares a rate limit: an address of IPv4, or a /64 of IPv6, which one household or host has at least.
#[must_use]
pub fn limited_as(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_client(trusted: &str, peer: &str, forwarded: &[&str], expected: &str) {
        let proxies = TrustedProxies(AddressRanges::parse(trusted).unwrap());
        let mut headers = HeaderMap::new();
        for field in forwarded {
            headers.append("x-forwarded-for", field.parse().unwrap());
        }
        let client = proxies.client(SocketAddr::new(peer.parse().unwrap(), 1), &headers);
        assert_eq!(client, expected.parse::<IpAddr>().unwrap());
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_client("", "203.0.113.9", &["192.0.2.1"], "203.0.113.9");
        assert_client("10.0.0.0/8", "203.0.113.9", &["192.0.2.1"], "203.0.113.9");
        assert_client("10.0.0.0/8", "10.1.2.3", &["192.0.2.1"], "192.0.2.1");
        assert_client("10.0.0.0/8", "10.1.2.3", &[], "10.1.2.3");
    }

    #[test]
    fn what_the_client_wrote_itself_is_not_believed() {
        assert_client("10.0.0.0/8", "10.1.2.3", &["1.1.1.1, 192.0.2.1"], "192.0.2.1");
        assert_client(
            "10.0.0.0/8",
            "10.1.2.3",
            &["1.1.1.1", "192.0.2.1, 10.9.9.9"],
            "192.0.2.1",
        );
        assert_client("10.0.0.0/8", "10.1.2.3", &["1.1.1.1, nonsense"], "10.1.2.3");
    }

    #[test]
    fn ipv4_in_ipv6_is_ipv4() {
        assert_client("127.0.0.1", "::ffff:127.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1");
    }

    #[test]
    fn a_host_of_ipv6_has_a_64() {
        let limited = |text: &str| limited_as(text.parse().unwrap()).to_string();
        assert_eq!(limited("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(limited("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_word_that_is_no_address_is_named() {
        assert_eq!(AddressRanges::parse("10.0.0.0/8, proxy").unwrap_err(), "proxy");
    }
}
