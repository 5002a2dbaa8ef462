//! Where this server may send something that others asked it to: to public addresses, and to those that its operator names.
//!
//! Without that, whoever may set a webhook's URL could have this server talk to what it alone can reach, such as a cloud's
//! metadata service (server-side request forgery). What is checked is the address that is dialled, so a name that resolves to
//! another address from one moment to the next gains nothing.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;

use super::address_ranges::AddressRanges;

/// What is not public of the rest: the special-purpose addresses of IANA (RFC 6890 and its registries), and those of IPv6 that
/// hold one of IPv4, for whoever translates them may reach anything.
static BLOCKED: LazyLock<Vec<IpNet>> = LazyLock::new(|| RANGES.iter().filter_map(|range| range.parse().ok()).collect());

/// All that IPv6 has of addresses that are one host's, anywhere (RFC 4291, 2.4, and IANA's registry). Outside of it are loopback,
/// link-local, unique local and multicast addresses, and those that NAT64 translates to IPv4.
const GLOBAL_IPV6: IpNet = IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0)), 3);

const RANGES: [&str; 24] = [
    // This host (RFC 791), private (RFC 1918), shared by a carrier's customers (RFC 6598), loopback, link-local (RFC 3927).
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    // Protocol assignments (RFC 6890), documentation (RFC 5737), 6to4 relays (RFC 7526), private.
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    // Benchmarks (RFC 2544), documentation, multicast (RFC 5771), reserved, with the broadcast address (RFC 1112).
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    // AS112 (RFC 7535), AMT (RFC 7450), AS112 again (RFC 7534): of the network's own services.
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.175.48.0/24",
    // Of the global unicast addresses of IPv6: protocol assignments with Teredo (RFC 2928, RFC 4380), documentation (RFC 3849,
    // RFC 9637), 6to4 (RFC 3056), AS112, and the first networks of IPv6 (RFC 3701).
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "3ffe::/16",
];

/// Whether an address is one host's, anywhere.
fn is_global(address: IpAddr) -> bool {
    let is_unicast = address.is_ipv4() || GLOBAL_IPV6.contains(&address);
    is_unicast && !BLOCKED.iter().any(|range| range.contains(&address))
}

/// An address that nothing is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// It is not public, and not allowed by the settings.
    #[error("the host has the address {0}, which is not public; WEBHOOK_ALLOW_CIDRS can allow it")]
    Address(IpAddr),
    /// Without TLS, only what the settings allow is spoken to.
    #[error("the host has the address {0}, and http is for addresses of WEBHOOK_ALLOW_CIDRS alone; use https")]
    WithoutTls(IpAddr),
    /// The URL has another scheme, or a user name, a password or a fragment.
    #[error("the URL is none of https without user name, password and fragment")]
    Url,
}

/// Decides where something may be sent.
#[derive(Debug, Clone)]
pub struct Guard {
    allowed: Arc<AddressRanges>,
    /// Whether public addresses may be spoken to.
    lets_public: bool,
}

impl Guard {
    /// Lets public addresses, by TLS; and `allowed` ones in any case.
    #[must_use]
    pub fn with_tls(allowed: Arc<AddressRanges>) -> Self {
        Self {
            allowed,
            lets_public: true,
        }
    }

    /// Lets `allowed` addresses alone.
    #[must_use]
    pub fn without_tls(allowed: Arc<AddressRanges>) -> Self {
        Self {
            allowed,
            lets_public: false,
        }
    }

    /// Decides about a URL, as far as that can be done before its host is resolved: a resolver is not asked for a host that is
    /// an address already.
    ///
    /// # Errors
    /// [`Blocked`].
    pub fn check_url(&self, url: &Url) -> Result<(), Blocked> {
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(Blocked::Url);
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) => Ok(()),
            None => Err(Blocked::Url),
        }
    }

    /// Decides about an address.
    ///
    /// # Errors
    /// [`Blocked`].
    pub fn check(&self, address: IpAddr) -> Result<(), Blocked> {
        let address = address.to_canonical();
        if self.allowed.contains(address) {
            return Ok(());
        }
        if !is_global(address) {
            return Err(Blocked::Address(address));
        }
        if self.lets_public {
            Ok(())
        } else {
            Err(Blocked::WithoutTls(address))
        }
    }

    /// Decides about all addresses of a name: one that is blocked blocks them all.
    fn check_all(&self, addresses: &[std::net::SocketAddr]) -> Result<(), Blocked> {
        addresses.iter().try_for_each(|address| self.check(address.ip()))
    }
}

