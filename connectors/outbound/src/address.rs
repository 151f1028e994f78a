//! Which addresses are public: everything that the registries of IANA do not set aside.
//!
//! Sources: the IPv4 and IPv6 Special-Purpose Address Registries of IANA (RFC 6890 and its updates), the multicast ranges
//! (RFC 5771, RFC 4291), and what the large clouds document as addresses of their metadata services. The standard library's
//! `is_global` is not stable, and the crates that copy it do not know NAT64, or metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far calls may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Reach {
    /// Only the public internet.
    #[default]
    Public,
    /// Also this machine and the house: loopback, private and shared addresses. Never metadata services, link-local
    /// addresses, multicast, and what is reserved.
    Private,
}

impl Reach {
    /// Whether an address may be connected to; else what it is.
    ///
    /// # Errors
    /// The words for what stands in the way, such as `a loopback address`.
    pub fn allows(self, address: IpAddr) -> Result<(), &'static str> {
        match (special(address), self) {
            (None, _) | (Some(Special { at_home: true, .. }), Self::Private) => Ok(()),
            (Some(Special { what, .. }), _) => Err(what),
        }
    }
}

/// Whether an address is for everybody.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    special(address).is_none()
}

/// What an address that is not public is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Special {
    what: &'static str,
    /// Something that a house may have and use.
    at_home: bool,
}

const fn never(what: &'static str) -> Special {
    Special { what, at_home: false }
}

const fn home(what: &'static str) -> Special {
    Special { what, at_home: true }
}

const METADATA: Special = never("the metadata service of a cloud");

/// First matching row counts: network, bits of its prefix, what it is.
const V4: [(Ipv4Addr, u32, Special); 20] = [
    (Ipv4Addr::new(169, 254, 169, 254), 32, METADATA),
    // Alibaba's, inside the shared addresses
    (Ipv4Addr::new(100, 100, 100, 200), 32, METADATA),
    // Oracle's, inside the protocol assignments
    (Ipv4Addr::new(192, 0, 0, 192), 32, METADATA),
    // Azure's, a public address that leads to the host of the machine
    (Ipv4Addr::new(168, 63, 129, 16), 32, METADATA),
    (Ipv4Addr::new(0, 0, 0, 0), 8, never("an unspecified address")),
    (Ipv4Addr::new(10, 0, 0, 0), 8, home("a private address")),
    (Ipv4Addr::new(100, 64, 0, 0), 10, home("an address shared by customers of a carrier")),
    (Ipv4Addr::new(127, 0, 0, 0), 8, home("a loopback address")),
    (Ipv4Addr::new(169, 254, 0, 0), 16, never("a link-local address")),
    (Ipv4Addr::new(172, 16, 0, 0), 12, home("a private address")),
    (Ipv4Addr::new(192, 0, 0, 0), 24, never("an address for protocols")),
    (Ipv4Addr::new(192, 0, 2, 0), 24, never("an address for documentation")),
    (Ipv4Addr::new(192, 88, 99, 0), 24, never("a relay between IPv4 and IPv6")),
    (Ipv4Addr::new(192, 168, 0, 0), 16, home("a private address")),
    (Ipv4Addr::new(198, 18, 0, 0), 15, never("an address for benchmarks")),
    (Ipv4Addr::new(198, 51, 100, 0), 24, never("an address for documentation")),
    (Ipv4Addr::new(203, 0, 113, 0), 24, never("an address for documentation")),
    (Ipv4Addr::new(224, 0, 0, 0), 4, never("a multicast address")),
    (Ipv4Addr::new(255, 255, 255, 255), 32, never("a broadcast address")),
    (Ipv4Addr::new(240, 0, 0, 0), 4, never("a reserved address")),
];

/// As [`V4`]; what is in no row is public only inside 2000::/3, all that IANA has given out so far.
const V6: [(Ipv6Addr, u32, Special); 21] = [
    // inside the private addresses: Amazon's, where metadata (::254), credentials of containers (::23) and more stand
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32, METADATA),
    // Oracle's, Scaleway's and Google's, there as well
    (Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128, METADATA),
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128, METADATA),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, METADATA),
    (Ipv6Addr::UNSPECIFIED, 128, never("an unspecified address")),
    (Ipv6Addr::LOCALHOST, 128, home("a loopback address")),
    (Ipv6Addr::UNSPECIFIED, 96, never("an IPv4 address in an outdated form")),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, never("a translated address")),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, never("an address that discards")),
    (Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64, never("an address that discards")),
    // Teredo (2001::/32), benchmarks (2001:2::/48), ORCHID (2001:10::/28, 2001:20::/28), and the rest of the block
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, never("a tunnel")),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, never("an address for protocols")),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, never("an address for documentation")),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, never("a tunnel")),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, never("an address for documentation")),
    // the test network of old (6bone), given back
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16, never("a reserved address")),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, never("an address for routing")),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, home("a private address")),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, never("a link-local address")),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, never("a site-local address")),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, never("a multicast address")),
];

