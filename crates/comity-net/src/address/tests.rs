//! The address matrix of threat T22: every special range at both ends and just outside of it.

use super::*;

/// Never connected to, under either policy.
pub(crate) const SPECIAL: &[&str] = &[
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "10.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.0",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "169.254.0.0",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.255.255",
    "172.16.0.0",
    "172.16.0.1",
    "172.20.10.1",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.0.192",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.88.99.0",
    "192.88.99.1",
    "192.88.99.255",
    "192.168.0.0",
    "192.168.1.1",
    "192.168.255.255",
    "198.18.0.0",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
    "224.0.0.0",
    "224.0.0.1",
    "239.255.255.250",
    "239.255.255.255",
    "240.0.0.0",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
    "::",
    "::2",
    "::7f00:1",
    "::127.0.0.1",
    "::10.0.0.1",
    "::8.8.8.8",
    "::ffff:0.0.0.0",
    "::ffff:10.0.0.1",
    "::ffff:100.64.0.1",
    "::ffff:169.254.169.254",
    "::ffff:172.16.0.1",
    "::ffff:192.168.0.1",
    "::ffff:198.18.0.1",
    "::ffff:224.0.0.1",
    "::ffff:255.255.255.255",
    "::ffff:0:7f00:1",
    "::ffff:0:808:808",
    "64:ff9b::0.0.0.0",
    "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::100.64.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::172.31.255.255",
    "64:ff9b::192.168.1.1",
    "64:ff9b::255.255.255.255",
    "64:ff9b::1:808:808",
    "64:ff9b:1::",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "100::",
    "100::1",
    "100:0:0:1::",
    "1fff:ffff::1",
    "2001::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:0:808:808::1",
    "2001:1::1",
    "2001:2::",
    "2001:2:0:ffff::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:10::1",
    "2001:20::1",
    "2001:2f:ffff::1",
    "2001:1ff:ffff::1",
    "2001:db8::",
    "2001:db8::1",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "2002::",
    "2002:a00:1::",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2002:c0a8:101::1",
    "2002:808:808::1",
    "2002:ffff:ffff:ffff::1",
    "3fff::1",
    "3fff:fff:ffff::1",
    "4000::1",
    "5f00::1",
    "8000::1",
    "fbff::1",
    "fc00::",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe00::1",
    "fe80::",
    "fe80::1",
    "febf:ffff::1",
    "fec0::1",
    "feff:ffff::1",
    "ff00::",
    "ff01::1",
    "ff02::1",
    "ff05::2",
    "ff0e::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

/// Connected to in development only.
pub(crate) const LOOPBACK: &[&str] = &[
    "127.0.0.0",
    "127.0.0.1",
    "127.0.0.53",
    "127.1.2.3",
    "127.255.255.255",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:127.255.255.254",
];

/// Connected to under either policy.
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
    "::ffff:8.8.8.8",
    "::ffff:1.1.1.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b::172.32.0.1",
    "2000::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2001:db7:ffff::1",
    "2001:db9::1",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "3ffe:ffff::1",
    "3fff:1000::1",
];

fn parsed<'a>(list: &'a [&'a str]) -> impl Iterator<Item = IpAddr> + 'a {
    list.iter().map(|text| text.parse().unwrap())
}

#[test]
fn special_addresses_are_never_admitted() {
    for address in parsed(SPECIAL) {
        for port in [80, 443, 8080] {
            assert!(!AddressPolicy::Public.admits(address, port), "{address} in public");
            assert!(!AddressPolicy::Development.admits(address, port), "{address} in development");
        }
    }
}

#[test]
fn loopback_is_admitted_in_development_only() {
    for address in parsed(LOOPBACK) {
        for port in [1, 443, 7700, 65535] {
            assert!(!AddressPolicy::Public.admits(address, port), "{address} in public");
            assert!(AddressPolicy::Development.admits(address, port), "{address} in development");
        }
        assert!(!AddressPolicy::Development.admits(address, 0));
    }
}

#[test]
fn public_addresses_are_admitted_on_web_and_high_ports() {
    for address in parsed(PUBLIC) {
        for policy in [AddressPolicy::Public, AddressPolicy::Development] {
            for port in [80, 443, 1024, 8443, 65535] {
                assert!(policy.admits(address, port), "{address}:{port}");
            }
            for port in [0, 22, 25, 53, 79, 81, 442, 444, 1023] {
                assert!(!policy.admits(address, port), "{address}:{port}");
            }
        }
    }
}

#[test]
fn the_matrix_is_as_large_as_the_threat_list_demands() {
    assert!(120 <= SPECIAL.len() + LOOPBACK.len() + PUBLIC.len());
}

#[test]
fn plain_http_is_for_development() {
    assert!(!AddressPolicy::Public.admits_scheme("http"));
    assert!(AddressPolicy::Development.admits_scheme("http"));
    for policy in [AddressPolicy::Public, AddressPolicy::Development] {
        assert!(policy.admits_scheme("https"));
        for scheme in ["", "HTTPS", "file", "ftp", "ws", "gopher", "data"] {
            assert!(!policy.admits_scheme(scheme), "{scheme}");
        }
    }
}

#[test]
fn a_host_without_a_scheme_is_https_unless_it_is_the_developers_machine() {
    for host in ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "[::1]", "::1"] {
        assert_eq!(AddressPolicy::Development.scheme_for(host), "http", "{host}");
        assert_eq!(AddressPolicy::Public.scheme_for(host), "https", "{host}");
    }
    for host in ["org-b.example", "localhost.example", "notlocalhost", "10.0.0.1", "8.8.8.8"] {
        assert_eq!(AddressPolicy::Development.scheme_for(host), "https", "{host}");
    }
}
