//! Which addresses this node connects to (threat T22). A table over `IpAddr`, with no
//! socket and no lookup; the connector asks it for every address a name resolves to. The
//! registries are IANA's IPv4 and IPv6 special-purpose address registries (RFC 6890, RFC 8190).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which peers may be connected to, and over which schemes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Addresses of the public internet, over https.
    #[default]
    Public,
    /// Those, and the loopback interface; plain http as well. For trying things out on one
    /// machine, never for a node that others can reach.
    Development,
}

impl AddressPolicy {
    /// Tells whether a socket to this address and port may be opened.
    ///
    /// Below 1024 only 80 and 443 are open, so that nobody can make the node speak to a mail or
    /// name server; the loopback interface of a developer has no such rule.
    pub fn admits(self, address: IpAddr, port: u16) -> bool {
        match reach(address) {
            Reach::Loopback => self == Self::Development && port != 0,
            Reach::Public => matches!(port, 80 | 443 | 1024..),
            Reach::Special => false,
        }
    }

    /// Tells whether URLs with this scheme may be used.
    pub fn admits_scheme(self, scheme: &str) -> bool {
        match self {
            Self::Development => scheme == "https" || scheme == "http",
            Self::Public => scheme == "https",
        }
    }

    /// Names the scheme for a host that came without one, as in a did:web DID or a handle.
    ///
    /// It is https, but for the loopback names of a node in development; there is no falling back
    /// from one to the other, which an attacker could bring about.
    pub fn scheme_for(self, host: &str) -> &'static str {
        match self {
            Self::Development if names_loopback(host) => "http",
            Self::Development | Self::Public => "https",
        }
    }
}

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Loopback,
    Public,
    /// Private, shared, link-local, multicast, documentation, reserved: nobody's peer.
    Special,
}

fn names_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => reach(address) == Reach::Loopback,
        Err(_) => {
            let host = host.to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let special = match address.octets() {
        [127, ..] => return Reach::Loopback,
        [0 | 10, ..] => true,                   // this network; private
        [100, b, ..] => (64..128).contains(&b), // shared by carrier-grade NAT
        [169, 254, ..] => true,                 // link-local, and clouds' metadata services
        [172, b, ..] => (16..32).contains(&b),  // private
        [192, 0, 0 | 2, _] => true,             // protocol assignments; documentation
        [192, 88, 99, _] => true,               // 6to4 relays, deprecated
        [192, 168, ..] => true,                 // private
        [198, 18 | 19, ..] => true,             // benchmarking
        [198, 51, 100, _] => true,              // documentation
        [203, 0, 113, _] => true,               // documentation
        [224..=255, ..] => true,                // multicast, reserved, broadcast
        _ => false,
    };
    if special { Reach::Special } else { Reach::Public }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if address == Ipv6Addr::LOCALHOST {
        return Reach::Loopback;
    }
    // ::ffff:a.b.c.d is the IPv4 address for the socket that is opened.
    if let Some(v4) = address.to_ipv4_mapped() {
        return reach_v4(v4);
    }
    let [a, b, c, d, e, f, g, h] = address.segments();
    // NAT64 (RFC 6052): the gateway opens a connection to the embedded address for us, so it is
    // judged; its loopback would be the gateway's, not ours.
    if [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [g1, g2] = g.to_be_bytes();
        let [h1, h2] = h.to_be_bytes();
        return match reach_v4(Ipv4Addr::new(g1, g2, h1, h2)) {
            Reach::Public => Reach::Public,
            Reach::Loopback | Reach::Special => Reach::Special,
        };
    }
    // Only 2000::/3 is handed out for the public internet: that leaves out the unspecified
    // address, IPv4-compatible ones, local NAT64, unique local, link-local and multicast ones.
    let special = match [a, b] {
        [0x2001, 0..0x200] => true, // protocol assignments, Teredo and benchmarking among them
        [0x2001, 0xdb8] => true,    // documentation
        [0x2002, _] => true,        // 6to4, deprecated: carries an IPv4 address past the table
        [0x3fff, 0..0x1000] => true, // documentation
        [0x2000..0x4000, _] => false,
        _ => true,
    };
    if special { Reach::Special } else { Reach::Public }
}

#[cfg(test)]
pub(crate) mod tests;