/// The prefix of NAT64 (RFC 6052), behind which an IPv4 address stands.
const NAT64: u128 = 0x0064_ff9b << 96;

fn special(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<Special> {
    let bits = u32::from(address);
    let inside = |net: Ipv4Addr, prefix: u32| (bits ^ u32::from(net)) >> (32 - prefix) == 0;
    V4.iter().find(|(net, prefix, _)| inside(*net, *prefix)).map(|(.., special)| *special)
}

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    let bits = u128::from(address);
    // an IPv4 address inside is judged as what it is
    if let Some(v4) = address.to_ipv4_mapped() {
        return special_v4(v4);
    }
    let [.., a, b, c, d] = address.octets();
    if bits >> 32 == NAT64 >> 32 {
        // not at home either: who wants a machine of the house writes its own address
        return special_v4(Ipv4Addr::new(a, b, c, d)).map(|special| never(special.what));
    }
    let inside = |net: Ipv6Addr, prefix: u32| (bits ^ u128::from(net)) >> (128 - prefix) == 0;
    let row = V6.iter().find(|(net, prefix, _)| inside(*net, *prefix)).map(|(.., special)| *special);
    row.or_else(|| (bits >> 125 != 0b001).then_some(never("a reserved address")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// One address at least of each row, and the last one of many.
    const NOT_PUBLIC: &[&str] = &[
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "64:ff9b:1:ffff::8.8.8.8",
        "64:ff9b:0:1::1",
        "100::1",
        "100:0:0:1::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:1ff:ffff::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "3ffe::1",
        "3fff::1",
        "3fff:fff::1",
        "4000::1",
        "5f00::1",
        "8000::1",
        "fc00::1",
        "fd00:42::42",
        "fd00:c1::a9fe:a9fe",
        "fd00:ec2::23",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fdff::1",
        "fe80::1",
        "fe80::a9fe:a9fe",
        "febf::1",
        "fec0::1",
        "feff::1",
        "ff02::1",
        "ff0e::1",
    ];
    /// The neighbours of those, and some that people know.
    const PUBLIC: &[&str] = &[
        "1.0.0.0",
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2001:db7::1",
        "2001:db9::1",
        "2003::1",
        "2606:4700:4700::1111",
        "2a00::1",
        "3ffd::1",
        "3fff:1000::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ];

    #[test]
    fn what_a_registry_sets_aside_is_not_public() {
        for text in NOT_PUBLIC {
            assert!(!is_public(ip(text)), "{text}");
            assert!(Reach::Public.allows(ip(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn the_neighbours_of_what_is_set_aside_are_public() {
        for text in PUBLIC {
            assert_eq!(Reach::Public.allows(ip(text)), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_maker_in_the_own_house_has_the_house_and_no_more() {
        for text in ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "172.20.0.1", "100.64.3.4", "fd12::1", "8.8.8.8"] {
            assert_eq!(Reach::Private.allows(ip(text)), Ok(()), "{text}");
        }
        for neighbour in ["fd00:42::41", "fd00:c1::a9fe:a9ff", "fd00:ec1::254", "fd00:ec3::254", "fd20:ce::253"] {
            assert_eq!(Reach::Private.allows(ip(neighbour)), Ok(()), "{neighbour}");
        }
        for text in [
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fd00:42::42",
            "fd00:c1::a9fe:a9fe",
            "fd00:ec2::",
            "fd00:ec2::23",
            "fd00:ec2::254",
            "fd00:ec2:ffff:ffff:ffff:ffff:ffff:ffff",
            "fd20:ce::254",
            "169.254.1.1",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
        ] {
            assert!(Reach::Private.allows(ip(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn every_row_says_what_it_is_and_is_reached() {
        for (net, _, special) in V4 {
            assert_eq!(Reach::Public.allows(net.into()), Err(special.what), "{net}");
        }
        for (net, _, special) in V6.iter().filter(|(net, prefix, _)| !(net.is_unspecified() && *prefix == 96)) {
            let found = Reach::Public.allows((*net).into()).unwrap_err();
            // 2001:: is the first of two rows
            assert!(found == special.what || *net == ip("2001::"), "{net}");
        }
    }
}