/// Resolves names for who is about to dial, or to use a connection again, and lets through what the guard does.
#[derive(Clone)]
pub struct GuardedNames {
    /// Decides.
    pub guard: Guard,
    /// Resolves, each time that somebody asks.
    pub names: Arc<dyn Resolve>,
}

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, resolving) = (self.guard.clone(), self.names.resolve(name));
        Box::pin(async move {
            let addresses: Vec<_> = resolving.await?.collect();
            guard.check_all(&addresses)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Names as the system resolves them.
pub struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(addresses.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn allowed(text: &str) -> Arc<AddressRanges> {
        Arc::new(AddressRanges::parse(text).unwrap())
    }

    fn blocked(text: &str) -> bool {
        let address: IpAddr = text.parse().unwrap();
        Guard::with_tls(Arc::default()).check(address).is_err()
    }

    #[test]
    fn every_range_can_be_read() {
        assert_eq!(BLOCKED.len(), RANGES.len());
    }

    /// The first and the last address of each range that must be blocked, and what stands beside it.
    #[test]
    fn ranges_begin_and_end_where_they_should() {
        for (first, last, beside) in [
            ("0.0.0.0", "0.255.255.255", "1.0.0.0"),
            ("10.0.0.0", "10.255.255.255", "11.0.0.0"),
            ("100.64.0.0", "100.127.255.255", "100.128.0.0"),
            ("127.0.0.0", "127.255.255.255", "128.0.0.0"),
            ("169.254.0.0", "169.254.255.255", "169.255.0.0"),
            ("172.16.0.0", "172.31.255.255", "172.32.0.0"),
            ("192.0.0.0", "192.0.0.255", "192.0.1.0"),
            ("192.0.2.0", "192.0.2.255", "192.0.3.0"),
            ("192.88.99.0", "192.88.99.255", "192.88.100.0"),
            ("192.168.0.0", "192.168.255.255", "192.169.0.0"),
            ("198.18.0.0", "198.19.255.255", "198.20.0.0"),
            ("198.51.100.0", "198.51.100.255", "198.51.101.0"),
            ("203.0.113.0", "203.0.113.255", "203.0.114.0"),
            ("224.0.0.0", "239.255.255.255", "223.255.255.255"),
            ("240.0.0.0", "255.255.255.255", "223.255.255.255"),
            ("::", "::ffff:ffff", "2606:4700::1"),
            ("64:ff9b::", "64:ff9b::ffff:ffff", "2606:4700::1"),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "2606:4700::1"),
            ("100::", "100::ffff:ffff:ffff:ffff", "2606:4700::1"),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2606:4700::1"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2606:4700::1"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2606:4700::1"),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2606:4700::1"),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2606:4700::1"),
        ] {
            assert!(blocked(first) && blocked(last), "{first} to {last}");
            assert!(!blocked(beside), "{beside}");
        }
        // Of IPv4 in the forms of IPv6.
        for address in [
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "4000::1",
        ] {
            assert!(blocked(address), "{address}");
        }
        assert!(!blocked("::ffff:1.1.1.1"));
    }

    #[test]
    fn urls_hide_no_address() {
        let guard = Guard::with_tls(Arc::default());
        for url in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://127.0.0.1./",
            "https://%31%32%37.0.0.1/",
            "https://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
            "https://0/",
            "https://[::1]/",
            "https://[::ffff:7f00:1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://user@app.example.com/",
            "https://:hunter2@app.example.com/",
            "https://app.example.com/#part",
        ] {
            let url: Url = url.parse().unwrap();
            assert!(guard.check_url(&url).is_err(), "{url}");
        }
        for url in ["https://1.1.1.1/", "https://app.example.com/"] {
            assert_eq!(guard.check_url(&url.parse().unwrap()), Ok(()));
        }
    }

    #[test]
    fn what_is_allowed_is_let_through_and_nothing_beside_it() {
        let ranges = allowed("127.0.0.1, 10.1.0.0/16");
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let with_tls = Guard::with_tls(Arc::clone(&ranges));
        let without_tls = Guard::without_tls(ranges);
        for inside in ["127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3"] {
            assert_eq!(with_tls.check(address(inside)), Ok(()));
            assert_eq!(without_tls.check(address(inside)), Ok(()));
        }
        for outside in ["127.0.0.2", "10.2.0.0", "::1"] {
            assert!(with_tls.check(address(outside)).is_err(), "{outside}");
        }
        let public = address("1.1.1.1");
        assert_eq!(with_tls.check(public), Ok(()));
        assert_eq!(without_tls.check(public), Err(Blocked::WithoutTls(public)));
    }

    /// One address of a name that is blocked is enough.
    #[test]
    fn mixed_addresses_are_blocked() {
        let guard = Guard::with_tls(Arc::default());
        let all = |texts: &[&str]| {
            let addresses: Vec<_> = texts.iter().map(|text| text.parse().unwrap()).collect();
            guard.check_all(&addresses)
        };
        assert_eq!(all(&["1.1.1.1:0", "[2606:4700::1]:0"]), Ok(()));
        assert!(all(&["1.1.1.1:0", "10.0.0.1:0"]).is_err());
        assert!(all(&["[::1]:0", "1.1.1.1:0"]).is_err());
    }

    /// `localhost` is what the system's resolver says: loopback.
    #[tokio::test]
    async fn names_are_looked_up_behind_the_guard() {
        let resolve = |guard: Guard| async move {
            let names = Arc::new(SystemNames);
            GuardedNames { guard, names }
                .resolve("localhost".parse().unwrap())
                .await
        };
        let error = resolve(Guard::with_tls(Arc::default())).await.err().unwrap();
        assert!(error.downcast_ref::<Blocked>().is_some(), "{error}");
        let all = allowed("127.0.0.0/8, ::1");
        assert!(resolve(Guard::without_tls(all)).await.is_ok());
    }
}
